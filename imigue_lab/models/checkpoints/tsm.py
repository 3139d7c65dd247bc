"""TSM of a ResNet-50 as its authors and mmaction2 publish it (Lin et al., ICCV 2019).

The number of segments is not in the weights.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from imigue_lab.models.pictures.tsm import TSM, build_tsm

PUBLISHED_TO_OURS = (
    (r"^base_model\.", ""),
    (r"^(?:new_fc|cls_head\.fc_cls)\.", "head."),
    (r"^conv1\.conv\.", "conv1."),  # mmaction2 keeps a norm beside its convolution
    (r"^conv1\.bn\.", "bn1."),
    (r"\.conv1\.conv\.net\.", ".conv1.net."),
    (r"\.conv(\d)\.conv\.", r".conv\1."),
    (r"\.conv(\d)\.bn\.", r".bn\1."),
    (r"\.downsample\.conv\.", ".downsample.0."),
    (r"\.downsample\.bn\.", ".downsample.1."),
    (r"\.conv1\.net\.", ".conv1.1."),
    (r"^(conv1|bn1|layer\d)\.", r"net.\1."),
)


def build(state: Mapping[str, Tensor], segments: int = 8, share: int = 8) -> TSM:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        segments: frames of a clip, as many as it was trained with.
        share: see `TemporalShift`.
    """
    ours = {rename(key): weight for key, weight in state.items()}
    return build_tsm(len(ours["head.weight"]), segments, share=share, **read_resnet(ours))


def read_resnet(ours: Mapping[str | None, Tensor]) -> dict[str, Any]:
    """Blocks of each stage and the width inside the first, by our names."""
    places = {m.groups() for key in ours if (m := re.match(r"net\.layer(\d)\.(\d+)\.", key or ""))}
    blocks = Counter(stage for stage, _ in places)
    inner = len(ours["net.layer1.0.conv2.weight"])
    return {"depths": [blocks[stage] for stage in "1234"], "inner": inner}


def rename(key: str) -> str | None:
    """Our name of a published key."""
    if key.startswith("data_preprocessor."):
        return None
    for published, ours in PUBLISHED_TO_OURS:
        key = re.sub(published, ours, key)
    return key
