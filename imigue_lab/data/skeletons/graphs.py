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


def hop_distances(
    layout: Layout, limit: int | None = None, links: Edges | None = None
) -> Float[np.ndarray, "V V"]:
    """Number of bones between two joints, infinite beyond `limit`."""
    joints = len(layout.joints)
    step = np.eye(joints, dtype=bool)
    for child, parent in edges(layout) if links is None else links:
        step[child, parent] = step[parent, child] = True
    hops = np.full((joints, joints), np.inf)
    reached = np.eye(joints, dtype=bool)
    for distance in range((joints if limit is None else limit) + 1):
        hops[reached & np.isinf(hops)] = distance
        reached = reached @ step
    return hops


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


def stgcn_spatial(layout: Layout, links: Edges | None = None, reach: int = 1) -> Adjacency:
    """Spatial partition of ST-GCN: the joint, then for each hop "close" and "further" neighbours.

    Close neighbours are at least as far from the root as the joint (published name and order). The
    published code computes distances up to `reach` only and treats all others as infinite, hence
    equal: with reach 1 only the edges at the root are split. This is reproduced here.

    `links` are as in `spatial`, `reach` the hops that one layer spans; K = 1 + 2 * reach.
    """
    hops = hop_distances(layout, reach, links)
    weight = normalise_columns((hops <= reach).astype(float))
    to_root = hops[:, layout.root]
    close = to_root[:, None] >= to_root[None, :]
    subsets = [np.where(hops == 0, weight, 0)]
    for hop in range(1, reach + 1):
        ring = np.where(hops == hop, weight, 0)
        subsets += [np.where(close, ring, 0), np.where(close, 0, ring)]
    return np.stack(subsets)


def random_start(layout: Layout, rng: np.random.RandomState, subsets: int = 8) -> Adjacency:
    """DG-STGCN's initial graph: ``A ~ N(0.04, 0.02²)``, without bones; all of it is learned."""
    joints = len(layout.joints)
    return rng.randn(subsets, joints, joints) * 0.02 + 0.04


def normalise_columns(links: Float[np.ndarray, "V V"]) -> Float[np.ndarray, "V V"]:
    """Columns normalised to sum to 1; an empty column stays 0."""
    total = links.sum(axis=0)
    return links / np.where(total > 0, total, 1)
