"""Pre-trains an encoder to reconstruct what is masked; probes it with labelled clips.

Settings in, a finished run folder out, from which 04 starts (`checkpoint`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from imigue_lab.data.skeletons.keypoints import Stored, body_parts, to_stored
from imigue_lab.models.baselines import SIZES
from imigue_lab.models.mamp import MotionPredictor
from imigue_lab.models.pictures.videomae import VideoPainter
from imigue_lab.training.baselines.clips import Clips, Seen, draws_in_order, training_batches
from imigue_lab.training.baselines.pictures import SIDES
from imigue_lab.training.leaks import record_training_clips
from imigue_lab.training.loop import Stopping, fit
from imigue_lab.training.pretraining.data import PretrainingData, load_pretraining_data
from imigue_lab.training.pretraining.settings import ROW, PretrainSettings
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.runs import Row, Run, open_run
from imigue_lab.training.scores import clusters_of
from imigue_lab.training.session import Device, open_session
from imigue_lab.training.statistics import interval_of_mean, interval_of_share

PROBES: dict[str, Any] = {
    "5 nearest neighbours": KNeighborsClassifier(5, metric="cosine"),
    "linear": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "most frequent class": DummyClassifier(strategy="most_frequent"),
}
BETAS = (0.9, 0.95)
Examples = tuple[pd.DataFrame, pd.DataFrame]  # `features` of train and validation
DECODERS: dict[str, dict[str, int]] = {  # of the small size
    "motion": {"decoder_width": 32, "decoder_depth": 1},
    "video": {"decoder_width": 64, "decoder_depth": 2, "decoder_heads": 4},
}


def pretrain(
    settings: PretrainSettings,
    loaded: PretrainingData | None = None,
    fit: Callable[..., nn.Module] = fit,
) -> Run:
    """Trains or resumes a run; a finished one is returned at once.

    Args:
        loaded: what `load_pretraining_data(settings)` returns, if it is loaded already.
        fit: trains; a trial (`training.trial`) has its own.
    """
    data = loaded or load_pretraining_data(settings)
    run = open_run("pretraining", settings, data.windows.identity(), data.windows.split.vocabulary)
    with open_session(run, settings, data.windows.remarks()) as session:
        if session is None:
            return run
        device, ranks = session.device, session.ranks
        if ranks.first:
            record_training_clips(run, {"skeleton": dict.fromkeys(data.recorded, "")})
        checkpoint = checkpoint_of(settings, data)
        model = build_pretraining(checkpoint).to(device.torch_device)
        optimizer = torch.optim.AdamW(
            parameter_groups(model, settings.weight_decay), lr=settings.lr, betas=BETAS
        )
        clips = data.clips("train", settings, training=True)
        validation = data.clips("validation", settings)

        def examples(model: nn.Module) -> Examples:
            parts = (data.examples(split, settings) for split in ("train", "validation"))
            train, own = (features(device, model, part, settings.batch_size) for part in parts)
            return train, own

        def loss_of(model: nn.Module, batch: Seen) -> Tensor:
            found = model(*clips.enter(batch))
            return found.errors(found.predicted, len(batch.clip_ids)).mean()

        def evaluate(model: nn.Module) -> Row:
            errors = reconstruct(device, model, validation, settings.batch_size, ranks)
            row: Row = {"validation_loss": float(errors.error.mean())}
            if settings.probe:
                probe = PROBES["linear"]
                row["probe_accuracy"] = float(correct_by(probe, *examples(model)).mean())
            return row

        untrained = examples(model) if settings.probe else None
        best = fit(
            session,
            model,
            optimizer,
            settings.scheduler,
            training_batches(clips, settings.batch_size, settings.seed, balance=0.0),
            loss_of,
            evaluate if len(validation) else None,
            checkpoint,
            Stopping(settings.epochs, settings.patience, keep=settings.keep),
        )
        seen = [own for own in (data.clips("train", settings), validation) if len(own)]
        tables = [reconstruct(device, best, own, settings.batch_size, ranks) for own in seen]
        windows = data.windows.split.clips.merge(pd.concat(tables), on="clip_id")
        windows = windows[["clip_id", "video_id", "subject", "split", "error", "guess"]]
        scores = error_table(windows, settings.seed)
        if untrained and data.labelled:
            known = data.labelled.split.clips
            probes = probe_table(examples(best), untrained, known, settings.seed)
            scores = pd.concat([scores, probes], ignore_index=True)
        session.finish([windows], [], data.windows.remarks(), scores=scores)
    return run


def checkpoint_of(settings: PretrainSettings, data: PretrainingData) -> dict[str, Any]:
    """Describes the weights: what they were trained on, and the model's arguments."""
    arguments: dict[str, Any] = dict(SIZES[ROW[settings.kind]][settings.size])
    if settings.size == "small":
        arguments |= DECODERS[settings.kind]
    keypoints: Stored = ""
    if gestures := data.windows.gestures:
        layout, keypoints = gestures.layout, to_stored(gestures.layout)
        arguments |= {"joints": len(layout.joints), "axes": layout.axes, "frames": settings.frames}
        arguments |= {"ratio": settings.ratio, "temperature": settings.temperature}
        if settings.together:
            arguments["groups"] = body_parts(layout)
    else:
        side = SIDES[settings.size]
        arguments |= {"clip": [settings.frames, side, side], "contrast": settings.contrast}
    return {
        "task": "pretraining",
        "classes": list(data.windows.split.vocabulary.classes),
        "keypoints": keypoints,
        "model": ROW[settings.kind],
        "arguments": arguments,
    }


def build_pretraining(checkpoint: dict[str, Any]) -> nn.Module:
    """An untrained encoder and decoder, from the description of the weights."""
    build = MotionPredictor if checkpoint["model"] == ROW["motion"] else VideoPainter
    return build(**checkpoint["arguments"])


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Vectors do not decay, nor VideoMAE's mask token, as published."""
    token = model.mask_token if isinstance(model, VideoPainter) else None
    parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for p in model.parameters():
        parts[p.ndim > 1 and p is not token].append(p)
    return [{"params": own, "weight_decay": weight_decay * decays} for decays, own in parts.items()]


def load_pretraining(run: Run) -> nn.Module:
    """The kept model of a run in eval mode; RunError if it is of another task."""
    return run.load_model(build_pretraining, task="pretraining")


@torch.no_grad()
def reconstruct(
    device: Device, model: nn.Module, clips: Clips, batch_size: int, ranks: Ranks = ALONE
) -> pd.DataFrame:
    """One row per window: clip_id, `error` of the reconstruction, and that of the mean visible
    token, `guess`; both are mean squares of normalised numbers."""
    model.eval()
    rows = []
    for (batch,) in draws_in_order(clips, batch_size, ranks):
        with device.autocast():
            found = model(*clips.enter(batch.to(device.torch_device)))
        row: dict[str, Any] = {"clip_id": batch.clip_ids}
        for name, own in (("error", found.predicted), ("guess", found.guess)):
            row[name] = found.errors(own, len(batch.clip_ids)).cpu().numpy()
        rows.append(pd.DataFrame(row))
    return ranks.gather_rows(rows)


@torch.no_grad()
def features(device: Device, model: nn.Module, clips: Clips, batch_size: int) -> pd.DataFrame:
    """The mean token of each labelled clip in as many columns, and `label`, by clip id."""
    net: Any = model.eval()
    rows = []
    for (batch,) in draws_in_order(clips, batch_size):
        with device.autocast():
            mean = net.features(clips.enter(batch.to(device.torch_device))[0])
        row = pd.DataFrame(mean.float().cpu().numpy(), batch.clip_ids)
        rows.append(row.assign(label=batch.label.cpu().numpy()))
    return pd.concat(rows).sort_index()


def correct_by(predictor: Any, train: pd.DataFrame, own: pd.DataFrame) -> Bool[np.ndarray, " N"]:
    """Which of its own clips a predictor gets right that was fitted on those of train."""
    predictor.fit(train.drop(columns="label"), train.label)
    return predictor.predict(own.drop(columns="label")) == own.label.to_numpy()


def error_table(windows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The mean error of each split, and that of guessing the mean visible token."""
    rows = []
    for split, own in windows.groupby("split", sort=False):
        cluster, unit = clusters_of(own)
        for predictor, column in (("model", "error"), ("mean visible token", "guess")):
            ends = interval_of_mean(own[column].to_numpy(), cluster, seed)
            row = {"split": split, "predictor": predictor, "n": len(own)}
            row |= {"clusters": cluster.nunique(), "unit": unit}
            rows.append(row | {"error": own[column].mean(), "error_interval": ends})
    return pd.DataFrame(rows)


def probe_table(
    trained: Examples, untrained: Examples, clips: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Accuracy on validation of each of `PROBES`; `clips` have their subjects."""
    cluster, unit = clusters_of(clips.set_index("clip_id").loc[trained[1].index].reset_index())
    read = {name: (predictor, trained) for name, predictor in PROBES.items()}
    read["linear, untrained encoder"] = PROBES["linear"], untrained
    rows = []
    for name, (predictor, parts) in read.items():
        correct = correct_by(predictor, *parts)
        row = {"split": "validation", "predictor": f"probe: {name}", "n": len(correct)}
        row |= {"clusters": cluster.nunique(), "unit": unit, "top1": correct.mean()}
        rows.append(row | {"top1_interval": interval_of_share(correct, cluster, seed)})
    return pd.DataFrame(rows)
