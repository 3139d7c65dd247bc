"""Original checkpoints of ST-GCN (Yan et al., AAAI 2018): `st_gcn.kinetics.pt` and the like."""

from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints.graph_networks import our_name, read_sizes, without_graph
from imigue_lab.models.graph.network import GraphNetwork
from imigue_lab.models.graph.stgcn import build_stgcn

PUBLISHED_TO_OURS = (
    (r"^st_gcn_networks\.(\d+)\.", r"blocks.\1."),
    (r"^edge_importance\.(\d+)$", r"blocks.\1.graph.importance"),
    (r"^fcn\.", "head."),
    (r"\.gcn\.conv\.", ".graph.weights."),
    (r"\.tcn\.0\.", ".graph.norm."),
    (r"\.tcn\.2\.", ".time.conv."),
    (r"\.tcn\.3\.", ".time.norm."),
)


def build(
    state: Mapping[str, Tensor], keypoints: str | None = None, mask_missing: bool = False
) -> GraphNetwork:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on; needed where the file lacks its graph `A`.
        mask_missing: False is as published, see `JointNorm`.
    """
    entrance = "st_gcn_networks.0.gcn.conv.weight"
    sizes = read_sizes(state, keypoints, "edge_importance.0", entrance, ".tcn.0.weight")
    if "A" not in state and keypoints is None:
        raise without_graph("st-gcn", state["edge_importance.0"].shape[-1])
    return build_stgcn(**sizes, mask_missing=mask_missing, graph=state.get("A"))


def rename(key: str) -> str | None:
    """Our name of a published key, `None` for the graph, which `build` has read."""
    return our_name(key, PUBLISHED_TO_OURS)
