"""AAGCN as pyskl and mmaction2 publish it; mmaction2 calls it 2s-AGCN and leaves emphasis out."""

from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints.aagcn import PUBLISHED_TO_OURS
from imigue_lab.models.checkpoints.graph_networks import our_name, read_sizes
from imigue_lab.models.graph.aagcn import build_aagcn
from imigue_lab.models.graph.network import GraphNetwork


def build(
    state: Mapping[str, Tensor], keypoints: str | None = None, mask_missing: bool = False
) -> GraphNetwork:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on, if it is to be known by name.
        mask_missing: False is as published, see `JointNorm`.
    """
    learned, entrance = "gcn.0.gcn.A", "gcn.0.gcn.conv_d.0.weight"
    sizes = read_sizes(state, keypoints, learned, entrance, ".gcn.bn.weight")
    return build_aagcn(
        **sizes,
        mask_missing=mask_missing,
        emphasis="gcn.0.gcn.conv_sa.weight" in state,
        original=False,
        graph=state[learned],
    )


def rename(key: str) -> str | None:
    """Our name of a published key."""
    return our_name(key, PUBLISHED_TO_OURS)
