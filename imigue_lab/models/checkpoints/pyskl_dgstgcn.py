"""DG-STGCN as pyskl publishes it (Duan et al., 2022)."""

from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints.graph_networks import BRANCHES, our_name, read_sizes
from imigue_lab.models.graph.dgstgcn import build_dgstgcn
from imigue_lab.models.graph.network import GraphNetwork

PUBLISHED_TO_OURS = (
    (r"\.graph\.pre\.", ".graph.before."),
    (r"\.graph\.post\.", ".graph.after."),
    (r"\.graph\.conv1\.", ".graph.first."),
    (r"\.graph\.conv2\.", ".graph.second."),
    (r"\.time\.add_coeff$", ".time.gamma"),
)


def build(
    state: Mapping[str, Tensor], keypoints: str | None = None, mask_missing: bool = False
) -> GraphNetwork:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on, if it is to be known by name.
        mask_missing: False is as published, see `JointNorm`.
    """
    learned, entrance = "gcn.0.gcn.A", "gcn.0.gcn.pre.0.weight"
    sizes = read_sizes(state, keypoints, learned, entrance, ".gcn.bn.weight")
    return build_dgstgcn(
        **sizes,
        mask_missing=mask_missing,
        ratio=len(state[entrance]) / len(state[learned]) / sizes["width"],
        entries=len(state["gcn.0.tcn.add_coeff"]),
        graph=state[learned],
    )


def rename(key: str) -> str | None:
    """Our name of a published key."""
    return our_name(key, BRANCHES, PUBLISHED_TO_OURS)
