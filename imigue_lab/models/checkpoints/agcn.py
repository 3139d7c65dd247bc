"""Original checkpoints of 2s-AGCN, one network a stream (Shi et al., CVPR 2019).

Their files hold no fixed graph, so the layout must be named. Its edges are `graphs.edges`, with the
tips of `ntu25`'s hands at the end of a chain.
"""

import re
from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from imigue_lab.data.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from imigue_lab.models.agcn import AGCN, build_agcn

PUBLISHED_TO_OURS = (
    (r"^data_bn\.", "norm."),
    (r"^fc\.", "head."),
    (r"\.gcn1\.PA$", ".graph.learned"),
    (r"\.gcn1\.conv_a\.", ".graph.theta."),
    (r"\.gcn1\.conv_b\.", ".graph.phi."),
    (r"\.gcn1\.conv_d\.", ".graph.weights."),
    (r"\.gcn1\.down\.", ".graph.skip."),
    (r"\.gcn1\.bn\.", ".graph.norm."),
    (r"\.tcn1\.conv\.", ".time.0."),
    (r"\.tcn1\.bn\.", ".time.1."),
    (r"\.residual\.conv\.", ".residual.0."),
    (r"\.residual\.bn\.", ".residual.1."),
)


def build(state: Mapping[str, Tensor], keypoints: str, mask_missing: bool = False) -> AGCN:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on, which gives the fixed graph.
        mask_missing: False is as published, see `JointNorm`.

    Raises:
        DataError: the layout has another number of joints than the tensors.
        KeyError: a tensor is absent that the sizes are read from.
    """
    first = state["l1.gcn1.conv_d.0.weight"]
    joints, channels = state["l1.gcn1.PA"].shape[-1], first.shape[1]
    if keypoints not in LAYOUTS or len(LAYOUTS[keypoints].joints) != joints:
        fitting = [name for name, layout in LAYOUTS.items() if len(layout.joints) == joints]
        raise DataError(
            f"keypoints: the checkpoint is of {joints} joints, and {keypoints!r} is no layout of as"
            f" many; name the one it was trained on: {' or '.join(fitting) or 'none here fits'}"
        )
    blocks = Counter(len(state[key]) for key in state if key.endswith(".gcn1.bn.weight"))
    return build_agcn(
        keypoints,
        classes=len(state["fc.weight"]),
        channels=channels,
        persons=len(state["data_bn.weight"]) // (joints * channels),
        width=len(first),
        depths=[blocks[width] for width in sorted(blocks)],
        mask_missing=mask_missing,
    )


def rename(key: str) -> str | None:
    """Our name of a published key: ``l5.gcn1.PA`` is ``blocks.4.graph.learned``."""
    for published, ours in PUBLISHED_TO_OURS:
        key = re.sub(published, ours, key)
    return re.sub(r"^l(\d+)\.", lambda block: f"blocks.{int(block[1]) - 1}.", key)
