"""AAGCN: a learned graph, corrected by the similarity of each clip's joints, then attention.

Shi et al., "Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional
Networks", TIP 2020, section III.

Letters in shapes as in `layers`: N clips and persons, C channels going in and D coming out, V
joints, T frames, K = 3 subsets of a joint's neighbours.
"""

from functools import partial
from typing import Unpack

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.declared import Stored, layout_of
from imigue_lab.data.skeletons.graphs import edges, pyskl_edges, spatial
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.models.graph.layers import (
    Attention,
    Graph,
    GraphFeatures,
    Mixed,
    Own,
    SubsetConvolutions,
)
from imigue_lab.models.graph.network import (
    GraphNetwork,
    Sizes,
    build_parts,
    mean_over_time,
    start_as_published,
    start_head,
)
from imigue_lab.models.graph.temporal import OneConvolution


class CorrectedGraphConvolution(SubsetConvolutions):
    """``y = ReLU(BN(Σ_k W_k x (A_k + α C_k)) + skip(x))``, then `Emphasis` if enabled.

        C_k = tanh((θ_k x)_i · (φ_k x)_j / E T)

    A starts as the layout's graph and is learned, α starts at 0.
    """

    def __init__(self, graph: Graph, in_width: int, width: int, emphasis: bool):
        super().__init__(in_width, width)
        self.learned = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.emphasis = Emphasis(graph.shape[-1], width) if emphasis else None

    def forward(self, x: GraphFeatures, own: Own | None) -> Mixed:
        y = F.relu_(self.mix(x, self.correct(x, own)).add_(self.skip(x)))
        return y if self.emphasis is None else self.emphasis(y, own)

    def correct(self, x: GraphFeatures, own: Own | None) -> Attention:
        return torch.addcmul(self.learned, self.alpha, torch.tanh(self.compare(x, own)))


class Emphasis(nn.Module):
    """Joints, then frames, then channels are scaled by 1 to 2: ``y + y ⊙ σ(f(mean(y)))``."""

    def __init__(self, joints: int, width: int):
        super().__init__()
        reach = joints if joints % 2 else joints - 1
        self.joints = nn.Conv1d(width, 1, reach, padding=reach // 2)
        self.frames = nn.Conv1d(width, 1, 9, padding=4)
        self.squeeze = nn.Linear(width, width // 2)
        self.restore = nn.Linear(width // 2, width)

    def forward(self, y: Mixed, own: Own | None) -> Mixed:
        joints = 1 + torch.sigmoid(to_one_channel(mean_over_time(y, own), self.joints))
        # the means after a scaling follow from sums, without scaling the features in between
        over_joints = (joints / y.shape[2]) @ rearrange(y, "n d v t -> n v (t d)")
        over_joints = rearrange(over_joints, "n 1 (t d) -> n d t", d=y.shape[1])
        if own is not None:
            over_joints = over_joints * own[:, 0]
        frames = 1 + torch.sigmoid(to_one_channel(over_joints, self.frames))
        overall = mean_over_time((over_joints * frames)[:, :, None], own)[..., 0]
        channels = 1 + torch.sigmoid(self.restore(F.relu_(self.squeeze(overall))))
        places = joints[..., None] * frames[:, :, None]
        if not torch.is_grad_enabled():
            return (y * places).mul_(channels[..., None, None])
        # one product of places and channels: its gradient is two, not sums over products of maps
        scale = rearrange(places, "n one v t -> n (v t) one") @ channels[:, None]
        return y * rearrange(scale, "n (v t) d -> n d v t", t=y.shape[-1])


def to_one_channel(x: Float[Tensor, "N D L"], conv: nn.Conv1d) -> Float[Tensor, "N 1 L"]:
    """``conv(x)``: every tap times every position, then for each position the sum of its taps.

    Four times as fast as the convolution, which is optimised for many channels.
    """
    taps, places = conv.kernel_size[0], x.shape[-1]
    assert conv.bias is not None
    products = conv.weight[0].flip(1).T @ x
    summed = F.fold(products, (1, places), (1, taps), padding=(0, taps // 2))
    return summed[:, :, 0] + conv.bias


def build_aagcn(
    keypoints: Stored | Layout,
    classes: int,
    graph: Graph | None = None,
    emphasis: bool = True,
    original: bool = True,
    **sizes: Unpack[Sizes],
) -> GraphNetwork:
    """AAGCN, one stream.

    Args, beside `Sizes`:
        emphasis: on joints, frames and channels; mmaction2 calls the network without it 2s-AGCN,
            which it is not.
        original: graph and start of the authors' code, else of pyskl's; the equations are the same.
    """
    layout = layout_of(keypoints)
    if graph is None:
        links = edges(layout) if original else pyskl_edges(layout)
        graph = torch.tensor(spatial(layout, links), dtype=torch.float32)
    graph_part = partial(CorrectedGraphConvolution, graph, emphasis=emphasis)
    time_part = OneConvolution
    model = GraphNetwork(*build_parts(graph_part, time_part, layout, classes, **sizes))
    start_as_published(model)
    for part in model.modules():
        if isinstance(part, Emphasis):
            nn.init.xavier_normal_(part.joints.weight)
            nn.init.zeros_(part.frames.weight)
            nn.init.kaiming_normal_(part.squeeze.weight)
            nn.init.zeros_(part.restore.weight)
    if not original:
        start_head(model)
    return model
