"""ST-GCN and what all graph networks keep of it: norm, blocks of a graph and a time part, mean,
linear layer. Its graph has weighted edges; that of ST-GCN++ is fully learned.

Yan et al., "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition",
AAAI 2018, section 3; Duan et al., "PYSKL: Towards Good Practices for Skeleton Action Recognition",
ACM MM 2022, section 3.2.

Letters in shapes as in `layers`: B clips, M persons, N = B M, T frames (S after strides), V joints,
C channels going in and D coming out, K = 3 subsets of a joint's neighbours.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TypedDict, TypeVar, Unpack

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.graphs import Adjacency, spatial, stgcn_spatial
from imigue_lab.data.skeletons.keypoints import Layout, Stored, layout_of
from imigue_lab.models.graph.layers import (
    SUBSETS,
    FrameMask,
    Graph,
    GraphFeatures,
    JointNorm,
    Mixed,
    NormedConvolution,
    Own,
    Shorter,
    Skeletons,
    mix_joints,
    normed,
)
from imigue_lab.models.graph.temporal import MultiScale, OneConvolution

# Features, and 1 for a clip's own frames; None without padding.
Encoded = tuple[Shorter, Float[Tensor, "N 1 1 S"] | None]


class GraphBlock(nn.Module):
    """``ReLU(time(graph(x)) + residual(x))``.

    Args:
        graph: mixes joints; called with features and with the clip's own frames.
        time: mixes frames and keeps every `stride`-th; called alike.
        residual: False for none, as in the first block.
    """

    def __init__(
        self,
        graph: nn.Module,
        time: nn.Module,
        widths: tuple[int, int],
        stride: int,
        residual: bool,
    ):
        super().__init__()
        self.graph = graph
        self.time = time
        self.stride = stride
        self.residual = NormedConvolution(*widths, 1, stride) if residual else None

    def forward(self, x: GraphFeatures, own: Own | None) -> Shorter:
        y = self.time(self.graph(x, own), own)
        return F.relu(y) if self.residual is None else F.relu_(y + self.residual(x))


class GraphNetwork(nn.Module):
    """Norm of the input, blocks, mean over frames, joints and persons, one linear layer.

    A norm of one person is shared by any number of persons; a norm of more has statistics for each
    of them and is the upper limit. Absent persons are zeros and count in the mean, as published.
    """

    def __init__(self, norm: JointNorm, blocks: list[GraphBlock], head: nn.Linear):
        super().__init__()
        self.norm = norm
        self.blocks = nn.ModuleList(blocks)
        self.head = head

    def forward(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B classes"]:
        """Logits of normalised coordinates; a missing joint is all 0.

        The mask is False for padded frames: then a clip's result does not depend on its batch. (In
        training, batch statistics count the padding, as published.)
        """
        return self.head(self.pooled(skeleton, frame_mask))

    def pooled(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B D"]:
        """The linear layer's input: the mean over all joints, persons and frames of a clip."""
        x, own = self.encode(skeleton, frame_mask)
        return reduce(mean_over_time(x, own), "(b m) d v -> b d", "mean", b=len(skeleton))

    def encode(self, skeleton: Skeletons, frame_mask: FrameMask | None) -> Encoded:
        return deque(self.layers(skeleton, frame_mask), maxlen=1).pop()

    def layers(self, skeleton: Skeletons, frame_mask: FrameMask | None) -> Iterator[Encoded]:
        """The input of each block, then the last one's output."""
        clips, own = len(skeleton), None
        if self.norm.persons == 1:
            skeleton = rearrange(skeleton, "b m t v c -> (b m) 1 t v c")
        x = rearrange(self.norm(skeleton), "b m t v c -> (b m) c v t")
        x = x.contiguous(memory_format=torch.channels_last)
        if frame_mask is not None and not frame_mask.all():
            own = repeat(frame_mask, "b t -> (b m) 1 1 t", m=len(x) // clips).to(x.dtype)
        yield x, own
        for block in self.blocks:
            x = block(x, own)
            own = None if own is None else own[..., :: block.stride]
            yield x, own


def mean_over_time(x: GraphFeatures, own: Own | None) -> Float[Tensor, "N C V"]:
    """The mean over a clip's own frames."""
    if own is None:
        # in the order of memory, channels last: ten times as fast as x.mean(dim=-1)
        return rearrange(x, "n c v t -> n v t c").mean(dim=2).mT
    return (x * own).sum(dim=-1) / own.sum(dim=-1)


Network = TypeVar("Network", bound=GraphNetwork)


class Sizes(TypedDict, total=False):
    """Keyword arguments of every graph network's builder.

    A builder's `keypoints` is a layout, or as checkpoints store it; its `graph`, (K, V, V),
    replaces the one that the network's graphs start from; by default it follows from the layout.
    `persons` have separate statistics in the input norm, and are the maximum; of 1, the default,
    any number of persons shares the statistics.
    """

    channels: int  # numbers of a joint, such as x, y, score; 3 by default
    persons: int
    width: int  # of the first blocks (paper and default: 64)
    depths: Sequence[int]  # blocks of `width`, twice, four times it (paper and default: 4, 3, 3)
    mask_missing: bool  # missing joints are zeros, see `JointNorm` (default); False: as published


def build_network(
    kind: type[Network],
    keypoints: Stored | Layout,
    classes: int,
    graph: Graph | Callable[[Layout], Adjacency],
    graph_part: Callable[[Graph, int, int], nn.Module],
    time_part: Callable[[int, int], nn.Module],
    *,
    channels: int = 3,
    persons: int = 1,
    width: int = 64,
    depths: Sequence[int] = (4, 3, 3),
    mask_missing: bool = True,
) -> Network:
    """Any graph network; the last arguments are `Sizes`.

    `graph`, given or of the layout, is what the blocks' graphs start from. `graph_part` creates a
    block's graph part from it and the widths before and after, `time_part` its time part from the
    width and stride.
    """
    layout = layout_of(keypoints)
    if not isinstance(graph, Tensor):
        graph = torch.tensor(graph(layout), dtype=torch.float32)
    widths = [channels] + [width * 2**stage for stage, n in enumerate(depths) for _ in range(n)]
    halved = {sum(depths[:stage]) for stage in range(1, len(depths))}
    blocks = []
    for number, pair in enumerate(pairwise(widths)):
        stride = 2 if number in halved else 1
        parts = graph_part(graph, *pair), time_part(pair[1], stride)
        blocks.append(GraphBlock(*parts, pair, stride, number > 0))
    norm = JointNorm(layout, persons, channels, mask_missing)
    return kind(norm, blocks, nn.Linear(widths[-1], classes))


def start_as_published(model: Network) -> Network:
    """The start of 2s-AGCN's code: graph convolutions are their skip alone, as the weight of their
    norm is 1e-6."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 4 and ".weights." in name:
            nn.init.normal_(parameter, std=math.sqrt(2 / (parameter.numel() * SUBSETS)))
        elif parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter, mode="fan_out")
        elif name.endswith("graph.norm.weight"):
            nn.init.constant_(parameter, 1e-6)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    head = model.get_parameter("head.weight")
    nn.init.normal_(head, std=math.sqrt(2 / len(head)))
    return model


def start_head(model: Network) -> Network:
    """The head starts near zero: ``N(0, 0.01²)``, bias 0, as in pyskl."""
    nn.init.normal_(model.head.weight, std=0.01)
    nn.init.zeros_(model.head.bias)
    return model


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
    parts = WeightedGraphConvolution, partial(OneConvolution, dropout=dropout)
    start = stgcn_spatial if graph is None else graph
    model = build_network(GraphNetwork, keypoints, classes, start, *parts, **sizes)
    model.get_submodule("blocks.0.time").dropout = nn.Identity()
    return start_head(model)


def build_stgcnpp(
    keypoints: Stored | Layout, classes: int, graph: Graph | None = None, **sizes: Unpack[Sizes]
) -> GraphNetwork:
    """ST-GCN++: graphs learned per layer, time at six scales."""
    start = partial(spatial, pyskl=True) if graph is None else graph
    parts = LearnedGraphConvolution, MultiScale
    return start_head(build_network(GraphNetwork, keypoints, classes, start, *parts, **sizes))
