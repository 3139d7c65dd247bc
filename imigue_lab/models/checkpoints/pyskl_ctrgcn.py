"""CTR-GCN as pyskl publishes it: graphs turned round, a ReLU more than the authors' code has."""

from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints.ctrgcn import PUBLISHED_TO_OURS
from imigue_lab.models.checkpoints.graph_networks import BRANCHES, our_name, read_sizes
from imigue_lab.models.graph.ctrgcn import build_ctrgcn
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
    learned, entrance = "net.0.gcn1.A", "net.0.gcn1.convs.0.conv3.weight"
    sizes = read_sizes(state, keypoints, learned, entrance, ".gcn1.bn.weight")
    return build_ctrgcn(**sizes, mask_missing=mask_missing, original=False, graph=state[learned])


def rename(key: str) -> str | None:
    """Our name of a published key."""
    return our_name(key, PUBLISHED_TO_OURS, BRANCHES)
