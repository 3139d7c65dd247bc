"""TSM: a ResNet-50 of single frames whose blocks mix in channels of the frames before and after.

Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, section 3.
On iMiGUE 58.77 % (Table 1 of the paper); 23,573,600 parameters for 32 classes.

Letters in shapes: B clips, S segments of a clip, one frame of each; N = B S frames, C channels,
H x W pixels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

RESNET50 = (3, 4, 6, 3)  # blocks a stage


class TemporalShift(nn.Module):
    """1 / `share` of a frame's channels come from the next one, as many from the one before.

    A clip has `segments` frames; beyond its ends channels are 0.
    """

    def __init__(self, segments: int, share: int = 8):
        super().__init__()
        self.segments, self.share = segments, share

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        x = rearrange(x, "(b s) c h w -> b s c h w", s=self.segments)
        fold = x.shape[2] // self.share
        y = x.clone()
        y[:, :, :fold] = F.pad(x[:, 1:, :fold], (0, 0, 0, 0, 0, 0, 0, 1))
        y[:, :, fold : 2 * fold] = F.pad(x[:, :-1, fold : 2 * fold], (0, 0, 0, 0, 0, 0, 1, 0))
        return rearrange(y, "b s c h w -> (b s) c h w")


class TSM(nn.Module):
    """torchvision's ResNet on every frame, shifts inside its blocks, the mean of their logits.

    `net` is the ResNet without its linear layer, which is `head`, after a dropout; a clip has
    `segments` frames.
    """

    def __init__(self, net: ResNet, classes: int, segments: int, dropout: float = 0.5):
        super().__init__()
        self.head = nn.Linear(net.fc.in_features, classes)
        net.register_module("fc", nn.Identity())
        self.net, self.segments = net, segments
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Float[Tensor, "B stacked H W"]) -> Float[Tensor, "B classes"]:
        """Logits of the segments' RGB, concatenated to 3 S channels, normalised as for ImageNet.
        Raises ValueError for another number of segments."""
        if frames.shape[1] != 3 * self.segments:
            raise ValueError(
                f"this TSM takes {self.segments} segments of 3 channels, got {frames.shape[1]}"
                " channels; sample as many frames, or build it with segments="
            )
        return self.decide(rearrange(frames, "b (s c) h w -> (b s) c h w", c=3))

    def tokens(self, frames: Float[Tensor, "B stacked H W"]) -> Float[Tensor, "B S h w D"]:
        """What the last stage gives for each segment and place."""
        x, net = rearrange(frames, "b (s c) h w -> (b s) c h w", c=3), self.net
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
        return rearrange(x, "(b s) d h w -> b s h w d", s=self.segments)

    def decide(self, frames: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "B classes"]:
        """Mean logits of the frames of each clip, which are consecutive."""
        frames = frames.contiguous(memory_format=torch.channels_last)  # faster convolutions
        logits = self.head(self.dropout(self.net(frames)))
        return reduce(logits, "(b s) k -> b k", "mean", s=self.segments)


def build_tsm(
    classes: int = 32,
    segments: int = 8,
    depths: Sequence[int] = RESNET50,
    inner: int = 64,
    share: int = 8,
    dropout: float = 0.5,
) -> TSM:
    """An untrained TSM from (B, segments * 3, H, W) to (B, classes).

    It is torchvision's ResNet with a shift before the first convolution of each block; of every
    second block if the third stage has 23 or more, as published for ResNet-101.

    Args:
        depths: blocks of the four stages, whose outputs are 256 to 2048 wide.
        inner: width inside the first stage's blocks (paper: 64); twice as wide in each later one.
        share: see `TemporalShift`.
        dropout: before the linear layer (paper: 0.5).
    """
    net = ResNet(Bottleneck, list(depths), width_per_group=inner)
    every = 2 if depths[2] >= 23 else 1
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        for block in list(stage)[::every]:
            assert isinstance(block, Bottleneck)
            shifted = nn.Sequential(TemporalShift(segments, share), block.conv1)
            block.register_module("conv1", shifted)
    return TSM(net, classes, segments, dropout)
