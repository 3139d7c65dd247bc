"""The gesture model and the encoders before it, as they are trained and kept together."""

from typing import Any

from torch import nn

from imigue_lab.models.gesture import GestureModel, GestureOutput
from imigue_lab.models.tokens import Tokens
from imigue_lab.models.two_stream import TwoStream
from imigue_lab.training.gestures.batches import GestureBatch
from imigue_lab.training.gestures.rgb_encoder import RgbEncoder


class GestureSystem(nn.Module):
    """Both encoders and the gesture model behind them; a frozen encoder's tokens come along.

    Args:
        rgb_encoder: None where it is frozen: nothing here needs it, and it is large.
    """

    def __init__(
        self, encoder: TwoStream, gesture: GestureModel, rgb_encoder: RgbEncoder | None = None
    ):
        super().__init__()
        self.encoder, self.gesture, self.rgb_encoder = encoder, gesture, rgb_encoder

    def forward(self, batch: GestureBatch, return_attention: bool = False) -> GestureOutput:
        rgb, pose = self.rgb_tokens(batch), self.pose_tokens(batch)
        return self.gesture(rgb, pose, batch.clip_ids, return_attention)

    def rgb_tokens(self, batch: GestureBatch) -> Tokens:
        """Those of the frozen encoder, or what the encoder says now."""
        if batch.rgb is not None:
            return batch.rgb
        assert self.rgb_encoder is not None and batch.pictures is not None
        return batch.map(self.rgb_encoder(batch.pictures))

    def pose_tokens(self, batch: GestureBatch) -> Tokens:
        """The same of the pose encoder."""
        tokens = batch.tokens
        if tokens is None:
            joints, bones = batch.skeleton.chunk(2, dim=-1)
            tokens = self.encoder.tokens(joints, bones, batch.frame_mask)
        return batch.pose(tokens)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The gesture model's, and one of each encoder that is trained along."""
        groups = self.gesture.parameter_groups(weight_decay)
        for encoder in (self.encoder, self.rgb_encoder):
            own = [] if encoder is None else [p for p in encoder.parameters() if p.requires_grad]
            if own:
                groups.append({"params": own, "weight_decay": weight_decay})
        return groups
