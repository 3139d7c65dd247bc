"""What graph networks read: adjacency tensors of a layout, and streams of joints, bones and motion.

Letters in shapes: K subsets of edges, M persons, T frames, V joints, C channels. An entry [k, i, j]
of an adjacency tensor leads from joint i to joint j: ``x'[j] = Σ_k Σ_i A[k, i, j] x_k[i]``. Streams
are computed on the whole clip, before frames are sampled.

Source: ST-GCN (Yan et al., AAAI 2018, section 3.3), 2s-AGCN (Shi et al., CVPR 2019), DG-STGCN
(Duan et al., 2022), as their published code and pyskl build them. Two streams: 2s-AGCN, section
3.4; four streams and the scores of 2-D bones as in pyskl's GenSkeFeat.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from imigue_lab.data.skeletons.geometry import Skeleton, present
from imigue_lab.data.skeletons.keypoints import Layout

Adjacency = Float[np.ndarray, "K V V"]
Edges = tuple[tuple[int, int], ...]  # (child, parent)


def edges(layout: Layout, pyskl: bool = False) -> Edges:
    """(child, parent) of every bone; of `ntu25` as in ST-GCN, 2s-AGCN and CTR-GCN.

    In `pyskl` the hand tips of `ntu25` are children of the hand, as its thumbs are. The checkpoints
    of pyskl and mmaction2 were trained on these edges; the bone stream uses the bones of the layout
    everywhere.
    """
    parent_of = {child: parent for parent, child in layout.bones}
    for hand in ("left_hand", "right_hand") if pyskl and layout.name == "ntu25" else ():
        parent_of[layout.joints.index(f"{hand}_tip")] = layout.joints.index(hand)
    return tuple(parent_of.items())


def spatial(layout: Layout, pyskl: bool = False) -> Adjacency:
    """Three subsets: each joint itself, child to parent turned inward, parent to child outward.

    ``A = (I, norm(inward), norm(outward))``; used by 2s-AGCN, AAGCN, CTR-GCN and ST-GCN++.
    """
    joints = len(layout.joints)
    inward = np.zeros((joints, joints))
    for child, parent in edges(layout, pyskl):
        inward[parent, child] = 1
    return np.stack([np.eye(joints), normalise_columns(inward), normalise_columns(inward.T)])


def stgcn_spatial(layout: Layout, pyskl: bool = False) -> Adjacency:
    """Spatial partition of ST-GCN: the joint, then its "close" and its "further" neighbours.

    Close neighbours are at least as far from the root as the joint (published name and order). The
    published code computes distances up to one bone only and treats all others as infinite, hence
    equal: only the edges at the root are split. This is reproduced here.
    """
    own = np.eye(len(layout.joints))
    joined = own.copy()
    for child, parent in edges(layout, pyskl):
        joined[child, parent] = joined[parent, child] = 1
    to_root = np.where(joined[layout.root] > 0, 1 - own[layout.root], np.inf)
    close = to_root[:, None] >= to_root[None, :]
    weight = normalise_columns(joined)
    around = weight * (1 - own)
    return np.stack([weight * own, around * close, around * ~close])


def random_start(layout: Layout, rng: np.random.RandomState, subsets: int = 8) -> Adjacency:
    """DG-STGCN's initial graph: ``A ~ N(0.04, 0.02²)``, without bones; all of it is learned."""
    joints = len(layout.joints)
    return rng.randn(subsets, joints, joints) * 0.02 + 0.04


def normalise_columns(links: Float[np.ndarray, "V V"]) -> Float[np.ndarray, "V V"]:
    """Columns normalised to sum to 1; an empty column stays 0."""
    total = links.sum(axis=0)
    return links / np.where(total > 0, total, 1)


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
