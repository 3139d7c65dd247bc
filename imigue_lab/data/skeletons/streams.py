"""Input streams of skeleton networks: joints, bones, and the motion of each.

Letters in shapes: M persons, T frames, V joints, C channels.

Source: two streams, Shi et al., CVPR 2019, section 3.4; four streams and the scores of 2-D bones as
in pyskl's GenSkeFeat. All are computed on the whole clip, before frames are sampled.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.skeletons.geometry import Skeleton, present
from imigue_lab.data.skeletons.keypoints import Layout

Stream = Literal["joint", "bone", "joint_motion", "bone_motion"]

# (child, parent) where published bone streams differ from the bones of the layout
PUBLISHED = {
    "coco17": (("left_hip", "nose"), ("right_hip", "nose")),
    "openpose18": (("neck", "nose"), ("nose", "nose")),
}


def parents(layout: Layout) -> list[int]:
    """The joint at which each joint's bone starts; for the root, the root."""
    start = list(range(len(layout.joints)))
    for parent, child in layout.bones:
        start[child] = parent
    for joint, other in PUBLISHED.get(layout.name, ()):
        start[layout.joints.index(joint)] = layout.joints.index(other)
    return start


def bone(skeleton: Skeleton, layout: Layout, drop_missing: bool = True) -> Skeleton:
    """``b_v = x_v - x_parent(v)``, 0 at the root; its score is the mean of both ends'.

    With `drop_missing` a bone with a missing end is all 0. False is the published reading: it
    starts or ends at (0, 0), with half a score.
    """
    return step(skeleton[:, :, parents(layout)], skeleton, layout.axes, drop_missing)


def motion(skeleton: Skeleton, axes: int = 2, drop_missing: bool = True) -> Skeleton:
    """``m_t = x_{t+1} - x_t``, 0 in the last frame; its score is the mean of both frames'.

    `axes` are 2 when the third channel is a score, 3 when all channels are differences. (pyskl
    subtracts the scores of its `handmp` layout too: 3 reproduces that.) `drop_missing`: see `bone`.
    """
    moved = step(skeleton[:, :-1], skeleton[:, 1:], axes, drop_missing)
    return np.concatenate([moved, np.zeros_like(skeleton[:, -1:])], axis=1)


def bone_motion(skeleton: Skeleton, layout: Layout, drop_missing: bool = True) -> Skeleton:
    """The motion of the bones; with `drop_missing`, of bones complete in both frames."""
    moved = motion(bone(skeleton, layout, drop_missing), layout.axes, drop_missing=False)
    if drop_missing:
        seen = present(skeleton, layout.axes)
        whole = seen & seen[:, :, parents(layout)]
        moved[:, :-1][~(whole[:, :-1] & whole[:, 1:])] = 0
    return moved


def step(start: Skeleton, end: Skeleton, axes: int, drop_missing: bool) -> Skeleton:
    """End minus start; scores are averaged."""
    moved = end - start
    moved[..., axes:] = (start[..., axes:] + end[..., axes:]) / 2
    if drop_missing:
        moved[~(present(start, axes) & present(end, axes))] = 0
    return moved


def streams(
    skeleton: Skeleton, layout: Layout, names: list[Stream], drop_missing: bool = True
) -> Float32[np.ndarray, "M T V D"]:
    """The named streams, concatenated along the last axis: D = C times their number."""
    make = {
        "joint": lambda: skeleton,
        "bone": lambda: bone(skeleton, layout, drop_missing),
        "joint_motion": lambda: motion(skeleton, layout.axes, drop_missing),
        "bone_motion": lambda: bone_motion(skeleton, layout, drop_missing),
    }
    return np.concatenate([make[name]() for name in names], axis=-1)
