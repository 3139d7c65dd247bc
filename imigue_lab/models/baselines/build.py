"""Builds a network of Table 1 by its name, in the published size or a small one."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from imigue_lab.data.keypoints import LAYOUTS
from imigue_lab.models.agcn import build_agcn
from imigue_lab.models.baselines.aagcn import build_aagcn
from imigue_lab.models.baselines.ctrgcn import build_ctrgcn
from imigue_lab.models.baselines.dgstgcn import build_dgstgcn
from imigue_lab.models.baselines.dscnet import build_dscnet
from imigue_lab.models.baselines.msstnet import WIDTHS
from imigue_lab.models.baselines.mvitv2 import build_mvitv2
from imigue_lab.models.baselines.poseconv3d import build_poseconv3d
from imigue_lab.models.baselines.stgcn import build_stgcn, build_stgcnpp
from imigue_lab.models.baselines.tsm import build_tsm
from imigue_lab.models.baselines.video_swin import Size, Stages, build_video_swin

Sizes = dict[str, dict[str, Any]]  # `small` and `paper`: what the builder takes beside the classes


def build_swin(size: Size, classes: int, stages: Sequence[Any] | None = None) -> nn.Module:
    """`stages`: width, depths, heads, where they are not the published ones."""
    if stages is None:
        return build_video_swin(size, classes)
    width, depths, heads = stages
    return build_video_swin(size, classes, Stages(width, tuple(depths), tuple(heads)))


def build_mvit(classes: int, clip: Sequence[int] = (16, 224, 224), **sizes: Any) -> nn.Module:
    frames, rows, columns = clip
    return build_mvitv2(classes, clip=(frames, rows, columns), **sizes)


def build_dense_sparse(classes: int, widths: Sequence[Any] = WIDTHS, **sizes: Any) -> nn.Module:
    return build_dscnet(classes, widths=[(narrow, wide) for narrow, wide in widths], **sizes)


SKELETON_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "2s-agcn": build_agcn,
    "st-gcn": build_stgcn,
    "st-gcn++": build_stgcnpp,
    "strongaug": build_stgcnpp,
    "aagcn": build_aagcn,
    "ctr-gcn": build_ctrgcn,
    "dg-stgcn": build_dgstgcn,
}
TELL_PERSONS_APART = ("2s-agcn", "aagcn", "ctr-gcn")
PICTURE_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "poseconv3d": build_poseconv3d,
    "tsm": build_tsm,
    "video-swin-t": partial(build_swin, "tiny"),
    "video-swin-s": partial(build_swin, "small"),
    "video-swin-b": partial(build_swin, "base"),
    "mvitv2-s": build_mvit,
    "dscnet": build_dense_sparse,
}
GRAPH_SIZES: Sizes = {
    "small": {"width": 16, "depths": [2, 1, 1]},
    "paper": {"width": 64, "depths": [4, 3, 3]},
}
SMALL_RESNET = {"depths": [1, 1, 1, 1], "inner": 8}
SWIN_SIZES: Sizes = {"small": {"stages": [16, [1, 1, 1, 1], [1, 2, 4, 8]]}, "paper": {}}
SIZES: dict[str, Sizes] = {
    **dict.fromkeys(SKELETON_BUILDERS, GRAPH_SIZES),
    "st-gcn": GRAPH_SIZES | {"paper": GRAPH_SIZES["paper"] | {"dropout": 0.5}},
    "poseconv3d": {"small": {"width": 8, "depths": [1, 1, 1]}, "paper": {}},
    "tsm": {"small": SMALL_RESNET, "paper": {}},
    **{name: SWIN_SIZES for name in PICTURE_BUILDERS if name.startswith("video-swin")},
    "mvitv2-s": {"small": {"size": "tiny"}, "paper": {}},
    "dscnet": {"small": SMALL_RESNET | {"widths": [[4, 4]] * 7}, "paper": {}},
}


def build_baseline(
    name: str,
    classes: int = 32,
    keypoints: str = "imigue22",
    channels: int = 3,
    persons: int = 1,
    **sizes: Any,
) -> nn.Module:
    """A network of Table 1, untrained, of the published size unless `sizes` say otherwise.

    It gives (B, classes). Networks of skeletons are called with (B, M, T, V, C), PoseConv3D with
    heatmaps (B, joints, T, H, W), TSM with (B, segments * 3, H, W), Video Swin and MViTv2-S with
    (B, 3, T, H, W), DSCNet with pictures, joints and bones.

    Args:
        name: a row of `TABLE`; StrongAug is ST-GCN++ with another recipe.
        keypoints: name of a layout, which gives the joints and the graph.
        channels, persons: of the skeletons; those that share one norm take any number of persons.
        sizes: what else its builder takes, such as those of `SIZES`.

    Raises:
        ValueError: no such name.
    """
    if name in SKELETON_BUILDERS:
        told_apart = persons if name in TELL_PERSONS_APART else 1
        build = SKELETON_BUILDERS[name]
        return build(keypoints, classes, channels=channels, persons=told_apart, **sizes)
    if name not in PICTURE_BUILDERS:
        known = ", ".join([*SKELETON_BUILDERS, *PICTURE_BUILDERS])
        raise ValueError(f"name must be one of {known}; got {name!r}")
    if name == "poseconv3d":
        sizes = {"joints": len(LAYOUTS[keypoints].joints), **sizes}
    return PICTURE_BUILDERS[name](classes=classes, **sizes)
