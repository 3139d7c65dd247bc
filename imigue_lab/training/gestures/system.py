"""The gesture model with its encoders, as they are trained and saved together, and its batches.

Letters in shapes: B clips, M persons, T frames, S = T / 4 tokens in time, V joints, CC channels of
both streams, W width of a pose token; L frames of H x W pixels that the RGB encoder sees, t h w and
D, its map and width.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from imigue_lab.models.gesture import GestureModel, GestureOutput
from imigue_lab.models.graph.agcn import TwoStream
from imigue_lab.models.tokens import Tokens, grid_tokens, joint_tokens
from imigue_lab.training.gestures.map_encoder import MapEncoder


class GestureBatch(NamedTuple):
    """Both modalities of the same clips, padded; a clip without one has an empty mask there."""

    rgb: Tokens | None  # RGB tokens; None if pictures are to be encoded
    pictures: UInt8[Tensor, "B L 3 H W"] | None  # 0 for a clip without; None if `rgb` is given
    pictured: Bool[Tensor, " B"] | None  # False for a clip without; None if `rgb` is given
    skeleton: Float[Tensor, "B M T V CC"]  # joints and bones, concatenated in the channels
    frame_mask: Bool[Tensor, "B T"]  # False for padding
    places: Float[Tensor, "B M S V 2"]  # of the pose tokens
    seen: Bool[Tensor, "B M S V"]  # of the pose tokens
    steps: Int[Tensor, " B"]  # number of pose tokens in time without padding
    tokens: Float[Tensor, "B M S V W"] | None  # of a frozen encoder; None if skeletons are encoded
    label: Int[Tensor, " B"]
    clip_ids: list[str]

    def to(self, device: torch.device) -> "GestureBatch":
        return GestureBatch._make(
            x.to(device) if isinstance(x, Tensor | Tokens) else x for x in self
        )


def pad_tokens(clips: list[Tokens]) -> Tokens:
    """Batches of one clip, padded and concatenated."""
    names = ("values", "times", "mask", "places", "rest")
    return Tokens(
        **{n: pad_sequence([getattr(t, n)[0] for t in clips], batch_first=True) for n in names}
    )


class GestureSystem(nn.Module):
    """Both encoders followed by the gesture model; tokens of a frozen encoder are in the batch.

    2s-AGCN is None if the pose tokens are those of `pose_run`; the RGB encoder is None if it is
    frozen: it is not needed here, and large.
    """

    def __init__(
        self,
        encoder: TwoStream | None,
        gesture: GestureModel,
        rgb_encoder: MapEncoder | None = None,
    ):
        super().__init__()
        self.encoder, self.gesture, self.rgb_encoder = encoder, gesture, rgb_encoder

    def forward(self, batch: GestureBatch, return_attention: bool = False) -> GestureOutput:
        rgb, pose = self.rgb_tokens(batch), self.pose_tokens(batch)
        return self.gesture(rgb, pose, batch.clip_ids, return_attention)

    def rgb_tokens(self, batch: GestureBatch) -> Tokens:
        """Of the frozen encoder, or encoded now; those of clips without pictures are masked."""
        if batch.rgb is not None:
            return batch.rgb
        assert self.rgb_encoder is not None and batch.pictured is not None
        tokens = grid_tokens(self.rgb_encoder(batch.pictures))
        return replace(tokens, mask=tokens.mask & batch.pictured[:, None])

    def pose_tokens(self, batch: GestureBatch) -> Tokens:
        """Of the frozen encoder, or encoded now."""
        tokens = batch.tokens
        if tokens is None:
            assert self.encoder is not None
            tokens = self.encoder.tokens(batch.skeleton, batch.frame_mask)
        return joint_tokens(tokens, batch.places, batch.seen, batch.steps)
