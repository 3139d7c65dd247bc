"""The gates of InterFusion in one interview, window by window (paper section 3, Fig. 2c).

Letters in shapes: T windows of 16 frames, D channels of the tokens, G groups of channels.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from scipy.special import expit
from torch import Tensor, nn

from imigue_lab.data.datasets import Batch, InterviewDataset, collate
from imigue_lab.errors import RunError, some
from imigue_lab.models.emotion import EmotionModel, InterFusion
from imigue_lab.training.emotion.data import EmotionData
from imigue_lab.training.emotion.train import load_emotion
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import Settings, setting

Tokens = Float[Tensor, "1 T D"]
Windows = Bool[np.ndarray, " T"]
MEAN, FROM_FACE, FROM_CONTEXT = "mean gate", "face in context", "context in face"


class GatesSettings(Settings):
    """Parameters of 07_gates."""

    run: str = setting("demo", "finished run of 02, by name; demo: as 02 is committed")
    video: str = setting("", "video id; empty: the held-out one with most windows without a face")


@dataclass(frozen=True)
class Gates:
    """The gates of one interview.

    `per_window` has for each stage n `mean gate, stage n` (over channels), `face in context, stage
    n` and `context in face, stage n`: the share of the other stream in InterFusion's output for a
    stream, by vector length; 0 where the other is masked, null where the stream is.
    """

    video_id: str
    stages: list[Float[np.ndarray, "T D"]]  # 1 passes everything of the other stream, 0 nothing
    per_window: pd.DataFrame
    face_seen: Windows  # whether the window contains a face
    outcome: str  # whose probability is shown: of two the positive, of more the predicted one
    logit: float  # of this outcome, against all others
    face: Float[np.ndarray, "T W"] | None = None  # features

    @property
    def probability(self) -> float:
        """Of `outcome`."""
        return float(expit(self.logit))

    def columns(self, *quantities: str) -> list[str]:
        """The columns of `per_window` for `MEAN`, `FROM_FACE` or `FROM_CONTEXT`, in all stages."""
        return [name for name in self.per_window if name.split(", ")[0] in quantities]

    def by_group(self, groups: int = 16) -> list[Float[np.ndarray, "T G"]]:
        """Mean gates of equal groups of channels, sorted by mean gate in the first stage.

        A group contains the same channels in both stages.
        """
        order = np.argsort(self.stages[0].mean(axis=0), kind="stable")
        channels = np.array_split(order, min(groups, len(order)))
        return [np.stack([g[:, own].mean(axis=1) for own in channels], 1) for g in self.stages]


def whole_interview(data: EmotionData, video_id: str) -> Batch:
    """A batch of one. Raises RunError where the data do not contain the interview."""
    videos = data.split.videos[data.split.videos.video_id == video_id]
    if videos.empty:
        raise RunError(
            f"video {video_id!r} is not in the run's data; choose one of"
            f" {some(data.split.videos.video_id)}"
        )
    return collate([InterviewDataset(data.features, videos)[0]])


def load_gated(run: Run, data: EmotionData) -> EmotionModel:
    """The run's best model. Raises RunError where it has no gates."""
    model = load_emotion(run, data)
    if not isinstance(model, EmotionModel) or not len(model.fusions):
        raise RunError(f"{run.folder.name}: its fusion has no gates; choose an interfusion run")
    return model


def read_gates(run: Run, data: EmotionData, video_id: str) -> Gates:
    """Gates of one whole interview; errors as of `load_gated` and `whole_interview`."""
    return compute_gates(load_gated(run, data), whole_interview(data, video_id), run.outcomes())


@torch.no_grad()
def compute_gates(model: EmotionModel, batch: Batch, outcomes: Sequence[str]) -> Gates:
    """The gates of an interview that is alone in its batch."""
    inputs: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, streams: tuple[Tensor, Tensor]) -> None:
        inputs.append(streams)

    with ExitStack() as hooks:
        for fusion in model.fusions:
            hooks.enter_context(fusion.register_forward_pre_hook(keep))
        output = model(**batch.inputs(), return_gates=True)
    stages = [gate[0].numpy() for gate in output.gates]
    context_seen, face_seen = batch.context_mask[0].numpy(), batch.face_mask[0].numpy()
    columns = {}
    for stage, (fusion, gate) in enumerate(zip(model.fusions, stages, strict=True), start=1):
        assert isinstance(fusion, InterFusion)
        (context, from_face), (from_context, face) = fusion.parts(*inputs[stage - 1])
        columns[f"{MEAN}, stage {stage}"] = gate.mean(axis=1)
        columns[f"{FROM_FACE}, stage {stage}"] = share(from_face, context, context_seen)
        columns[f"{FROM_CONTEXT}, stage {stage}"] = share(from_context, face, face_seen)
    per_window = pd.DataFrame(columns).rename_axis("window")
    place, features = shown_outcome(output.logit), batch.face[0].float().numpy()
    logit, outcome = float(log_odds(output.logit, place)[0]), outcomes[place]
    return Gates(batch.video_ids[0], stages, per_window, face_seen, outcome, logit, features)


def shown_outcome(logit: Float[Tensor, "1 *K"]) -> int:
    """The place of the outcome that figures of one interview show, from its logit; see `Gates`."""
    return 1 if logit.ndim == 1 else int(logit[0].argmax())


def log_odds(logit: Float[Tensor, "B *K"], place: int) -> Float[Tensor, " B"]:
    """The logit of one outcome against all others: ``log p / (1 - p)``."""
    if logit.ndim == 1:
        return logit
    others = [other for other in range(logit.shape[1]) if other != place]
    return logit[:, place] - logit[:, others].logsumexp(dim=1)


def share(other: Tokens, own: Tokens, seen: Windows) -> Float[np.ndarray, " T"]:
    """``|other| / (|other| + |own|)``; NaN where the stream has no window."""
    lengths = [tokens[0].norm(dim=-1).numpy() for tokens in (other, own)]
    return np.divide(lengths[0], sum(lengths), out=np.full(len(seen), np.nan), where=seen)
