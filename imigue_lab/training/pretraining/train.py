"""Pre-trains an encoder to reconstruct what is masked; probes it with labelled clips.

Settings in, a finished run folder out, from which 04 starts (`checkpoint`).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from imigue_lab.data.index import is_synthetic
from imigue_lab.data.skeletons.keypoints import Stored, body_parts, to_stored
from imigue_lab.models.baselines import SIZES
from imigue_lab.models.mamp import MotionPredictor
from imigue_lab.models.pictures.videomae import VideoPainter
from imigue_lab.training.baselines.clips import Clips, draws_in_order, training_batches
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

NEIGHBOURS = 5
BETAS = (0.9, 0.95)
NARROW = {"decoder_width": 32, "decoder_depth": 1}
DECODERS: dict[str, dict[str, int]] = {  # of the small size
    "motion": NARROW,
    "video": NARROW | {"decoder_heads": 2},
}
Examples: TypeAlias = tuple[np.ndarray, pd.Series, np.ndarray, pd.Series]


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
    run = open_run("pretraining", settings, data.identity(), data.windows.split.vocabulary)
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        device, ranks = session.device, session.ranks
        if ranks.first:
            record_training_clips(run, {"skeleton": dict.fromkeys(data.recorded, "")})
        checkpoint = checkpoint_of(settings, data)
        model = build_pretraining(checkpoint)
        optimizer = torch.optim.AdamW(
            parameter_groups(model, settings.weight_decay), lr=settings.lr, betas=BETAS
        )
        clips = data.clips("train", settings, training=True)
        validation = data.clips("validation", settings)

        def evaluate(model: nn.Module) -> Row:
            errors = reconstruct(device, model, validation, settings.batch_size, ranks)
            row: Row = {"validation_loss": float(errors.error.mean())}
            if settings.probe:
                found = examples(device, model, data, settings)
                row["probe_accuracy"] = float(correct_by(nearest(), found).mean())
            return row

        best = fit(
            session,
            model,
            optimizer,
            settings.scheduler,
            training_batches(clips, settings.batch_size, settings.seed, balance=0.0),
            lambda model, batch: model(*clips.enter(batch)).loss,
            evaluate if len(validation) else None,
            checkpoint,
            Stopping(settings.epochs, settings.patience, keep=settings.keep),
        )
        seen = [own for own in (data.clips("train", settings), validation) if len(own)]
        tables = [reconstruct(device, best, own, settings.batch_size, ranks) for own in seen]
        windows = data.windows.split.clips.merge(pd.concat(tables), on="clip_id")
        windows = windows[["clip_id", "video_id", "subject", "split", "error", "guess"]]
        scores = error_table(windows, settings.seed)
        if settings.probe:
            found = examples(device, best, data, settings)
            assert data.labelled is not None
            probes = probe_table(found, data.labelled.split.clips, settings.seed)
            scores = pd.concat([scores, probes], ignore_index=True)
        remarks, synthetic = data.remarks(), is_synthetic(settings.data)
        session.finish([windows], [], remarks, scores=scores, synthetic=synthetic)
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
        arguments |= {"clip": [settings.frames, side, side]}
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
    kept = {name: p for name, p in model.named_parameters() if p.ndim < 2}
    if isinstance(model, VideoPainter):
        kept["mask_token"] = model.mask_token
    decaying = [p for name, p in model.named_parameters() if name not in kept]
    return [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": list(kept.values()), "weight_decay": 0.0},
    ]


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
        errors = {"error": found.predicted, "guess": found.guess}
        per_clip = {  # of several persons the mean
            name: found.errors(own).view(len(batch.clip_ids), -1).mean(dim=1).cpu().numpy()
            for name, own in errors.items()
        }
        rows.append(pd.DataFrame({"clip_id": batch.clip_ids, **per_clip}))
    return ranks.gather_rows(rows)


@torch.no_grad()
def features(
    device: Device, model: nn.Module, clips: Clips, batch_size: int
) -> tuple[Float[np.ndarray, "N D"], pd.Series]:
    """The mean token of each labelled clip, with its class, by clip id."""
    net: Any = model.eval()
    found: dict[str, np.ndarray] = {}
    labels: dict[str, int] = {}
    for (batch,) in draws_in_order(clips, batch_size):
        with device.autocast():
            mean = net.features(clips.enter(batch.to(device.torch_device))[0])
        found |= dict(zip(batch.clip_ids, mean.float().cpu().numpy(), strict=True))
        labels |= dict(zip(batch.clip_ids, batch.label.tolist(), strict=True))
    ids = sorted(found)
    return np.stack([found[i] for i in ids]), pd.Series(labels)[ids]


def examples(
    device: Device, model: nn.Module, data: PretrainingData, settings: PretrainSettings
) -> Examples:
    """Features and classes of train, then of validation."""
    parts = [data.examples(split, settings) for split in ("train", "validation")]
    train, validation = (features(device, model, own, settings.batch_size) for own in parts)
    return *train, *validation


def correct_by(predictor: Any, found: Examples) -> Bool[np.ndarray, " N"]:
    """Which validation clips a predictor gets right that was fitted on train."""
    x, y, own, truth = found
    return predictor.fit(x, y).predict(own) == truth.to_numpy()


def nearest() -> KNeighborsClassifier:
    return KNeighborsClassifier(NEIGHBOURS, metric="cosine")


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


def probe_table(found: Examples, clips: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Accuracy on labelled validation clips by neighbours, by a linear layer, and by the majority.

    Args:
        clips: with the subject of each.
    """
    truth = found[3]
    cluster, unit = clusters_of(clips.set_index("clip_id").loc[truth.index].reset_index())
    probes = {
        f"{NEIGHBOURS} nearest neighbours": nearest(),
        "linear": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "most frequent class": DummyClassifier(strategy="most_frequent"),
    }
    rows = []
    for name, predictor in probes.items():
        correct = correct_by(predictor, found)
        row = {"split": "validation", "predictor": f"probe: {name}", "n": len(correct)}
        row |= {"clusters": cluster.nunique(), "unit": unit, "top1": correct.mean()}
        rows.append(row | {"top1_interval": interval_of_share(correct, cluster, seed)})
    return pd.DataFrame(rows)
