"""ST-GCN++ as pyskl and mmaction2 publish it (Duan et al., ACM MM 2022), StrongAug's as well."""

from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints.graph_networks import BRANCHES, our_name, read_sizes
from imigue_lab.models.graph.network import GraphNetwork
from imigue_lab.models.graph.stgcn import build_stgcnpp

PUBLISHED_TO_OURS = ((r"\.graph\.conv\.", ".graph.weights."),)


def build(
    state: Mapping[str, Tensor], keypoints: str | None = None, mask_missing: bool = False
) -> GraphNetwork:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on, if it is to be known by name.
        mask_missing: False is as published, see `JointNorm`.
    """
    learned, entrance = "gcn.0.gcn.A", "gcn.0.gcn.conv.weight"
    sizes = read_sizes(state, keypoints, learned, entrance, ".gcn.bn.weight")
    return build_stgcnpp(**sizes, mask_missing=mask_missing, graph=state[learned])


def rename(key: str) -> str | None:
    """Our name of a published key."""
    return our_name(key, BRANCHES, PUBLISHED_TO_OURS)
