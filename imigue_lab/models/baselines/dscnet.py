"""DSCNet: dense frames and sparse skeletons, three networks whose scores are added.

Cheng et al., "A dense-sparse complementary network for human action recognition based on RGB and
skeleton modalities", Expert Systems with Applications 244, 2024, after the description of its
published code. On iMiGUE 62.53 % (Table 1 of the paper); 45,733,172 parameters for 32 classes:
23,574,092 for pictures, twice 11,079,540 for joints and bones.

Letters in shapes: B clips, S segments of a clip, L consecutive frames of a segment, N = B S; H x W
pixels; M persons, C channels, T frames, V joints of the skeletons.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.models.baselines.msstnet import WIDTHS, build_msstnet
from imigue_lab.models.baselines.tsm import RESNET50, TSM, build_tsm

SHARES = {"rgb": 1.0, "joint": 0.3, "bone": 0.3}  # of the scores
Skeletons = Float[Tensor, "B M C T V"]


class MotionExcitation(nn.Module):
    """STMEM: consecutive frames to one picture in which what moves stands out.

    ``Conv([x, d]) ⊙ σ(Conv(max_l d_l))``, d_l the difference of a frame and the one before.

    Args:
        frames: L, of a segment.
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
    """DSCNet's stream of pictures: a TSM that sees each segment through `MotionExcitation`."""

    def __init__(self, motion: MotionExcitation, tsm: TSM, frames: int):
        super().__init__()
        self.motion = motion
        self.tsm = tsm
        self.frames = frames

    def forward(self, frames: Float[Tensor, "B stacked H W"]) -> Float[Tensor, "B classes"]:
        """Logits.

        Args:
            frames: RGB of each frame of each segment, one after the other, 3 S L channels.

        Raises:
            ValueError: there are more or fewer frames.
        """
        if frames.shape[1] != 3 * self.frames * self.tsm.segments:
            raise ValueError(
                f"this network takes {self.tsm.segments} segments of {self.frames} frames of 3"
                f" channels, got {frames.shape[1]} channels; sample as many frames, or build it"
                " with segments= and frames="
            )
        segments = rearrange(frames, "b (s lc) h w -> (b s) lc h w", s=self.tsm.segments)
        return self.tsm.decide(self.motion(segments))


class DSCNet(nn.Module):
    """Three networks of their own, trained apart; logits are added by `SHARES`."""

    def __init__(self, rgb: nn.Module, joint: nn.Module, bone: nn.Module):
        super().__init__()
        self.streams = nn.ModuleDict({"rgb": rgb, "joint": joint, "bone": bone})

    def forward(
        self, frames: Float[Tensor, "B stacked H W"], joint: Skeletons, bone: Skeletons
    ) -> Float[Tensor, "B classes"]:
        given = {"rgb": frames, "joint": joint, "bone": bone}
        logits = [share * self.streams[name](given[name]) for name, share in SHARES.items()]
        return torch.stack(logits).sum(dim=0)


def build_dscnet_rgb(
    classes: int = 32,
    segments: int = 8,
    frames: int = 3,
    depths: Sequence[int] = RESNET50,
    inner: int = 64,
    dropout: float = 0.5,
) -> MotionTSM:
    """DSCNet's stream of pictures, untrained.

    Called with (B, segments * frames * 3, H, W) it gives (B, classes).

    Args:
        frames: consecutive ones of each segment.
        depths, inner: see `build_tsm`.
    """
    tsm = build_tsm(classes, segments, depths, inner, dropout=dropout)
    return MotionTSM(MotionExcitation(frames), tsm, frames)


def build_dscnet(
    classes: int = 32,
    segments: int = 8,
    frames: int = 3,
    depths: Sequence[int] = RESNET50,
    inner: int = 64,
    channels: int = 3,
    widths: Sequence[tuple[int, int]] = WIDTHS,
) -> DSCNet:
    """All of DSCNet, untrained; see `build_dscnet_rgb` and `build_msstnet`."""
    return DSCNet(
        build_dscnet_rgb(classes, segments, frames, depths, inner),
        build_msstnet(classes, channels, widths),
        build_msstnet(classes, channels, widths),
    )
