"""VideoMAE and VideoMAE V2: a transformer of video, pre-trained to paint masked patches.

A token is a tube of 2 frames and a square of pixels. In pre-training most places are masked in all
frames; the encoder sees the others, and a narrow decoder paints the masked ones (V2: half of them).

Letters in shapes: B clips, T frames, H x W pixels, L tokens in time, row, column order; K visible,
N decoded tokens; D width, P = 3 numbers for each pixel of a tube.

Source: Tong et al., NeurIPS 2022 (VideoMAE); Wang et al., CVPR 2023 (VideoMAE V2).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from imigue_lab.models.transformer import Reconstruction, blocks, start_linear

EPS = 1e-6  # of the norms, and of a patch's deviation
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation
TUBE = 2  # frames
HEAD_SCALE = 1e-3  # of the head's first weights
Video = Float[Tensor, "B 3 T H W"]
Tokens = Float[Tensor, "B L D"]
Mask = Bool[Tensor, "B L"]


def positions(length: int, width: int) -> Float[Tensor, "1 L D"]:
    """Sine and cosine of ``n / 10000^(2 floor(j / 2) / D)`` for token n, at even and odd j."""
    angle = np.arange(length)[:, None] / 10000 ** (2 * (np.arange(width) // 2) / width)
    table = np.where(np.arange(width) % 2, np.cos(angle), np.sin(angle))
    return torch.from_numpy(table).float()[None]


class VideoTransformer(nn.Module):
    """The encoder: patches with fixed positions, and attention between those it is given.

    Args:
        clip: frames, rows and columns.
    """

    def __init__(
        self,
        clip: Sequence[int] = (16, 224, 224),
        patch: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        drop_path: float = 0.0,
        ratio: float = 4.0,
    ):
        super().__init__()
        size = (TUBE, patch, patch)
        self.grid = tuple(length // part for length, part in zip(clip, size, strict=True))
        self.embed = nn.Conv3d(3, width, size, size)
        table = positions(int(np.prod(self.grid)), width)
        self.positions = nn.Buffer(table, persistent=False)
        self.blocks = blocks(width, depth, heads, EPS, drop_path, ratio)

    def tokens(self, video: Video) -> Tokens:
        return self.embed(video).flatten(2).mT + self.positions


class VideoPainter(nn.Module):
    """Encoder and decoder of pre-training; clips are standardised by ImageNet's mean, and
    `contrast` is that of `patches_of`."""

    def __init__(
        self,
        clip: Sequence[int] = (16, 224, 224),
        patch: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        decoder_width: int = 384,
        decoder_depth: int = 4,
        decoder_heads: int = 6,
        ratio: float = 4.0,
        contrast: float = 0.0,
    ):
        super().__init__()
        self.encoder = VideoTransformer(clip, patch, width, depth, heads, ratio=ratio)
        self.encoder_norm = nn.LayerNorm(width, EPS)
        self.narrow = nn.Linear(width, decoder_width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)
        table = positions(self.encoder.positions.shape[1], decoder_width)
        self.positions = nn.Buffer(table, persistent=False)
        self.decoder = blocks(decoder_width, decoder_depth, decoder_heads, EPS, ratio=ratio)
        self.decoder_norm = nn.LayerNorm(decoder_width, EPS)
        self.decoder_head = nn.Linear(decoder_width, 3 * TUBE * patch**2)
        self.decoder_head.apply(start_linear)
        self.patch, self.contrast = patch, contrast

    def forward(self, video: Video, masked: Mask, skipped: Mask | None = None) -> Reconstruction:
        """The patches of decoded tokens; those that were masked count.

        Args:
            masked: tokens that the encoder does not see, equally many in each clip.
            skipped: tokens that are not decoded (V2), equally many in each clip; None: the visible.
        """
        latent = self.encode(video, masked)
        decoded = masked if skipped is None else ~skipped
        every = self.positions.expand(len(video), -1, -1)
        seen = self.narrow(latent) + select(every, ~masked)
        unseen = self.mask_token + select(every, decoded)
        found = self.decoder(torch.cat([seen, unseen], dim=1))[:, seen.shape[1] :]
        patches = self.decoder_head(self.decoder_norm(found))
        whole = patches_of(video, self.patch, self.contrast).normalised
        guess = select(whole, ~masked).mean(dim=1, keepdim=True)
        counted = select(masked[..., None], decoded).expand_as(patches)
        return Reconstruction(patches, select(whole, decoded), counted, guess)

    def features(self, video: Video) -> Float[Tensor, "B D"]:
        """The mean token, nothing masked."""
        return self.encoder.blocks(self.encoder.tokens(video)).mean(dim=1)

    def encode(self, video: Video, masked: Mask) -> Float[Tensor, "B K D"]:
        """The visible tokens after the encoder's last norm."""
        visible = select(self.encoder.tokens(video), ~masked)
        return self.encoder_norm(self.encoder.blocks(visible))


def select(tokens: Shaped[Tensor, "B L D"], which: Mask) -> Shaped[Tensor, "B K D"]:
    """The chosen tokens of each clip, in order; equally many in each."""
    return tokens[which].unflatten(0, (len(tokens), -1))


class Patches(NamedTuple):
    """Pixels of tokens between 0 and 1, the channel last.

    Attributes:
        normalised: each channel of mean 0 and variance 1 in each token, less with `contrast`.
        mean, deviation: of each channel.
    """

    normalised: Float[Tensor, "B L P"]
    mean: Float[Tensor, "B L 1 3"]
    deviation: Float[Tensor, "B L 1 3"]


def patches_of(video: Video, patch: int, contrast: float = 0.0) -> Patches:
    """The patches of a standardised video, whose deviations are larger by `contrast`: at 0, as
    published, the noise of an even wall counts as much as an edge."""
    mean, deviation = (torch.tensor(own).to(video).view(3, 1, 1, 1) for own in IMAGENET)
    pixels = rearrange(
        video.float() * deviation + mean,
        "b c (t f) (h p) (w q) -> b (t h w) (f p q) c",
        f=TUBE,
        p=patch,
        q=patch,
    )
    mean = pixels.mean(dim=2, keepdim=True)
    deviation = pixels.std(dim=2, keepdim=True) + (EPS + contrast)
    return Patches(((pixels - mean) / deviation).flatten(2), mean, deviation)


def tube_mask(
    grid: Sequence[int], ratio: float, rng: np.random.RandomState
) -> Bool[np.ndarray, " L"]:
    """The same random places in all times; True: masked."""
    places = grid[1] * grid[2]
    masked = np.arange(places) >= places - int(ratio * places)
    rng.shuffle(masked)
    return np.tile(masked, grid[0])


def cell_mask(grid: Sequence[int], ratio: float, start: int) -> Bool[np.ndarray, " L"]:
    """V2's running cell of 2 x 2 places, rolled by one place a time; True: not decoded.

    Args:
        start: 0 to 3, drawn for each clip.
    """
    cell = np.arange(4) < int(4 * ratio)
    maps = [np.roll(cell, -(start + time + 1)).reshape(2, 2) for time in range(grid[0])]
    return np.concatenate([np.tile(m, (grid[1] // 2, grid[2] // 2)).ravel() for m in maps])


class VideoClassifier(nn.Module):
    """The encoder on all tokens; the head reads their normalised mean."""

    def __init__(
        self,
        classes: int = 32,
        clip: Sequence[int] = (16, 224, 224),
        patch: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        drop_path: float = 0.1,
        ratio: float = 4.0,
    ):
        super().__init__()
        self.encoder = VideoTransformer(clip, patch, width, depth, heads, drop_path, ratio)
        last = nn.Linear(width, classes)
        self.head = nn.Sequential(nn.LayerNorm(width, EPS), last)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.trunc_normal_(weight, std=0.02)
        last.weight.data *= HEAD_SCALE
        nn.init.zeros_(last.bias)

    def tokens(self, video: Video) -> Float[Tensor, "B t h w D"]:
        found = self.encoder.blocks(self.encoder.tokens(video))
        return found.unflatten(1, self.encoder.grid)

    def forward(self, video: Video) -> Float[Tensor, "B classes"]:
        return self.head(self.tokens(video).mean(dim=(1, 2, 3)))


def build_videomae(classes: int = 0, **sizes: Any) -> nn.Module:
    """A `VideoClassifier`, or without classes a `VideoPainter`."""
    return VideoClassifier(classes, **sizes) if classes else VideoPainter(**sizes)
