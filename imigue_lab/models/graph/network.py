"""What all graph networks share: norm, blocks of a graph and a time part, mean, linear layer.

Letters in shapes as in `layers`: B clips, M persons, N = B M, T frames (S after strides), V joints,
C channels going in and D coming out.

Source: ST-GCN (Yan et al., AAAI 2018, section 3) and what its successors kept of it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.models.graph.layers import (
    SUBSETS,
    FrameMask,
    GraphFeatures,
    JointNorm,
    NormedConvolution,
    Own,
    Shorter,
    Skeletons,
)

DEPTHS = (4, 3, 3)  # blocks of one, two and four times the width; time halves between them


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
        stride: int = 1,
        residual: bool = True,
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
        """Logits.

        Args:
            skeleton: normalised coordinates; a missing joint is all 0.
            frame_mask: False for padded frames: then a clip's result does not depend on its batch.
                (In training, batch statistics count the padding, as published.)
        """
        return self.head(self.pooled(skeleton, frame_mask))

    def pooled(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B D"]:
        """The linear layer's input: the mean over all joints, persons and frames of a clip."""
        clips = len(skeleton)
        if self.norm.persons == 1:
            skeleton = rearrange(skeleton, "b m t v c -> (b m) 1 t v c")
        x = to_features(self.norm(skeleton))
        own = own_frames(frame_mask, x, len(x) // clips)
        for block in self.blocks:
            x = block(x, own)
            own = None if own is None else own[..., :: block.stride]
        return reduce(mean_over_time(x, own), "(b m) d v -> b d", "mean", b=clips)


def to_features(skeleton: Skeletons) -> GraphFeatures:
    x = rearrange(skeleton, "b m t v c -> (b m) c v t")
    return x.contiguous(memory_format=torch.channels_last)


def own_frames(frame_mask: FrameMask | None, x: GraphFeatures, persons: int) -> Own | None:
    """The mask for the features of all persons; None without padding."""
    if frame_mask is None or frame_mask.all():
        return None
    return repeat(frame_mask, "b t -> (b m) 1 1 t", m=persons).to(x.dtype)


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
    """The structure of all graph networks; their builders share these arguments.

    A builder's `keypoints` is a layout or its name, and its `graph`, (K, V, V), replaces the one
    that the network's graphs start from; by default it follows from the layout.

    Args:
        graph: creates a block's graph part from the widths before and after.
        time: creates a block's time part from its width and stride.
        layout: of the joints.
        channels: numbers of a joint, such as x, y, score.
        persons: with separate statistics in the input norm, and their maximum; 1: any number of
            persons shares the statistics.
        width: of the first blocks (paper: 64).
        depths: how many blocks have `width`, twice, four times it (paper: 4, 3, 3).
        mask_missing: missing joints enter as zeros, see `JointNorm`; False is as published.
    """
    blocks = [
        GraphBlock(graph(*widths), time(widths[1], stride), widths, stride, residual)
        for widths, stride, residual in block_shapes(channels, width, depths)
    ]
    norm = JointNorm(layout, persons, channels, mask_missing)
    return GraphNetwork(norm, blocks, nn.Linear(last_width(width, depths), classes))


def block_shapes(
    channels: int, width: int, depths: Sequence[int]
) -> Iterator[tuple[tuple[int, int], int, bool]]:
    """Of each block the widths before and after, the stride, and whether it has a residual."""
    widths = [channels] + [width * 2**stage for stage, n in enumerate(depths) for _ in range(n)]
    begins = {sum(depths[:stage]) for stage in range(1, len(depths))}
    for number, pair in enumerate(pairwise(widths)):
        yield pair, 2 if number in begins else 1, number > 0


def last_width(width: int, depths: Sequence[int]) -> int:
    return width * 2 ** (len(depths) - 1)


def layout_of(keypoints: str | Layout) -> Layout:
    return LAYOUTS[keypoints] if isinstance(keypoints, str) else keypoints


def check_width(width: int) -> None:
    if width % 4:
        raise ValueError(f"width must be a multiple of 4; got {width}")


def start_as_published(model: nn.Module) -> None:
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


def start_head(model: GraphNetwork) -> None:
    """The head starts near zero: ``N(0, 0.01²)``, bias 0, as in pyskl."""
    nn.init.normal_(model.head.weight, std=0.01)
    nn.init.zeros_(model.head.bias)
