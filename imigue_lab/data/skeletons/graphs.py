"""Graphs of a layout: adjacency tensors for graph convolutions, and distances in bones.

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
    """The same, but the tips of `ntu25`'s hands hang on the hand as its thumbs do.

    pyskl and mmaction2 train on these, so their checkpoints need them; bones for the bone stream
    are the layout's own everywhere.
    """
    if layout.name != "ntu25":
        return edges(layout)
    parent = {joint: layout.joints.index(joint) for joint in ("left_hand", "right_hand")}
    tips = {layout.joints.index(f"{hand}_tip"): index for hand, index in parent.items()}
    return tuple((child, tips.get(child, its_parent)) for child, its_parent in edges(layout))


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

    Args:
        links: (child, parent) pairs in place of the layout's bones, e.g. of `pyskl_edges`.
    """
    joints = len(layout.joints)
    inward = np.zeros((joints, joints))
    for child, parent in edges(layout) if links is None else links:
        inward[parent, child] = 1
    return np.stack([np.eye(joints), normalise_columns(inward), normalise_columns(inward.T)])


def stgcn_spatial(layout: Layout, links: Edges | None = None, reach: int = 1) -> Adjacency:
    """Spatial partition of ST-GCN: itself, then for each hop "close" and "further" neighbours.

    Neighbours further from the root than the joint, or as far, are close (the published name and
    order). The published code knows distances up to `reach` alone and takes all beyond for
    infinite, hence equal: with reach 1 only the edges at the root are split. So here.

    Args:
        links: (child, parent) pairs in place of the layout's bones.
        reach: hops that one layer spans; K = 1 + 2 * reach.
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


def random_start(
    layout: Layout,
    rng: np.random.RandomState,
    subsets: int = 8,
    spread: float = 0.02,
    mean: float = 0.04,
) -> Adjacency:
    """Where DG-STGCN starts: ``A ~ N(mean, spread²)``, no bones; all of it is learned."""
    joints = len(layout.joints)
    return rng.randn(subsets, joints, joints) * spread + mean


def normalise_columns(links: Float[np.ndarray, "V V"]) -> Float[np.ndarray, "V V"]:
    """Columns that sum to 1; what nothing leads to stays 0."""
    total = links.sum(axis=0)
    return links / np.where(total > 0, total, 1)
