"""PoseConv3D as pyskl and mmaction2 publish it (Duan et al., CVPR 2022), of joints or limbs."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor

from imigue_lab.models.pictures.poseconv3d import PoseConv3D, build_poseconv3d

PUBLISHED_TO_OURS = (
    (r"^cls_head\.fc_cls\.", "head."),
    (r"^conv1\.conv\.", "stem.0."),
    (r"^conv1\.bn\.", "stem.1."),
    (r"^layer(\d+)\.", lambda stage: f"stages.{int(stage[1]) - 1}."),
    (r"\.conv1\.", ".squeeze."),
    (r"\.conv2\.", ".look."),
    (r"\.conv3\.", ".expand."),
    (r"\.downsample\.", ".skip."),
    (r"\.conv\.", ".0."),
    (r"\.bn\.", ".1."),
)


def build(state: Mapping[str, Tensor], time_strides: Sequence[int] | None = None) -> PoseConv3D:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        time_strides: of each stage, which shapes do not tell; as published the last halves time.
    """
    first = [key for key in state if re.fullmatch(r"layer\d+\.\d+\.conv1\.conv\.weight", key)]
    depths = Counter(int(key.split(".")[0].removeprefix("layer")) for key in first)
    stages = range(1, max(depths, default=1) + 1)
    stem = state["conv1.conv.weight"]
    return build_poseconv3d(
        len(state["cls_head.fc_cls.weight"]),
        joints=stem.shape[1],
        width=len(stem),
        depths=[depths[stage] for stage in stages],
        inflated=[state[f"layer{stage}.0.conv1.conv.weight"].shape[2] > 1 for stage in stages],
        time_strides=time_strides,
    )


def rename(key: str) -> str | None:
    """Our name of a published key."""
    if key.startswith("data_preprocessor."):
        return None
    for published, ours in PUBLISHED_TO_OURS:
        key = re.sub(published, ours, key)
    return key
