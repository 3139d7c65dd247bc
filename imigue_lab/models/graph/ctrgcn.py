"""CTR-GCN and DG-STGCN: a graph for every channel, by how the joints differ in the clip.

Chen et al., "Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action
Recognition", ICCV 2021, sections 3.2 and 3.3: one shared graph is refined. Duan et al., "DG-STGCN:
Dynamic Spatial-Temporal Modeling for Skeleton-based Action Recognition", 2022, section 3, as in
pyskl's code, where both dynamic terms use means over time: 8 graphs that start at random.

Letters in shapes as in `layers`: N clips and persons, C channels going in and D coming out, V
joints, T frames, K = 3 subsets of a joint's neighbours, or groups of channels; E channels of the
refinement, or of each group.
"""

from functools import partial
from typing import Any, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.graphs import random_start, spatial
from imigue_lab.data.skeletons.keypoints import Layout, Stored, layout_of
from imigue_lab.models.graph.layers import (
    SUBSETS,
    Graph,
    GraphFeatures,
    Mixed,
    NormedConvolution,
    Own,
    at_least_float32,
    normed_convolution,
)
from imigue_lab.models.graph.stgcn import (
    GraphNetwork,
    Sizes,
    build_network,
    mean_over_time,
    start_as_published,
    start_head,
)
from imigue_lab.models.graph.temporal import FourBranches, MultiScaleWithBody


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
    graph_part = partial(RefinedGraphConvolution, transposed=original)
    parts = graph_part, partial(FourBranches, rectify=not original)
    start = partial(spatial, pyskl=not original) if graph is None else graph
    model = build_network(GraphNetwork, keypoints, classes, start, *parts, **sizes)
    start_as_published(model)
    return model if original else start_head(model)


class DynamicGraphConvolution(nn.Module):
    """``y = ReLU(BN(W (ReLU(BN(P x)) G)) + skip(x))``, a graph G for every channel of P x.

        G[k, e, u, v] = A_k + α tanh(a_u - b_v)[k, e] + β softmax_u(Σ_e a_u b_v)[k]

    a and b are two embeddings of the mean over time; α and β start at 0. Files have K of each, of
    which the first is used, as published.
    """

    def __init__(self, graph: Graph, in_width: int, width: int, ratio: float):
        super().__init__()
        self.groups = len(graph)
        self.learned = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(self.groups))
        self.beta = nn.Parameter(torch.zeros(self.groups))
        hidden = int(ratio * width + 1e-6) * self.groups
        self.before = nn.Sequential(
            nn.Conv2d(in_width, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True)
        )
        self.first = nn.Conv2d(in_width, hidden, 1)
        self.second = nn.Conv2d(in_width, hidden, 1)
        self.after = nn.Conv2d(hidden, width, 1)
        self.norm = nn.BatchNorm2d(width)
        self.skip = NormedConvolution(in_width, width)

    def forward(self, x: GraphFeatures, own: Own | None) -> Mixed:
        y = F.relu_(normed_convolution(x, *self.before[:2]))
        y = rearrange(y, "n (k e) v t -> n k e v t", k=self.groups)
        y = self.graphs(mean_over_time(x, own)[..., None]).mT.to(y.dtype) @ y
        y = rearrange(y, "n k e v t -> n (k e) v t")
        return F.relu_(normed_convolution(y, self.after, self.norm).add_(self.skip(x)))

    def graphs(self, mean: Float[Tensor, "N C V 1"]) -> Float[Tensor, "N K E V V"]:
        a, b = (
            rearrange(at_least_float32(embed(mean)), "n (k e) v 1 -> n k e v", k=self.groups)
            for embed in (self.first, self.second)
        )
        # tanh x = 2 σ(2x) - 1, and a sigmoid is seven times as fast
        each = torch.sigmoid_(2 * a[..., :, None] - 2 * b[..., None, :])
        shared = torch.softmax(a.mT @ b, dim=-2) * self.beta[0] + (self.learned - self.alpha[0])
        return torch.addcmul(shared[:, :, None], each, 2 * self.alpha[0])


def build_dgstgcn(
    keypoints: Stored | Layout,
    classes: int,
    graph: Graph | None = None,
    ratio: float = 0.125,
    entries: int | None = None,
    **sizes: Unpack[Sizes],
) -> GraphNetwork:
    """DG-STGCN, one stream; by default its graph is drawn by torch's generator.

    Args, beside `Sizes`:
        ratio: of a group's channels to a block's (paper: 1/8, with 8 groups).
        entries: of the body joint's weights, at least the number of joints, which is the default.
    """
    layout, seed = layout_of(keypoints), int(torch.randint(2**31, (), device="cpu"))
    start = partial(random_start, rng=np.random.RandomState(seed)) if graph is None else graph
    graph_part = partial(DynamicGraphConvolution, ratio=ratio)
    parts = graph_part, partial(MultiScaleWithBody, entries=entries or len(layout.joints))
    return start_head(build_network(GraphNetwork, layout, classes, start, *parts, **sizes))
