"""Graphs of a layout: adjacency tensors of graph convolutions, and distances in bones.

Letters in shapes: K subsets of edges, V joints. An entry [k, i, j] leads from joint i to joint j:
``x'[j] = Σ_k Σ_i A[k, i, j] x_k[i]``.

Source: ST-GCN (Yan et al., AAAI 2018, section 3.3), 2s-AGCN (Shi et al., CVPR 2019), DG-STGCN
(Duan et al., 2022), as their published code and pyskl build them.
"""

import numpy as np
from jaxtyping import Float

from imigue_lab.data.skeletons.keypoints import Layout

Adjacency = Float[np.ndarray, "K V V"]
Edges = tuple[tuple[int, int], ...]  # (child, parent)


def edges(layout: Layout) -> Edges:
    """(child, parent) of every bone; of `ntu25` as in ST-GCN, 2s-AGCN and CTR-GCN."""
    return tuple((child, parent) for parent, child in layout.bones)


def pyskl_edges(layout: Layout) -> Edges:
    """As `edges`, but the hand tips of `ntu25` are children of the hand, as its thumbs are.

    The checkpoints of pyskl and mmaction2 were trained on these edges; the bone stream uses the
    bones of the layout everywhere.
    """
    if layout.name != "ntu25":
        return edges(layout)
    parent = {joint: layout.joints.index(joint) for joint in ("left_hand", "right_hand")}
    tips = {layout.joints.index(f"{hand}_tip"): index for hand, index in parent.items()}
    return tuple((child, tips.get(child, joint)) for child, joint in edges(layout))


def spatial(layout: Layout, links: Edges | None = None) -> Adjacency:
    """Three subsets: each joint itself, child to parent turned inward, parent to child outward.

    ``A = (I, norm(inward), norm(outward))``; used by 2s-AGCN, AAGCN, CTR-GCN and ST-GCN++.

    `links` are (child, parent) pairs instead of the layout's bones, such as `pyskl_edges`.
    """
    joints = len(layout.joints)
    inward = np.zeros((joints, joints))
    for child, parent in edges(layout) if links is None else links:
        inward[parent, child] = 1
    return np.stack([np.eye(joints), normalise_columns(inward), normalise_columns(inward.T)])


def stgcn_spatial(layout: Layout, links: Edges | None = None) -> Adjacency:
    """Spatial partition of ST-GCN: the joint, then its "close" and its "further" neighbours.

    Close neighbours are at least as far from the root as the joint (published name and order). The
    published code computes distances up to one bone only and treats all others as infinite, hence
    equal: only the edges at the root are split. This is reproduced here.

    `links` are as in `spatial`.
    """
    own = np.eye(len(layout.joints))
    joined = own.copy()
    for child, parent in edges(layout) if links is None else links:
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
