"""All that notebook 07 shows of one interview, read once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float32

from imigue_lab.data.datasets import Batch
from imigue_lab.data.store import open_features
from imigue_lab.errors import RunError, some
from imigue_lab.models.emotion import EmotionModel
from imigue_lab.training.finished.opened import EmotionRun
from imigue_lab.views.gates.gates import Gates, gates_of, load_gated, whole_interview
from imigue_lab.views.gates.lanes import gate_lanes
from imigue_lab.views.gates.withholding import running_probability
from imigue_lab.views.player.lanes import Lanes
from imigue_lab.views.player.moment import Moment
from imigue_lab.views.player.player import Player
from imigue_lab.views.strip import Strip, face_strip, frame_strip


@dataclass(frozen=True)
class Interview:
    """One interview as a run's best model sees it.

    Attributes:
        face_share: share of each window's frames that show the face; None where it is not stored.
        strips: frames, and the faces that the encoder was given.
        running: `withholding.running_probability`.
    """

    model: EmotionModel
    batch: Batch
    gates: Gates
    face_share: Float32[np.ndarray, " T"] | None
    strips: tuple[Strip, Strip]
    running: pd.DataFrame

    @property
    def video_id(self) -> str:
        return self.gates.video_id


def choose(emotion: EmotionRun, video_id: str = "") -> Interview:
    """Reads one interview.

    Args:
        video_id: empty: of those not in training, the one with most windows without a face.

    Raises:
        RunError: the run's model has no gates, or its data hold no such interview.
    """
    video_id = video_id or most_hidden(emotion)
    model = load_gated(emotion.run, emotion.data)
    batch = whole_interview(emotion.data, video_id)
    windows = batch.context.shape[1]
    source = open_features(emotion.settings.face, emotion.settings.store, emotion.index)
    strips = (
        frame_strip(emotion.index, video_id, windows),
        face_strip(emotion.index, source, video_id, windows),
    )
    share = source.read(video_id).get("face_share")
    running = running_probability(model, batch)
    return Interview(model, batch, gates_of(model, batch), share, strips, running)


def most_hidden(emotion: EmotionRun) -> str:
    """The held-out interview with most windows without a face."""
    predictions = emotion.run.predictions()
    held_out = predictions[predictions.split != "train"]
    if held_out.empty:
        raise RunError(
            f"{emotion.run.folder}: predicts no held-out interview; name one with `video`:"
            f" {some(predictions.video_id)}"
        )
    return str(held_out.video_id[(held_out.windows - held_out.windows_with_face).idxmax()])


def look(emotion: EmotionRun, interview: Interview) -> tuple[Player, Lanes]:
    """The interview in the player, and its gates as lanes that move it."""
    moment = Moment(emotion.index, interview.video_id)
    lanes = gate_lanes(moment, interview.gates, interview.running, interview.face_share)
    return Player(moment), lanes
