"""DSCNet: dense frames and sparse skeletons, three networks whose scores are added.

Cheng et al., "A dense-sparse complementary network for human action recognition based on RGB and
skeleton modalities", Expert Systems with Applications 244, 2024, after the description of its
published code. On iMiGUE 62.53 % (Table 1 of the paper); 45,733,172 parameters for 32 classes:
23,574,092 for pictures (`MotionTSM`), twice 11,079,540 for joints and bones (`MSSTNet`, to which a
skeleton is a picture of frames and joints).

Letters in shapes: B clips, S segments of a clip, L consecutive frames of a segment, N = B S; H x W
pixels; M persons, C channels of a joint (x, y, confidence), T frames, V joints of the skeletons,
there N = B M; D channels inside.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.models.pictures.tsm import RESNET50, TSM, build_tsm

Skeletons = Float[Tensor, "B M C T V"]
Picture = Float[Tensor, "N D T V"]
Kernel = tuple[int, int]

SHARES = {"rgb": 1.0, "joint": 0.3, "bone": 0.3}  # of the logits
# Of each block the width of its 1 x 1 branch, and of each of its three other branches.
WIDTHS = ((44, 60), (48, 80), (56, 120), (160, 160), (72, 200), (240, 240), (320, 320))
POOLED_AFTER = (2, 4)  # blocks, from 0
HALVES_TIME = 4  # the block with a stride of 2 over frames
BRANCHES: tuple[tuple[Kernel, ...], ...] = (
    ((1, 1),),
    ((1, 1), (3, 3)),
    ((1, 1), (5, 1), (1, 5)),
    ((1, 1), (7, 1), (1, 7)),
)


def branch(in_width: int, width: int, kernels: Sequence[Kernel], stride: int) -> nn.Sequential:
    """A sequence of convolutions; the first one over several frames has the stride."""
    layers = nn.Sequential()
    strider = min(1, len(kernels) - 1)
    for number, kernel in enumerate(kernels):
        steps = (stride if number == strider else 1, 1)
        padding = (kernel[0] // 2, kernel[1] // 2)
        conv = nn.Conv2d(width if number else in_width, width, kernel, steps, padding)
        layers.extend([conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)])
    return layers


class Inception(nn.Module):
    """Four parallel branches: 1 x 1, 3 x 3, 5 x 1 then 1 x 5, 7 x 1 then 1 x 7."""

    def __init__(self, in_width: int, widths: Sequence[int], stride: int = 1):
        super().__init__()
        narrow, wide = widths
        self.branches = nn.ModuleList(
            branch(in_width, wide if number else narrow, kernels, stride)
            for number, kernels in enumerate(BRANCHES)
        )

    def forward(self, x: Picture) -> Float[Tensor, "N E S V"]:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class MSSTNet(nn.Module):
    """Inception blocks, the joints pooled twice, a mean, one linear layer; mean over persons."""

    def __init__(
        self, blocks: list[nn.Module], pools: list[nn.Module], head: nn.Linear, dropout: float
    ):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.pools = nn.ModuleList(pools)
        self.dropout = nn.Dropout(dropout)
        self.head = head

    def forward(self, skeleton: Skeletons) -> Float[Tensor, "B classes"]:
        """Logits of clips of any length (as published 8 frames); absent persons count, as zeros."""
        x = rearrange(skeleton, "b m c t v -> (b m) c t v")
        pools = dict(zip(POOLED_AFTER, self.pools, strict=True))
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in pools:
                x = pools[number](x)
        logits = self.head(self.dropout(reduce(x, "n d t v -> n d", "mean")))
        return reduce(logits, "(b m) k -> b k", "mean", m=skeleton.shape[1])


def build_msstnet(
    classes: int = 32,
    channels: int = 3,
    widths: Sequence[Sequence[int]] = WIDTHS,
    dropout: float = 0.9,
) -> MSSTNet:
    """An untrained MS-STNet from (B, M, channels, T, V) to (B, classes).

    Widths are of each of the seven blocks: its 1 x 1 branch, and each of the other three; the
    dropout is before the linear layer (paper: 0.9).
    """
    if len(widths) != len(WIDTHS):
        raise ValueError(f"widths must be of {len(WIDTHS)} blocks; got {len(widths)}")
    sums = [channels, *(narrow + 3 * wide for narrow, wide in widths)]
    blocks: list[nn.Module] = [
        Inception(before, pair, stride=2 if number == HALVES_TIME else 1)
        for number, ((before, _), pair) in enumerate(zip(pairwise(sums), widths, strict=True))
    ]
    pools: list[nn.Module] = []
    for number in POOLED_AFTER:
        pool, norm = nn.AvgPool2d(3, (1, 2), padding=1), nn.BatchNorm2d(sums[number + 1])
        pools.append(nn.Sequential(pool, norm, nn.ReLU(inplace=True)))
    return MSSTNet(blocks, pools, nn.Linear(sums[-1], classes), dropout)


class MotionExcitation(nn.Module):
    """STMEM: L consecutive frames to one picture that emphasises motion.

    ``Conv([x, d]) ⊙ σ(Conv(max_l d_l))``, d_l the difference of a frame and the one before.
    """

    def __init__(self, frames: int):
        super().__init__()
        self.gather = nn.Conv2d(3 * (2 * frames - 1), 3, 3, padding=1)
        self.gate = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Float[Tensor, "N stacked H W"]) -> Float[Tensor, "N 3 H W"]:
        differences = x[:, 3:] - x[:, :-3]
        most = reduce(differences, "n (l c) h w -> n c h w", "max", c=3)
        return self.gather(torch.cat([x, differences], dim=1)) * torch.sigmoid(self.gate(most))


class MotionTSM(nn.Module):
    """DSCNet's stream of pictures: `MotionExcitation` of each segment, then a TSM."""

    def __init__(self, motion: MotionExcitation, tsm: TSM, frames: int):
        super().__init__()
        self.motion, self.tsm, self.frames = motion, tsm, frames

    def forward(self, frames: Float[Tensor, "B stacked H W"]) -> Float[Tensor, "B classes"]:
        """Logits of the RGB of each frame of each segment, concatenated to 3 S L channels. Raises
        ValueError for another number of frames."""
        if frames.shape[1] != 3 * self.frames * self.tsm.segments:
            raise ValueError(
                f"this network takes {self.tsm.segments} segments of {self.frames} frames of 3"
                f" channels, got {frames.shape[1]} channels; sample as many frames, or build it"
                " with segments= and frames="
            )
        segments = rearrange(frames, "b (s lc) h w -> (b s) lc h w", s=self.tsm.segments)
        return self.tsm.decide(self.motion(segments))


class DSCNet(nn.Module):
    """Three networks, whose logits are added with the weights `SHARES`.

    In training mode all three logits are returned, because each network is trained independently.
    """

    def __init__(self, rgb: nn.Module, joint: nn.Module, bone: nn.Module):
        super().__init__()
        self.streams = nn.ModuleDict({"rgb": rgb, "joint": joint, "bone": bone})

    def forward(
        self, frames: Float[Tensor, "B stacked H W"], joint: Skeletons, bone: Skeletons
    ) -> Float[Tensor, "B classes"] | tuple[Float[Tensor, "B classes"], ...]:
        inputs = {"rgb": frames, "joint": joint, "bone": bone}
        logits = {name: self.streams[name](inputs[name]) for name in SHARES}
        if self.training:
            return tuple(logits.values())
        return torch.stack([SHARES[name] * own for name, own in logits.items()]).sum(dim=0)


def build_dscnet_rgb(
    classes: int = 32,
    segments: int = 8,
    frames: int = 3,
    depths: Sequence[int] = RESNET50,
    inner: int = 64,
    dropout: float = 0.5,
) -> MotionTSM:
    """DSCNet's untrained stream of pictures from (B, segments * frames * 3, H, W) to (B, classes);
    `frames` are consecutive ones of each segment, the rest is as for `build_tsm`."""
    tsm = build_tsm(classes, segments, depths, inner, dropout=dropout)
    return MotionTSM(MotionExcitation(frames), tsm, frames)


def build_dscnet(
    classes: int = 32, channels: int = 3, widths: Sequence[Sequence[int]] = WIDTHS, **rgb: Any
) -> DSCNet:
    """All of DSCNet, untrained; `rgb` is for `build_dscnet_rgb`, the rest for `build_msstnet`."""
    stream = build_dscnet_rgb(classes, **rgb)
    joint, bone = (build_msstnet(classes, channels, widths) for _ in range(2))
    return DSCNet(stream, joint, bone)
