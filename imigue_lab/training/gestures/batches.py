"""Both modalities of some clips, padded to the longest of them.

Letters in shapes: B clips, M persons, T frames, S = T / 4 tokens in time, V joints, CC channels of
both streams, W width of a pose token; L frames of H x W pixels that the RGB encoder sees, t h w and
D, its map and width.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from imigue_lab.models.tokens import Tokens, grid_tokens, joint_tokens


class GestureBatch(NamedTuple):
    """Both modalities of the same clips, padded; a clip without one has an empty mask there.

    Attributes:
        rgb: tokens of the map; None where pictures are to be encoded.
        pictures, pictured: 0 and False where a clip has none; None where the tokens are there.
        skeleton: joints and bones side by side.
        frame_mask: False where a frame is padding.
        places, seen: of the pose tokens.
        steps: pose tokens in time that are the clip's own.
        tokens: of the frozen pose encoder; None where the skeleton is to be encoded.
    """

    rgb: Tokens | None
    pictures: UInt8[Tensor, "B L 3 H W"] | None
    pictured: Bool[Tensor, " B"] | None
    skeleton: Float[Tensor, "B M T V CC"]
    frame_mask: Bool[Tensor, "B T"]
    places: Float[Tensor, "B M S V 2"]
    seen: Bool[Tensor, "B M S V"]
    steps: Int[Tensor, " B"]
    tokens: Float[Tensor, "B M S V W"] | None
    label: Int[Tensor, " B"]
    clip_ids: list[str]

    def to(self, device: torch.device) -> "GestureBatch":
        return GestureBatch._make(
            x.to(device) if isinstance(x, Tensor | Tokens) else x for x in self
        )

    def map(self, values: Float[Tensor, "B t h w D"]) -> Tokens:
        """The RGB tokens with their times and places; those of clips without pictures count not."""
        assert self.pictured is not None
        tokens = grid_tokens(values)
        return replace(tokens, mask=tokens.mask & self.pictured[:, None])

    def pose(self, tokens: Float[Tensor, "B M S V W"]) -> Tokens:
        """The pose tokens with their times, places and mask."""
        return joint_tokens(tokens, self.places, self.seen, self.steps)


def pad_time(clips: list[Tensor]) -> Tensor:
    """Stacks (M, time, ...) with zeros behind the shorter ones, on both axes."""
    persons, times = (max(clip.shape[axis] for clip in clips) for axis in (0, 1))
    stacked = clips[0].new_zeros(len(clips), persons, times, *clips[0].shape[2:])
    for row, clip in enumerate(clips):
        stacked[row, : clip.shape[0], : clip.shape[1]] = clip
    return stacked


def pad_tokens(clips: list[Tokens]) -> Tokens:
    """Clips of one, of any number of tokens, as one batch."""
    names = ("values", "times", "mask", "places", "rest")
    return Tokens(
        **{n: pad_sequence([getattr(t, n)[0] for t in clips], batch_first=True) for n in names}
    )
