"""DG-STGCN: randomly initialised graphs for 8 groups of channels, and a joint for the whole body.

Duan et al., "DG-STGCN: Dynamic Spatial-Temporal Modeling for Skeleton-based Action Recognition",
2022, section 3; equations as in pyskl's code, where both dynamic terms use means over time.

Letters in shapes as in `layers`: N clips and persons, C channels going in and D coming out, E
channels of each of K groups, V joints, T frames.
"""

from functools import partial
from typing import Unpack

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.declared import Stored, layout_of
from imigue_lab.data.skeletons.graphs import random_start
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.models.graph.layers import (
    Graph,
    GraphFeatures,
    Mixed,
    NormedConvolution,
    Own,
    at_least_float32,
    normed_convolution,
)
from imigue_lab.models.graph.network import (
    GraphNetwork,
    Sizes,
    build_parts,
    mean_over_time,
    start_head,
)
from imigue_lab.models.graph.temporal import MultiScaleWithBody


class DynamicGraphConvolution(nn.Module):
    """``y = ReLU(BN(W (ReLU(BN(P x)) G)) + skip(x))``, a graph G for every channel of P x.

        G[k, e, u, v] = A_k + α tanh(a_u - b_v)[k, e] + β softmax_u(Σ_e a_u b_v)[k]

    a and b are two embeddings of the mean over time; α and β start at 0. Files have K of each, of
    which the first is used, as published.
    """

    def __init__(self, graph: Graph, in_width: int, width: int, inner: int):
        super().__init__()
        self.groups = len(graph)
        self.learned = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(self.groups))
        self.beta = nn.Parameter(torch.zeros(self.groups))
        hidden = inner * self.groups
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
    layout = layout_of(keypoints)
    if graph is None:
        rng = np.random.RandomState(int(torch.randint(2**31, ())))
        graph = torch.tensor(random_start(layout, rng), dtype=torch.float32)

    def graph_part(in_width: int, width: int) -> DynamicGraphConvolution:
        return DynamicGraphConvolution(graph, in_width, width, int(ratio * width + 1e-6))

    time_part = partial(MultiScaleWithBody, entries=entries or len(layout.joints))
    model = GraphNetwork(*build_parts(graph_part, time_part, layout, classes, **sizes))
    start_head(model)
    return model
