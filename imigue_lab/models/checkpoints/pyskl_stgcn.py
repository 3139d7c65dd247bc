"""ST-GCN as pyskl and mmaction2 publish it (Duan et al., ACM MM 2022)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from imigue_lab.data.skeletons.graphs import pyskl_edges, stgcn_spatial
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.models.checkpoints.graph_networks import our_name, read_sizes, without_graph
from imigue_lab.models.graph.network import GraphNetwork
from imigue_lab.models.graph.stgcn import build_stgcn

PUBLISHED_TO_OURS = ((r"\.graph\.conv\.", ".graph.weights."),)


def build(
    state: Mapping[str, Tensor], keypoints: str | None = None, mask_missing: bool = False
) -> GraphNetwork:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on; needed where the file lacks its graphs.
        mask_missing: False is as published, see `JointNorm`.
    """
    weighed = "gcn.0.gcn.PA"
    sizes = read_sizes(state, keypoints, weighed, "gcn.0.gcn.conv.weight", ".gcn.bn.weight")
    graph = state.get("gcn.0.gcn.A")
    if graph is None and keypoints is None:
        raise without_graph("pyskl/stgcn", state[weighed].shape[-1])
    if graph is None:
        layout = LAYOUTS[str(keypoints)]
        graph = torch.tensor(stgcn_spatial(layout, pyskl_edges(layout)), dtype=torch.float32)
    model = build_stgcn(**sizes, mask_missing=mask_missing, graph=graph)
    for number, block in enumerate(model.blocks):
        own = state.get(f"gcn.{number}.gcn.A", graph)
        block.get_submodule("graph").get_buffer("fixed").copy_(own)
    return model


def rename(key: str) -> str | None:
    """Our name of a published key, `None` for the graphs, which `build` has read."""
    if key.endswith(".gcn.A"):
        return None
    if key.endswith(".gcn.PA"):
        return f"blocks.{key.split('.')[1]}.graph.importance"
    return our_name(key, PUBLISHED_TO_OURS)
