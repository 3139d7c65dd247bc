"""Trains and scores the emotion model: settings in, a finished run folder out (paper section 3)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.datasets import InterviewDataset, collate, overlapping_crops, present_windows
from imigue_lab.data.index import SPLITS
from imigue_lab.data.samplers import BucketSampler
from imigue_lab.data.splits import EmotionSplit
from imigue_lab.models.emotion import FocalLoss, Standardise, balanced_class_weights, build_emotion
from imigue_lab.training.emotion.data import EmotionData, load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.loop import EpochBatches, Stopping, fit, select_epochs
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.runs import Row, Run, open_run
from imigue_lab.training.scores import probabilities, validation_scores
from imigue_lab.training.session import Device, open_session

MODEL_SETTINGS = "width depth heads dropout fusion gate stages standardise".split()


def train_emotion(
    settings: EmotionSettings,
    loaded: EmotionData | None = None,
    fit: Callable[..., nn.Module] = fit,
) -> Run:
    """Trains or resumes a run; a finished one is returned at once.

    The test split is read once, after the last epoch, by the model of the kept epoch. With `refit`
    another run finds the number of epochs first. `loaded` is what `load_emotion_data(settings)`
    returns, if it is loaded already; `fit` trains: a trial (`training.trial`) has its own.
    """
    data = loaded or load_emotion_data(settings)
    selection, data = select_epochs(train_emotion, settings, data)
    run = open_run("emotion", settings, data.identity(), data.split.vocabulary)
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        device, ranks = session.device, session.ranks
        checkpoint = checkpoint_of(settings, data)
        model = build_emotion(**checkpoint["model"])
        standardise(model, data)
        loss = build_loss(settings, data.split).to(device.torch_device)
        vectors = settings.weight_decay * settings.decay_norms
        groups: list[dict[str, Any]] = [
            {"params": [p for p in model.parameters() if p.ndim > 1]},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": vectors},
        ]
        optimizer = torch.optim.AdamW(groups, settings.lr, weight_decay=settings.weight_decay)

        def predicted(split: str, model: nn.Module) -> pd.DataFrame:
            return predict(device, model, data, split, settings, ranks)

        def evaluate(model: nn.Module) -> Row:
            predictions = predicted("validation", model)
            return validation_scores(predictions, loss_of(predictions, loss))

        best = fit(
            session,
            model,
            optimizer,
            settings.scheduler,
            training_batches(data, settings),
            lambda model, batch: loss(model(**batch.inputs()).logit, batch.outcome),
            evaluate if len(data.split.part("validation")) else None,
            checkpoint,
            Stopping(settings.epochs, settings.patience, keep=settings.keep),
            selection=selection,
        )
        tables = [predicted(split, best) for split in SPLITS if len(data.split.part(split))]
        session.finish(tables, data.split.outcomes, data.remarks())
    return run


def checkpoint_of(settings: EmotionSettings, data: EmotionData) -> dict[str, Any]:
    """Describes the weights: which features and model they fit."""
    context_dim, face_dim = data.features.widths
    arguments = {name: getattr(settings, name) for name in MODEL_SETTINGS}
    if len(data.split.outcomes) > 2:
        arguments["outcomes"] = len(data.split.outcomes)
    return {
        "task": "emotion",
        "classes": list(data.split.outcomes),
        "context": data.context.name,
        "face": data.face.name,
        "model": {"context_dim": context_dim, "face_dim": face_dim, **arguments},
    }


def standardise(model: nn.Module, data: EmotionData) -> None:
    """Sets the mean and deviation of the features to those of the training interviews."""
    for name, part in model.named_modules():
        if isinstance(part, Standardise):
            features = data.features.context if "context" in name else data.features.face
            rows = torch.cat([features[video] for video in data.split.part("train").video_id])
            part.set(rows[present_windows(rows)])


def load_emotion(run: Run, data: EmotionData | None = None) -> nn.Module:
    """The best model of a run in eval mode, to be applied to `data`.

    Raises RunError if it is no emotion model, or of other outcomes or another encoder's features.
    """
    expected: dict[str, Any] = {"task": "emotion"}
    if data:
        expected |= {"context": data.context.name, "face": data.face.name}
        expected["classes"] = list(data.split.outcomes)
    return run.load_model(lambda checkpoint: build_emotion(**checkpoint["model"]), **expected)


def build_loss(settings: EmotionSettings, split: EmotionSplit) -> FocalLoss:
    """Focal loss or cross-entropy; class weights are counted after negatives have moved."""
    outcome = split.part("train").outcome
    counts = [int((outcome == place).sum()) for place in range(len(split.outcomes))]
    balanced = settings.class_weights == "balanced"
    weights = balanced_class_weights(counts) if balanced else (1.0,) * len(counts)
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
    """One row per interview of a split, whole or the mean of its crops, keyed by id.

    Columns: video_id, subject, split, outcome, based_on (both, context, face or nothing: the
    streams with a valid window), windows, windows_with_face; of two outcomes logit and probability
    of the last; of more predicted and p0, p1, ... of each.
    """
    model.eval()
    videos = data.split.part(split)
    dataset = InterviewDataset(data.features, videos)
    rows = []
    for numbers in ranks.batches_by_length(dataset.lengths, settings.batch_size):
        whole = [dataset[number] for number in numbers]
        batch, length = collate(whole), settings.max_windows if settings.average_crops else 0
        crops = [overlapping_crops(own, length) if length else [own] for own in whole]
        seen = collate([crop for own in crops for crop in own])
        with device.autocast():
            logit = model(**seen.to(device.torch_device).inputs()).logit
        present = torch.stack([batch.context_mask.any(1), batch.face_mask.any(1)], dim=1).tolist()
        columns = {
            "video_id": batch.video_ids,
            **logit_columns(mean_logit(logit, [len(own) for own in crops])),
            "based_on": [based_on(settings.fusion, *streams) for streams in present],
            "windows": (batch.context_mask | batch.face_mask).sum(dim=1).tolist(),
            "windows_with_face": batch.face_mask.sum(dim=1).tolist(),
        }
        rows.append(pd.DataFrame(columns))
    table = ranks.gather_rows(rows)
    if "logit" in table:
        table["probability"] = torch.sigmoid(torch.tensor(table.logit.to_numpy())).numpy()
    return videos.merge(table, on="video_id", validate="one_to_one")


def mean_logit(logit: Float[Tensor, "C *K"], counts: list[int]) -> Float[Tensor, "B *K"]:
    """The logits of the mean probability of each interview's crops; of a single one its own."""

    def mean(own: Float[Tensor, "C *K"]) -> Float[Tensor, "*K"]:
        if own.ndim > 1:
            return own.softmax(dim=1).mean(dim=0).log()
        return own.sigmoid().mean().logit(eps=1e-12)

    parts = logit.cpu().double().split(counts)
    return torch.stack([own[0] if len(own) == 1 else mean(own) for own in parts])


def logit_columns(logit: Float[Tensor, "B *K"]) -> dict[str, list[Any]]:
    """`logit`, or `predicted` and the probabilities of more than two outcomes."""
    if logit.ndim == 1:
        return {"logit": logit.tolist()}
    probability = logit.double().softmax(dim=1)
    columns = {f"p{place}": own.tolist() for place, own in enumerate(probability.T)}
    return {"predicted": probability.argmax(dim=1).tolist(), **columns}


def based_on(fusion: str, has_context: bool, has_face: bool) -> str:
    """The streams that a prediction is based on."""
    seen = has_context and fusion != "face_only", has_face and fusion != "context_only"
    names = {(True, True): "both", (True, False): "context", (False, True): "face"}
    return names.get(seen, "nothing")


def loss_of(predictions: pd.DataFrame, loss: FocalLoss) -> float:
    """The mean loss of a table of predictions."""
    device = loss.class_weights.device
    logits = predictions.get("logit")
    if logits is None:  # a softmax of log probabilities gives these probabilities
        logits = np.log(np.maximum(probabilities(predictions), 1e-300))
    logit = torch.tensor(np.asarray(logits), device=device, dtype=torch.float32)
    outcome: Tensor = torch.tensor(predictions.outcome.to_numpy().astype(int), device=device)
    return float(loss(logit, outcome))
