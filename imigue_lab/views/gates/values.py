"""What the gates of InterFusion let through, window by window (paper section 3, Fig. 2c).

Letters in shapes: T windows of 16 frames, D channels of the tokens, G groups of channels.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from imigue_lab.data.datasets import Batch, InterviewDataset, collate
from imigue_lab.errors import RunError, some
from imigue_lab.models.emotion import EmotionModel
from imigue_lab.models.interfusion import InterFusion
from imigue_lab.training.emotion.data import EmotionData
from imigue_lab.training.emotion.train import load_emotion
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import Settings


class GatesSettings(Settings):
    """Parameters of 07_gates."""

    run: str = Field("demo", description="finished run of 02, by name; demo: as 02 is committed")
    video: str = Field("", description="interview; empty: held out, most windows without a face")


Share = Float[np.ndarray, " T"]


@dataclass(frozen=True)
class Gates:
    """The gates of one interview.

    Attributes:
        stages: one array a stage; 1 lets everything of the other stream through, 0 nothing.
        taken: one table a stage, a row a window: `face in context`, `context in face`, the share
            of the other stream in what InterFusion hands to a stream, by lengths of vectors; 0
            where the other is masked, null where the stream itself is.
        face_seen: whether the window holds a face.
        logit: of a win.
    """

    video_id: str
    stages: list[Float[np.ndarray, "T D"]]
    taken: list[pd.DataFrame]
    face_seen: Bool[np.ndarray, " T"]
    logit: float

    @property
    def probability(self) -> float:
        """Of a win."""
        return float(1 / (1 + np.exp(-self.logit)))

    def mean(self) -> pd.DataFrame:
        """Mean gate over channels, a column a stage."""
        columns = {f"stage {n}": gate.mean(axis=1) for n, gate in enumerate(self.stages, start=1)}
        return pd.DataFrame(columns).rename_axis("window")

    def by_group(self, groups: int = 16) -> list[Float[np.ndarray, "T G"]]:
        """Mean gate of groups of channels, an array a stage.

        Channels are sorted by their mean gate in the first stage and cut into equal groups, so a
        row of both stages is about the same channels.
        """
        order = np.argsort(self.stages[0].mean(axis=0), kind="stable")
        parts = np.array_split(order, min(groups, len(order)))
        return [np.stack([g[:, part].mean(axis=1) for part in parts], 1) for g in self.stages]


def whole_interview(data: EmotionData, video_id: str) -> Batch:
    """A batch of one.

    Raises:
        RunError: the interview is not in the data.
    """
    videos = data.split.videos[data.split.videos.video_id == video_id]
    if videos.empty:
        raise RunError(f"video {video_id!r} is not there: {some(data.split.videos.video_id)}")
    return collate([InterviewDataset(data.features, videos)[0]])


def load_gated(run: Run, data: EmotionData) -> EmotionModel:
    """The run's best model.

    Raises:
        RunError: it has no gates.
    """
    model = load_emotion(run, data)
    if not isinstance(model, EmotionModel) or not len(model.fusions):
        raise RunError(f"{run.folder.name}: its fusion has no gates; choose an interfusion run")
    return model


def read_gates(run: Run, data: EmotionData, video_id: str) -> Gates:
    """Runs the run's best model over one whole interview.

    Raises:
        RunError: the model has no gates, or the interview is not in the data.
    """
    return gates_of(load_gated(run, data), whole_interview(data, video_id))


@torch.no_grad()
def gates_of(model: EmotionModel, batch: Batch) -> Gates:
    """The gates of an interview that is alone in its batch."""
    entered: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, streams: tuple[Tensor, Tensor]) -> None:
        entered.append(streams)

    hooks = [fusion.register_forward_pre_hook(keep) for fusion in model.fusions]
    try:
        output = model(**batch.inputs(), return_gates=True)
    finally:
        for hook in hooks:
            hook.remove()
    masks = batch.context_mask[0].numpy(), batch.face_mask[0].numpy()
    taken = []
    for fusion, (context, face) in zip(model.fusions, entered, strict=True):
        assert isinstance(fusion, InterFusion)
        (own, from_face), (from_context, own_face) = fusion.parts(context, face)
        shares = {
            "face in context": share_of(from_face, own, masks[0]),
            "context in face": share_of(from_context, own_face, masks[1]),
        }
        taken.append(pd.DataFrame(shares).rename_axis("window"))
    stages = [gate[0].numpy() for gate in output.gates]
    seen = masks[1]
    return Gates(batch.video_ids[0], stages, taken, seen, float(output.logit[0]))


def share_of(
    other: Float[Tensor, "1 T D"], own: Float[Tensor, "1 T D"], seen: Bool[np.ndarray, " T"]
) -> Share:
    """Length of `other` in the lengths of both; NaN where the stream has no window."""
    lengths = [part[0].norm(dim=-1).numpy() for part in (other, own)]
    return np.divide(lengths[0], sum(lengths), out=np.full(len(seen), np.nan), where=seen)
