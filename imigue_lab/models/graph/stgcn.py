"""ST-GCN and ST-GCN++: convolutions over a graph with weighted edges, or a fully learned graph.

Yan et al., "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition",
AAAI 2018, section 3; Duan et al., "PYSKL: Towards Good Practices for Skeleton Action Recognition",
ACM MM 2022, section 3.2.

Letters in shapes as in `layers`: N clips and persons, C channels going in and D coming out, V
joints, T frames, K = 3 subsets of a joint's neighbours.
"""

from functools import partial
from typing import Unpack

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor, nn

from imigue_lab.data.skeletons.graphs import stgcn_spatial
from imigue_lab.data.skeletons.keypoints import Layout, Stored, layout_of
from imigue_lab.models.graph.layers import (
    Graph,
    GraphFeatures,
    Mixed,
    NormedConvolution,
    Own,
    mix_joints,
    normed,
)
from imigue_lab.models.graph.network import (
    GraphNetwork,
    Sizes,
    build_parts,
    spatial_graph,
    start_head,
)
from imigue_lab.models.graph.temporal import MultiScale, OneConvolution


class GraphConvolution(nn.Module):
    """``y = BN(Σ_k (W_k x + b_k) G_k)``, all W_k in one convolution as published."""

    def __init__(self, subsets: int, in_width: int, width: int):
        super().__init__()
        self.subsets = subsets
        self.weights = nn.Conv2d(in_width, subsets * width, 1)
        self.norm = nn.BatchNorm2d(width)

    def mix(self, x: GraphFeatures, graph: Graph) -> Mixed:
        weight = rearrange(self.weights.weight, "(k d) c 1 1 -> d c k 1", k=self.subsets)
        assert self.weights.bias is not None
        bias = rearrange(self.weights.bias, "(k d) -> k d", k=self.subsets)
        shift = einsum(bias, graph.sum(dim=1), "k d, k j -> d j")

        def linear(weight: Tensor, shift: Tensor | None) -> Mixed:
            assert shift is not None
            y = mix_joints(x, graph, weight)
            shift = shift.T.contiguous().T  # in the features' memory order: five times as fast
            return y + shift[..., None].to(y.dtype)

        return normed(linear, weight, shift, self.norm)


class WeightedGraphConvolution(GraphConvolution):
    """``ReLU(BN(Σ_k W_k x (A_k ⊙ M_k)))``: ST-GCN's, M the importance of each edge."""

    fixed: Tensor

    def __init__(self, graph: Graph, in_width: int, width: int):
        super().__init__(len(graph), in_width, width)
        self.register_buffer("fixed", graph.clone(), persistent=False)  # follows from the layout
        self.importance = nn.Parameter(torch.ones_like(graph))

    def forward(self, x: GraphFeatures, own: Own | None) -> Mixed:
        return F.relu_(self.mix(x, self.fixed * self.importance))


class LearnedGraphConvolution(GraphConvolution):
    """``ReLU(BN(Σ_k W_k x A_k) + skip(x))``: ST-GCN++'s, A learned from the bones as its start."""

    def __init__(self, graph: Graph, in_width: int, width: int):
        super().__init__(len(graph), in_width, width)
        self.learned = nn.Parameter(graph.clone())
        self.skip = NormedConvolution(in_width, width)

    def forward(self, x: GraphFeatures, own: Own | None) -> Mixed:
        return F.relu_(self.mix(x, self.learned).add_(self.skip(x)))


def build_stgcn(
    keypoints: Stored | Layout,
    classes: int,
    graph: Graph | None = None,
    dropout: float = 0.0,
    **sizes: Unpack[Sizes],
) -> GraphNetwork:
    """ST-GCN, the original's and pyskl's, which differ in the graph of `ntu25` only.

    Args, beside `Sizes`:
        dropout: after each block's time part but the first's (paper: 0.5; in pyskl 0).
    """
    layout = layout_of(keypoints)
    if graph is None:
        graph = torch.tensor(stgcn_spatial(layout), dtype=torch.float32)
    graph_part = partial(WeightedGraphConvolution, graph)
    time_part = partial(OneConvolution, dropout=dropout)
    model = GraphNetwork(*build_parts(graph_part, time_part, layout, classes, **sizes))
    model.get_submodule("blocks.0.time").dropout = nn.Identity()
    return start_head(model)


def build_stgcnpp(
    keypoints: Stored | Layout, classes: int, graph: Graph | None = None, **sizes: Unpack[Sizes]
) -> GraphNetwork:
    """ST-GCN++: graphs learned per layer, time at six scales."""
    layout = layout_of(keypoints)
    graph = spatial_graph(layout, original=False) if graph is None else graph
    graph_part = partial(LearnedGraphConvolution, graph)
    return start_head(GraphNetwork(*build_parts(graph_part, MultiScale, layout, classes, **sizes)))
