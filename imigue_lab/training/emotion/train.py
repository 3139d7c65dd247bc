"""Trains and scores the emotion model: settings in, a finished run folder out (paper section 3)."""

from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from imigue_lab.data.datasets import InterviewDataset, collate
from imigue_lab.data.index import SPLITS
from imigue_lab.data.samplers import BucketSampler
from imigue_lab.data.splits import EmotionSplit
from imigue_lab.data.vocabulary import OUTCOMES
from imigue_lab.models.emotion import FocalLoss, balanced_class_weights, build_emotion
from imigue_lab.training.emotion.data import EmotionData, load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.loop import (
    EpochBatches,
    Stopping,
    build_scheduler,
    fit,
    refit_remark,
    selecting,
)
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.runs import Row, Run, open_run
from imigue_lab.training.scores import point_scores, score_table
from imigue_lab.training.session import Device, open_session

MODEL_SETTINGS = ("width", "depth", "heads", "dropout", "fusion", "gate", "stages")


def train_emotion(settings: EmotionSettings, data: EmotionData | None = None) -> Run:
    """Trains or resumes a run; a finished one is returned at once.

    The test split is read once, after the last epoch, by the model of the kept epoch.
    With `refit` another run finds the number of epochs first.

    Args:
        data: as `load_emotion_data(settings)` returns it, if loaded already.
    """
    data = data or load_emotion_data(settings)
    selection = train_emotion(selecting(settings), data) if settings.refit else None
    data = data.refitted(refit_remark(selection)) if selection else data
    run = open_run("emotion", settings, data.identity())
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        device, ranks = session.device, session.ranks
        checkpoint = checkpoint_of(settings, data)
        model = build_emotion(**checkpoint["model"])
        loss = build_loss(settings, data.split).to(device.torch_device)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )

        def evaluate(model: nn.Module) -> Row:
            predictions = predict(device, model, data, "validation", settings, ranks)
            return validation_scores(predictions, loss)

        best = fit(
            session,
            model,
            optimizer,
            build_scheduler(settings.scheduler, optimizer, settings.epochs, settings.patience),
            training_batches(data, settings),
            lambda model, batch: loss(model(**batch.inputs()).logit, batch.outcome),
            evaluate if len(data.split.part("validation")) else None,
            checkpoint,
            Stopping(settings.epochs, settings.patience, keep=settings.keep),
            selection=selection,
        )
        tables = (
            predict(device, best, data, split, settings, ranks)
            for split in SPLITS
            if len(data.split.part(split))
        )
        session.finish(tables, score_table, data.remarks())
    return run


def checkpoint_of(settings: EmotionSettings, data: EmotionData) -> dict[str, Any]:
    """Describes the weights: which features and model they fit."""
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
    """The best model of a run in eval mode.

    Args:
        data: what it is to be applied to.

    Raises:
        RunError: not an emotion model, or trained on features of another encoder.
    """
    names = {"context": data.context.name, "face": data.face.name} if data else {}
    return run.load_model(
        lambda checkpoint: build_emotion(**checkpoint["model"]),
        task="emotion",
        classes=list(OUTCOMES),
        **names,
    )


def build_loss(settings: EmotionSettings, split: EmotionSplit) -> FocalLoss:
    """Focal loss or cross-entropy; class weights are counted after negatives have moved."""
    counts = split.part("train").outcome.value_counts()
    balanced = settings.class_weights == "balanced"
    weights = balanced_class_weights(int(counts[0]), int(counts[1])) if balanced else (1.0, 1.0)
    return FocalLoss(settings.gamma if settings.loss == "focal" else 0.0, weights)


def training_batches(data: EmotionData, settings: EmotionSettings) -> EpochBatches:
    """Cropped interviews in shuffled batches of similar length."""
    videos = data.split.part("train")
    dataset = InterviewDataset(data.features, videos, settings.max_windows, settings.seed)
    sampler = BucketSampler(dataset.lengths, settings.batch_size, settings.seed)
    return EpochBatches(sampler, lambda own: collate([dataset[n] for n, _ in own]), dataset)


@torch.no_grad()
def predict(
    device: Device,
    model: nn.Module,
    data: EmotionData,
    split: str,
    settings: EmotionSettings,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """One row per interview of a split, not cropped, keyed by id.

    Columns: video_id, subject, split, outcome, logit, probability (of a win), based_on (both,
    context, face or nothing: the streams with a valid window), windows, windows_with_face.
    """
    model.eval()
    videos = data.split.part(split)
    dataset = InterviewDataset(data.features, videos)
    rows = []
    for numbers in ranks.batches_by_length(dataset.lengths, settings.batch_size):
        batch = collate([dataset[number] for number in numbers])
        with device.autocast():
            output = model(**batch.to(device.torch_device).inputs())
        present = zip(output.has_context.tolist(), output.has_face.tolist(), strict=True)
        columns = {
            "video_id": batch.video_ids,
            "logit": output.logit.tolist(),
            "based_on": [based_on(settings.fusion, *streams) for streams in present],
            "windows": (batch.context_mask | batch.face_mask).sum(dim=1).tolist(),
            "windows_with_face": batch.face_mask.sum(dim=1).tolist(),
        }
        rows.append(pd.DataFrame(columns))
    table = ranks.gather_rows(rows)
    table["probability"] = torch.sigmoid(torch.tensor(table.logit.to_numpy())).numpy()
    return videos.merge(table, on="video_id", validate="one_to_one")


def based_on(fusion: str, has_context: bool, has_face: bool) -> str:
    """The streams that a prediction is based on."""
    seen = {
        "context": has_context and fusion != "face_only",
        "face": has_face and fusion != "context_only",
    }
    streams = [stream for stream, present in seen.items() if present]
    return {0: "nothing", 1: "".join(streams), 2: "both"}[len(streams)]


def validation_scores(predictions: pd.DataFrame, loss: FocalLoss) -> Row:
    """Loss and scores of the validation split, a row of metrics.csv."""
    device = loss.class_weights.device
    logit = torch.tensor(predictions.logit.to_numpy(), device=device, dtype=torch.float32)
    outcome: Tensor = torch.tensor(predictions.outcome.to_numpy().astype(int), device=device)
    scores = point_scores(predictions)
    return {
        "validation_loss": float(loss(logit, outcome)),
        **{f"validation_{name}": value for name, value in scores.items()},
    }
