"""CTR-GCN: every channel refines a shared graph by how the joints differ in this clip.

Chen et al., "Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action
Recognition", ICCV 2021, sections 3.2 and 3.3.

Letters in shapes: N clips and persons, C channels going in and D coming out, E channels of the
refinement, V joints, T frames, K = 3 subsets of a joint's neighbours.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.keypoints import Layout
from imigue_lab.data.skeletons.graphs import edges, pyskl_edges, spatial
from imigue_lab.models.agcn import DEPTHS, Graph, start_as_published
from imigue_lab.models.baselines.graph_network import (
    GraphNetwork,
    build_network,
    layout_of,
    mean_over_time,
    start_head,
)
from imigue_lab.models.baselines.temporal_blocks import FourBranches
from imigue_lab.models.graph_convolution import SUBSETS, Features, Mixed, Own, skip


class Refinement(nn.Module):
    """One subset's ``R = A + α W₄ tanh(W₁ x̄_u - W₂ x̄_v)``, x̄ the mean over time.

    `values` are the features that are mixed by it.
    """

    def __init__(self, in_width: int, width: int):
        super().__init__()
        inner = 8 if in_width <= 16 else in_width // 8
        self.first, self.second, self.values = (
            nn.Conv2d(in_width, out, 1) for out in (inner, inner, width)
        )
        self.expand = nn.Conv2d(inner, width, 1)

    def forward(
        self, mean: Float[Tensor, "N C V 1"], graph: Float[Tensor, "V V"], alpha: Tensor
    ) -> Float[Tensor, "N D V V"]:
        difference = self.first(mean) - self.second(mean).mT
        return self.expand(torch.tanh(difference)) * alpha + graph


class RefinedGraphConvolution(nn.Module):
    """``y = ReLU(BN(Σ_k (W_k x) R_k) + skip(x))``, a graph R for every channel.

    Args:
        transposed: ``R[u, v]`` leads from v to u, as in the authors' code; in pyskl from u to v.
    """

    def __init__(self, graph: Graph, in_width: int, width: int, transposed: bool):
        super().__init__()
        self.learned = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.refinements = nn.ModuleList(Refinement(in_width, width) for _ in range(SUBSETS))
        self.transposed = transposed
        self.norm = nn.BatchNorm2d(width)
        self.skip = skip(in_width, width)

    def forward(self, x: Features, own: Own | None) -> Mixed:
        mean = mean_over_time(x, own)[..., None]
        parts: list[Any] = list(self.refinements)
        refined = [
            part(mean, graph, self.alpha) for part, graph in zip(parts, self.learned, strict=True)
        ]
        graph = torch.cat([r if self.transposed else r.mT for r in refined], dim=-1)
        # one product sums over the subsets: their joints lie side by side
        weight = rearrange([part.values.weight for part in parts], "k d c 1 1 -> (d k) c 1 1")
        bias = rearrange([part.values.bias for part in parts], "k d -> (d k)")
        values = F.conv2d(x.contiguous(), weight, bias)
        values = rearrange(values, "n (d k) v t -> n d (k v) t", k=SUBSETS)
        y = graph.to(values.dtype) @ values
        return F.relu_(self.norm(y) + self.skip(x))


def build_ctrgcn(
    keypoints: str | Layout,
    classes: int,
    channels: int = 3,
    persons: int = 1,
    width: int = 64,
    depths: Sequence[int] = DEPTHS,
    mask_missing: bool = True,
    original: bool = True,
    graph: Graph | None = None,
) -> GraphNetwork:
    """CTR-GCN, one stream; the authors' code or pyskl's, whose outputs differ.

    Args:
        keypoints: a layout or its name, which gives the graph that A starts from.
        persons: that the input norm tells apart, and takes at most; 1: all share its statistics.
        width, depths: of the first blocks (paper: 64); blocks of once, twice, four times as wide.
        mask_missing: missing joints enter as zeros, see `JointNorm`; False is as published.
        original: the authors'. pyskl's graphs lead the other way, and a ReLU follows the branches
            over time.
        graph: in place of the layout's.
    """
    if width % 4:
        raise ValueError(f"width must be a multiple of 4; got {width}")
    layout = layout_of(keypoints)
    if graph is None:
        links = edges(layout) if original else pyskl_edges(layout)
        graph = torch.tensor(spatial(layout, links), dtype=torch.float32)
    model = build_network(
        lambda a, b: RefinedGraphConvolution(graph, a, b, transposed=original),
        lambda b, stride: FourBranches(b, stride, rectify=not original),
        layout,
        classes,
        channels,
        persons,
        width,
        depths,
        mask_missing,
    )
    start_as_published(model)
    if not original:
        start_head(model)
    return model
