"""Trains and scores the emotion model: settings in, a finished run folder out (paper section 3)."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from imigue_lab.data.datasets import (
    InterviewDataset,
    collate,
)
from imigue_lab.data.samplers import BucketSampler
from imigue_lab.data.splits import EmotionSplit
from imigue_lab.data.vocabulary import OUTCOMES
from imigue_lab.models.emotion import FocalLoss, balanced_class_weights, build_emotion
from imigue_lab.training.emotion.data import EmotionData, load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.loop import Stopping, build_scheduler, fit
from imigue_lab.training.ranks import ALONE, Piece, Ranks
from imigue_lab.training.runs import Row, Run, open_run
from imigue_lab.training.scores import point_scores, score_table
from imigue_lab.training.session import Session, open_session

MODEL_SETTINGS = ("width", "depth", "heads", "dropout", "fusion", "gate", "stages")


def train_emotion(settings: EmotionSettings, data: EmotionData | None = None) -> Run:
    """Trains, or resumes, or returns at once what is finished.

    The test split is read once, after the last epoch, by the model of the best validation epoch.

    Args:
        data: of these settings, where it is loaded already.
    """
    data = data or load_emotion_data(settings)
    run = open_run("emotion", settings, data.identity())
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        fabric, ranks = session.fabric, session.ranks
        checkpoint = checkpoint_of(settings, data)
        model = build_emotion(**checkpoint["model"])
        loss = build_loss(settings, data.split).to(fabric.device)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )

        def evaluate(model: nn.Module) -> Row:
            told = predict(fabric, model, data, "validation", settings, ranks)
            return validation_scores(told, loss)

        best = fit(
            session,
            model,
            optimizer,
            build_scheduler(settings.scheduler, optimizer, settings.epochs, settings.patience),
            TrainingBatches(data, settings),
            lambda model, batch: loss(model(**batch.inputs()).logit, batch.outcome),
            evaluate,
            checkpoint,
            Stopping(settings.epochs, settings.patience),
        )
        finish(session, best.to(fabric.device), data, settings)
    return run


def checkpoint_of(settings: EmotionSettings, data: EmotionData) -> dict[str, Any]:
    """What the weights may be loaded into."""
    context_dim, face_dim = data.features.widths
    arguments = {name: getattr(settings, name) for name in MODEL_SETTINGS}
    return {
        "task": "emotion",
        "classes": list(OUTCOMES),
        "context": data.context.name,
        "face": data.face.name,
        "model": {"context_dim": context_dim, "face_dim": face_dim, **arguments},
    }


def load_emotion(run: Run, data: EmotionData | None = None) -> nn.Module:
    """The best model of a run in eval mode; refused for features of another encoder.

    Raises:
        RunError: not an emotion checkpoint, or made for other features; the sentence says which.
    """
    found = run.read_checkpoint("best")
    wanted = {**found, "task": "emotion", "classes": list(OUTCOMES)}
    if data:
        wanted |= {"context": data.context.name, "face": data.face.name}
    weights = run.load_weights("best", wanted)
    model = build_emotion(**found["model"])
    model.load_state_dict(weights)
    return model.eval()


def build_loss(settings: EmotionSettings, split: EmotionSplit) -> FocalLoss:
    """Focal or cross-entropy, weighted by the training part as it is after negatives have moved."""
    counts = split.part("train").outcome.value_counts()
    balanced = settings.class_weights == "balanced"
    weights = balanced_class_weights(int(counts[0]), int(counts[1])) if balanced else (1.0, 1.0)
    return FocalLoss(settings.gamma if settings.loss == "focal" else 0.0, weights)


class TrainingBatches:
    """Cropped, shuffled, bucketed batches of the training part."""

    def __init__(self, data: EmotionData, settings: EmotionSettings):
        self.dataset = InterviewDataset(
            data.features, data.split.part("train"), settings.max_windows, settings.seed
        )
        self.sampler = BucketSampler(self.dataset.lengths, settings.batch_size, settings.seed)

    def __len__(self) -> int:
        return len(self.sampler)

    def steps(self, epoch: int, ranks: Ranks = ALONE) -> Iterator[list[Piece]]:
        self.dataset.epoch = self.sampler.epoch = epoch
        for numbers in self.sampler:
            yield [
                Piece(collate([self.dataset[number] for number in own]), weight)
                for own, weight in ranks.deal(numbers)
            ]


@torch.no_grad()
def predict(
    fabric: Fabric,
    model: nn.Module,
    data: EmotionData,
    split: str,
    settings: EmotionSettings,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """One row an interview of a part, whole interviews, keyed by id.

    Columns: video_id, subject, split, outcome, logit, probability (of a win), based_on (both,
    context, face or nothing: the streams with a valid window), windows, windows_with_face.
    """
    model.eval()
    videos = data.split.part(split)
    dataset = InterviewDataset(data.features, videos)
    order = sorted(range(len(dataset)), key=lambda number: dataset.lengths[number])
    rows = []
    for start in ranks.share(range(0, len(order), settings.batch_size)):
        batch = collate([dataset[number] for number in order[start : start + settings.batch_size]])
        with fabric.autocast():
            output = model(**batch.to(fabric.device).inputs())
        rows += [
            {
                "video_id": video_id,
                "logit": logit,
                "based_on": based_on(settings.fusion, has_context, has_face),
                "windows": windows,
                "windows_with_face": with_face,
            }
            for video_id, logit, has_context, has_face, windows, with_face in zip(
                batch.video_ids,
                output.logit.tolist(),
                output.has_context.tolist(),
                output.has_face.tolist(),
                (batch.context_mask | batch.face_mask).sum(dim=1).tolist(),
                batch.face_mask.sum(dim=1).tolist(),
                strict=True,
            )
        ]
    table = pd.DataFrame([row for own in ranks.gather(rows) for row in own])
    table["probability"] = torch.sigmoid(torch.tensor(table.logit.to_numpy())).numpy()
    return videos.merge(table, on="video_id", validate="one_to_one")


def based_on(fusion: str, has_context: bool, has_face: bool) -> str:
    """Which streams a prediction was made from."""
    seen = {
        "context": has_context and fusion != "face_only",
        "face": has_face and fusion != "context_only",
    }
    streams = [stream for stream, there in seen.items() if there]
    return {0: "nothing", 1: "".join(streams), 2: "both"}[len(streams)]


def validation_scores(predictions: pd.DataFrame, loss: FocalLoss) -> Row:
    """A row of metrics.csv: the loss and the scores on validation."""
    device = loss.class_weights.device
    logit = torch.tensor(predictions.logit.to_numpy(), device=device, dtype=torch.float32)
    outcome: Tensor = torch.tensor(predictions.outcome.to_numpy().astype(int), device=device)
    scores = point_scores(predictions)
    return {
        "validation_loss": float(loss(logit, outcome)),
        **{f"validation_{name}": value for name, value in scores.items()},
    }


def finish(
    session: Session, model: nn.Module, data: EmotionData, settings: EmotionSettings
) -> None:
    """Predicts every part, and writes it with what made it."""
    parts = [split for split in ("train", "validation", "test") if len(data.split.part(split))]
    predictions = pd.concat(
        [predict(session.fabric, model, data, part, settings, session.ranks) for part in parts]
    ).sort_values("video_id", ignore_index=True)
    session.finish(predictions, score_table, data.remarks())
