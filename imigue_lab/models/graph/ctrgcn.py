"""CTR-GCN: a shared graph, refined for every channel by how the joints differ in the clip.

Chen et al., "Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action
Recognition", ICCV 2021, sections 3.2 and 3.3.

Letters in shapes as in `layers`: N clips and persons, C channels going in and D coming out, E
channels of the refinement, V joints, T frames, K = 3 subsets of a joint's neighbours.
"""

from functools import partial
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.declared import Stored, layout_of
from imigue_lab.data.skeletons.graphs import edges, pyskl_edges, spatial
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.models.graph.layers import (
    SUBSETS,
    Graph,
    GraphFeatures,
    Mixed,
    NormedConvolution,
    Own,
    at_least_float32,
)
from imigue_lab.models.graph.network import (
    GraphNetwork,
    Sizes,
    build_parts,
    mean_over_time,
    start_as_published,
    start_head,
)
from imigue_lab.models.graph.temporal import FourBranches


class Refinement(nn.Module):
    """One subset's ``R = A + α W₄ tanh(W₁ x̄_u - W₂ x̄_v)``, x̄ the mean over time.

    `values` computes the features that R mixes.
    """

    def __init__(self, in_width: int, width: int):
        super().__init__()
        inner = 8 if in_width <= 16 else in_width // 8
        self.first, self.second, self.values = (
            nn.Conv2d(in_width, out, 1) for out in (inner, inner, width)
        )
        self.expand = nn.Conv2d(inner, width, 1)

    def forward(
        self, difference: Float[Tensor, "N E V V"], graph: Float[Tensor, "V V"], alpha: Tensor
    ) -> Float[Tensor, "N D V V"]:
        """R from ``σ(2 (W₁ x̄_u - W₂ x̄_v))``, which `differences` computes for all subsets.

        ``tanh x = 2 σ(2x) - 1``, and a sigmoid is seven times as fast.
        """
        weight, bias = self.expand.parameters()
        shift = bias - weight.sum(dim=(1, 2, 3))
        y = F.conv2d(difference, 2 * alpha * weight, alpha * shift)
        return y.add_(graph.to(y.dtype))


class RefinedGraphConvolution(nn.Module):
    """``y = ReLU(BN(Σ_k (W_k x) R_k) + skip(x))``, a graph R for every channel.

    ``R[u, v]`` leads from u to v as in pyskl; `transposed`, as in the authors' code, from v to u.
    """

    def __init__(self, graph: Graph, in_width: int, width: int, transposed: bool):
        super().__init__()
        self.learned = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.refinements = nn.ModuleList(Refinement(in_width, width) for _ in range(SUBSETS))
        self.transposed = transposed
        self.norm = nn.BatchNorm2d(width)
        self.skip = NormedConvolution(in_width, width)

    def forward(self, x: GraphFeatures, own: Own | None) -> Mixed:
        parts: list[Any] = list(self.refinements)
        total: Tensor | None = None
        differences = self.differences(mean_over_time(x, own)[..., None])
        for part, difference, learned in zip(parts, differences, self.learned, strict=True):
            graph = part(difference, learned, self.alpha)
            graph = rearrange(graph if self.transposed else graph.mT, "n d u v -> (n d) u v")
            values = rearrange(part.values(x), "n d v t -> (n d) v t")
            graph = graph.to(values.dtype)
            total = graph @ values if total is None else torch.baddbmm(total, graph, values)
        assert total is not None
        y = rearrange(total, "(n d) v t -> n d v t", n=len(x))
        y = self.norm(y.contiguous(memory_format=torch.channels_last))
        return F.relu_(y.add_(self.skip(x)))

    def differences(self, mean: Float[Tensor, "N C V 1"]) -> tuple[Tensor, ...]:
        """``σ(2 (W₁ x̄_u - W₂ x̄_v))`` of each subset, (N, E, V, V)."""
        parts: list[Any] = list(self.refinements)
        maps = [part.first for part in parts] + [part.second for part in parts]
        y = F.conv2d(mean, torch.cat([m.weight for m in maps]), torch.cat([m.bias for m in maps]))
        first, second = (2 * at_least_float32(y)).chunk(2, dim=1)
        return torch.sigmoid_(first - second.mT).to(y.dtype).chunk(SUBSETS, dim=1)


def build_ctrgcn(
    keypoints: Stored | Layout,
    classes: int,
    graph: Graph | None = None,
    original: bool = True,
    **sizes: Unpack[Sizes],
) -> GraphNetwork:
    """CTR-GCN, one stream.

    Args, beside `Sizes`:
        original: the authors' code, else pyskl's, where graphs lead the other way and a ReLU
            follows the branches over time. Their outputs differ.
    """
    layout = layout_of(keypoints)
    if graph is None:
        links = edges(layout) if original else pyskl_edges(layout)
        graph = torch.tensor(spatial(layout, links), dtype=torch.float32)
    graph_part = partial(RefinedGraphConvolution, graph, transposed=original)
    time_part = partial(FourBranches, rectify=not original)
    model = GraphNetwork(*build_parts(graph_part, time_part, layout, classes, **sizes))
    start_as_published(model)
    if not original:
        start_head(model)
    return model
