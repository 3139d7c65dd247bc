"""The frame of all graph networks: norm, blocks of a graph and a time part, mean, linear layer.

Letters in shapes: B clips, M persons, N = B M, T frames (S after strides), V joints, C channels
going in and D coming out. Inside, features are (N, C, V, T), as in `models.agcn`.

Source: ST-GCN (Yan et al., AAAI 2018, section 3) and what its successors kept of it.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.models.graph.agcn import FrameMask, Skeletons
from imigue_lab.models.graph.layers import GraphFeatures, JointNorm, NormedConvolution, Own


class GraphBlock(nn.Module):
    """``ReLU(time(graph(x)) + residual(x))``.

    Args:
        graph: joints take from joints; called with features and the frames that are their own.
        time: frames take from frames, every `stride`-th is kept; called alike.
        residual: False for none, as in the first block.
    """

    def __init__(
        self,
        graph: nn.Module,
        time: nn.Module,
        widths: tuple[int, int],
        stride: int = 1,
        residual: bool = True,
    ):
        super().__init__()
        self.graph = graph
        self.time = time
        self.stride = stride
        self.residual = NormedConvolution(*widths, 1, stride) if residual else None

    def forward(self, x: GraphFeatures, own: Own | None) -> Float[Tensor, "N D V S"]:
        y = self.time(self.graph(x, own), own)
        return F.relu(y) if self.residual is None else F.relu_(y + self.residual(x))


class GraphNetwork(nn.Module):
    """Norm of the input, blocks, mean over frames, joints and persons, one linear layer.

    A norm of one person is shared by all, however many; one of more keeps statistics for each and
    takes up to as many. Absent persons are zeros and count in the mean, as published.
    """

    def __init__(self, norm: JointNorm, blocks: list[GraphBlock], head: nn.Linear):
        super().__init__()
        self.norm = norm
        self.blocks = nn.ModuleList(blocks)
        self.head = head

    def forward(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B classes"]:
        """Logits.

        Args:
            skeleton: normalised places; a missing joint is all 0.
            frame_mask: False where a frame is padding: then a clip's result does not depend on its
                batch. (In training, batch statistics count the padding, as published.)
        """
        return self.head(self.pooled(skeleton, frame_mask))

    def pooled(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B D"]:
        """What the linear layer reads: the mean of all joints, persons and frames of a clip."""
        clips = len(skeleton)
        if self.norm.persons == 1:
            skeleton = rearrange(skeleton, "b m t v c -> (b m) 1 t v c")
        x = rearrange(self.norm(skeleton), "b m t v c -> (b m) c v t")
        x = x.contiguous(memory_format=torch.channels_last)
        own = None
        if frame_mask is not None and not frame_mask.all():
            own = repeat(frame_mask, "b t -> (b m) 1 1 t", m=len(x) // clips).to(x.dtype)
        for block in self.blocks:
            x = block(x, own)
            own = None if own is None else own[..., :: block.stride]
        return reduce(mean_over_time(x, own), "(b m) d v -> b d", "mean", b=clips)


def mean_over_time(x: GraphFeatures, own: Own | None) -> Float[Tensor, "N C V"]:
    """The mean over a clip's own frames."""
    if own is None:
        # in the order of memory, channels last: ten times as fast as x.mean(dim=-1)
        return rearrange(x, "n c v t -> n v t c").mean(dim=2).mT
    return (x * own).sum(dim=-1) / own.sum(dim=-1)


def build_network(
    graph: Callable[[int, int], nn.Module],
    time: Callable[[int, int], nn.Module],
    layout: Layout,
    classes: int,
    channels: int,
    persons: int,
    width: int,
    depths: Sequence[int],
    mask_missing: bool,
) -> GraphNetwork:
    """The figure that all graph networks share.

    Args:
        graph: makes a block's graph part from the widths before and after.
        time: makes a block's time part from its width and stride.
        persons: that the input norm tells apart; 1: all share its statistics.
        width, depths: of the first blocks; blocks of once, twice, ... that width.
        mask_missing: missing joints enter as zeros, see `JointNorm`; False is as published.
    """
    widths = [channels] + [width * 2**stage for stage, n in enumerate(depths) for _ in range(n)]
    begins = {sum(depths[:stage]) for stage in range(1, len(depths))}
    blocks = []
    for number, (a, b) in enumerate(pairwise(widths)):
        stride = 2 if number in begins else 1
        blocks.append(GraphBlock(graph(a, b), time(b, stride), (a, b), stride, number > 0))
    norm = JointNorm(layout, persons, channels, mask_missing)
    return GraphNetwork(norm, blocks, nn.Linear(widths[-1], classes))


def layout_of(keypoints: str | Layout) -> Layout:
    return LAYOUTS[keypoints] if isinstance(keypoints, str) else keypoints


def start_head(model: GraphNetwork) -> None:
    """The head starts near zero: ``N(0, 0.01²)``, bias 0, as in pyskl."""
    nn.init.normal_(model.head.weight, std=0.01)
    nn.init.zeros_(model.head.bias)
