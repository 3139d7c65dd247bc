"""Trains and scores a classifier of skeletons alone: the pose encoder, and baselines of Table 1.

Settings in, a finished run folder out. A model takes (skeleton, frame_mask) and gives logits.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from filelock import FileLock
from lightning_fabric import Fabric, seed_everything
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from imigue_lab.data.classes import CLASSES
from imigue_lab.data.clips import ClipBatch
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError
from imigue_lab.models.agcn import build_agcn
from imigue_lab.training.gesture_data import (
    GestureClips,
    GestureData,
    TrainingBatches,
    in_order,
    load_gesture_data,
)
from imigue_lab.training.gesture_scores import point_scores, score_table
from imigue_lab.training.loop import Stopping, fit, open_fabric
from imigue_lab.training.runs import Row, Run, describe_environment, open_run
from imigue_lab.training.settings import WHERE, BaselineSettings

BUILDERS: dict[str, Callable[..., nn.Module]] = {"2s-agcn": build_agcn}
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "2s-agcn": {
        "small": {"width": 16, "depths": [2, 1, 1]},
        "paper": {"width": 64, "depths": [4, 3, 3]},
    }
}


def train_baseline(settings: BaselineSettings, data: GestureData | None = None) -> Run:
    """Trains, or resumes, or returns at once what is finished.

    The test split is read once, after the last epoch, by the model of the best validation epoch.

    Args:
        data: of these settings, where it is loaded already.
    """
    data = data or load_gesture_data(settings.data, settings.fold, settings.seed, settings.store)
    run = open_run("baseline", settings, data.identity() | identity_of_start(settings))
    with FileLock(run.folder / ".lock"):
        if not run.announce(data.remarks()):
            return run
        started = time.monotonic()
        fabric = open_fabric(settings.device)
        seed_everything(settings.seed, verbose=False)
        checkpoint = checkpoint_of(settings, data)
        model = BUILDERS[settings.model](**checkpoint["arguments"])
        if settings.checkpoint:
            start_from(model, settings.checkpoint, settings.model, data.layout.name)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        clips = data.clips(
            "train", settings.frames, [settings.stream], settings.augment, settings.seed
        )
        validation = data.clips("validation", settings.frames, [settings.stream])

        def evaluate(model: nn.Module) -> Row:
            return validation_scores(predict(fabric, model, validation, data, settings.batch_size))

        best = fit(
            fabric,
            model,
            optimizer,
            build_scheduler(settings, optimizer),
            TrainingBatches(clips, settings.batch_size, settings.balance),
            lambda model, batch: cross_entropy(model, batch, settings.smoothing),
            evaluate,
            run,
            checkpoint,
            Stopping(settings.epochs, settings.patience, "validation_error"),
            settings.seed,
        )
        finish(run, fabric, best.to(fabric.device), data, settings, time.monotonic() - started)
    return run


def identity_of_start(settings: BaselineSettings) -> dict[str, str]:
    """Which weights a run started from, by content; nothing where it started by its seed."""
    if not settings.checkpoint:
        return {}
    try:
        return {"checkpoint": short_hash(Path(settings.checkpoint).expanduser().read_bytes())}
    except OSError as error:
        raise DataError(f"{settings.checkpoint}: no such file; leave checkpoint empty") from error


def checkpoint_of(settings: BaselineSettings, data: GestureData) -> dict[str, Any]:
    """What the weights may be loaded into."""
    arguments = {
        "keypoints": data.layout.name,
        "classes": len(CLASSES),
        "persons": data.persons,
        **SIZES[settings.model][settings.size],
    }
    return {
        "task": "baseline",
        "classes": list(CLASSES),
        "keypoints": data.layout.name,
        "model": settings.model,
        "stream": settings.stream,
        "frames": settings.frames,
        "arguments": arguments,
    }


def load_baseline(run: Run, data: GestureData | None = None) -> nn.Module:
    """The best model of a run in eval mode; refused for clips of another keypoint layout.

    Raises:
        RunError: not a baseline's checkpoint, or made for other classes or keypoints; the sentence
            says which.
    """
    found = run.read_checkpoint("best")
    wanted = {**found, "task": "baseline", "classes": list(CLASSES)}
    if data:
        wanted["keypoints"] = data.layout.name
    weights = run.load_weights("best", wanted)
    model = BUILDERS[found["model"]](**found["arguments"])
    model.load_state_dict(weights)
    return model.eval()


def start_from(model: nn.Module, checkpoint: str, family: str, keypoints: str) -> None:
    """Takes over published weights, but for the first norm and the head: those are of other data.

    Raises:
        DataError: the file is of another network, size or layout.
    """
    from imigue_lab.models.published import load_published  # imports every family

    published = load_published(checkpoint, family, keypoints=keypoints).state_dict()
    for name, tensor in model.state_dict().items():
        if name.startswith(("norm.", "head.")):
            continue
        if name not in published or published[name].shape != tensor.shape:
            raise DataError(
                f"{checkpoint}: is of another size than the model, at {name}; set size=paper"
            )
        tensor.copy_(published[name])


def build_scheduler(
    settings: BaselineSettings, optimizer: torch.optim.Optimizer
) -> ReduceLROnPlateau | None:
    if settings.scheduler == "none":
        return None
    return ReduceLROnPlateau(optimizer, factor=0.5, patience=max(1, settings.patience // 2))


def cross_entropy(model: nn.Module, batch: ClipBatch, smoothing: float) -> Tensor:
    """Mean over the clips of ``-log p_y``, in float32."""
    logits = model(batch.skeleton, batch.frame_mask).float()
    return F.cross_entropy(logits, batch.label, label_smoothing=smoothing)


@torch.no_grad()
def predict(
    fabric: Fabric, model: nn.Module, clips: GestureClips, data: GestureData, batch_size: int
) -> pd.DataFrame:
    """One row a clip, keyed by id.

    Columns: clip_id, video_id, subject, split, label (null where hidden), said (the most probable
    class), seen (share of joints that were there), p0 ... of the classes.
    """
    model.eval()
    parts = []
    for batch in in_order(clips, batch_size):
        batch = batch.to(fabric.device)
        probability = model(batch.skeleton, batch.frame_mask).float().softmax(dim=1).cpu().numpy()
        part = pd.DataFrame(probability).add_prefix("p")
        part.insert(0, "clip_id", batch.clip_ids)
        part.insert(1, "said", probability.argmax(axis=1))
        seen = batch.present.sum(dim=(1, 2, 3)) / batch.frame_mask.sum(dim=1)
        _, persons, _, joints = batch.present.shape
        part.insert(2, "seen", (seen / (persons * joints)).cpu().numpy())
        parts.append(part)
    known = data.split.clips[["clip_id", "video_id", "subject", "split", "label"]]
    return known.merge(pd.concat(parts), on="clip_id", validate="one_to_one")


def validation_scores(predictions: pd.DataFrame) -> Row:
    """A row of metrics.csv; the error, 1 - top1, is what training watches."""
    scores = point_scores(predictions)
    return {
        "validation_error": 1 - scores["top1"],
        **{f"validation_{name}": value for name, value in scores.items()},
    }


def finish(
    run: Run,
    fabric: Fabric,
    model: nn.Module,
    data: GestureData,
    settings: BaselineSettings,
    seconds: float,
) -> None:
    """Predictions, provenance, and last the scores, which mark the run as finished."""
    parts = [split for split in ("train", "validation", "test") if len(data.split.part(split))]
    predictions = pd.concat(
        predict(
            fabric,
            model,
            data.clips(split, settings.frames, [settings.stream]),
            data,
            settings.batch_size,
        )
        for split in parts
    ).sort_values("clip_id", ignore_index=True)
    run.write_predictions(predictions)
    provenance = describe_environment() | {
        "where": {name: value for name, value in settings.model_dump().items() if name in WHERE},
        "device": str(fabric.device),
        "seconds": round(seconds, 1),
        "remarks": data.remarks(),
    }
    run.write_json("provenance.json", provenance)
    run.write_scores(score_table(predictions, settings.seed))
