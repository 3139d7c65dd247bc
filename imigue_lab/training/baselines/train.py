"""Trains and scores a network of Table 1, the pose encoder's among them.

Settings in, a finished run folder out. What a network is called with, its clips say (`enter`).
"""

from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, nn

from imigue_lab.data.index import is_synthetic
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.models.baselines import SIZES, build_baseline
from imigue_lab.models.pictures.dscnet import DSCNet
from imigue_lab.training.baselines.clips import Clips, EpochBatches, Seen, draws_in_order
from imigue_lab.training.baselines.data import BaselineData, load_baseline_data
from imigue_lab.training.baselines.pictures import losses_apart
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.start import identity_of_start, read_start, take_over
from imigue_lab.training.gesture_clips import GestureData
from imigue_lab.training.gesture_scores import point_scores, score_table
from imigue_lab.training.loop import Stopping, build_optimizer, build_scheduler, fit
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.runs import Row, Run, open_run
from imigue_lab.training.session import Session, open_session


def train_baseline(
    settings: BaselineSettings, data: BaselineData | GestureData | None = None
) -> Run:
    """Trains, or resumes, or returns at once what is finished.

    The test split is read once, after the last epoch, by the model of the best validation epoch.

    Args:
        data: of these settings, where it is loaded already.
    """
    if isinstance(data, GestureData):
        data = BaselineData(data.split, data)
    data = data or load_baseline_data(settings)
    run = open_run("baseline", settings, data.identity() | identity_of_start(settings.checkpoint))
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        fabric, ranks = session.fabric, session.ranks
        checkpoint, model, remarks = start(settings, data)
        optimizer = build_optimizer(settings.optimizer, model, settings.lr, settings.weight_decay)
        clips = data.clips("train", settings, training=True)
        validation = data.clips("validation", settings.model_copy(update={"test_clips": 1}))
        apart = isinstance(model, DSCNet)

        def loss_of(model: nn.Module, batch: Seen) -> Tensor:
            loss = losses_apart if apart else cross_entropy
            return loss(model, clips.enter(batch), batch.label, settings.smoothing)

        def evaluate(model: nn.Module) -> Row:
            predictions = predict(fabric, model, validation, data, settings.batch_size, ranks)
            return validation_scores(predictions[predictions.label.notna()])

        best = fit(
            session,
            model,
            optimizer,
            build_scheduler(settings.scheduler, optimizer, settings.epochs, settings.patience),
            EpochBatches(clips, settings.batch_size, settings.seed, settings.balance),
            loss_of,
            evaluate,
            checkpoint,
            Stopping(settings.epochs, settings.patience, "validation_error"),
        )
        finish(session, best.to(fabric.device), data, settings, remarks)
    return run


def start(
    settings: BaselineSettings, data: BaselineData
) -> tuple[dict[str, Any], nn.Module, list[str]]:
    """What the weights may be loaded into, the model before training, and what to say of it."""
    arguments = data.arguments(settings) | SIZES[settings.model][settings.size]
    published = None
    if settings.checkpoint:
        layout = data.gestures.layout if data.gestures else None
        published = read_start(settings.checkpoint, settings.model, layout, arguments)
        arguments |= published.options
    model = build_baseline(settings.model, **arguments)
    remarks = take_over(model, published) if published else []
    for remark in remarks:
        print(f"note: {remark}")
    checkpoint = {
        "task": "baseline",
        "classes": list(CLASSES),
        "keypoints": data.gestures.layout.name if data.gestures else "",
        "model": settings.model,
        "stream": settings.stream,
        "frames": settings.frames,
        "arguments": arguments,
    }
    return checkpoint, model, remarks


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
    model = build_baseline(found["model"], **found["arguments"])
    model.load_state_dict(weights)
    return model.eval()


def cross_entropy(
    model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, smoothing: float
) -> Tensor:
    """Mean over the clips of ``-log p_y``, in float32."""
    return F.cross_entropy(model(*inputs).float(), label, label_smoothing=smoothing)


@torch.no_grad()
def predict(
    fabric: Fabric,
    model: nn.Module,
    clips: Clips,
    data: BaselineData,
    batch_size: int,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """One row a clip, keyed by id.

    Columns: clip_id, video_id, subject, split, label (null where hidden), said (the most probable
    class), seen (share of joints that were there; 1 of pictures), p0 ... of the classes.
    """
    model.eval()
    parts = []
    for draws in draws_in_order(clips, batch_size, ranks):
        inputs = [clips.enter(draw.to(fabric.device)) for draw in draws]
        with fabric.autocast():
            probability = average_probability(model, inputs).cpu().numpy()
        part = pd.DataFrame(probability).add_prefix("p")
        part.insert(0, "clip_id", draws[0].clip_ids)
        part.insert(1, "predicted", probability.argmax(axis=1))
        part.insert(2, "seen", draws[0].share.numpy())
        parts.append(part)
    known = data.split.clips[["clip_id", "video_id", "subject", "split", "label"]]
    table = pd.concat([part for own in ranks.gather(parts) for part in own])
    return known.merge(table, on="clip_id", validate="one_to_one")


def average_probability(
    model: nn.Module, draws: list[tuple[Tensor, ...]]
) -> Float[Tensor, "B classes"]:
    """``mean_n softmax(model(draw n))``: several draws of the same clips decide together."""
    logits = torch.stack([model(*inputs) for inputs in draws])
    return logits.float().softmax(dim=-1).mean(dim=0)


def validation_scores(predictions: pd.DataFrame) -> Row:
    """A row of metrics.csv; the error, 1 - top1, is what training watches."""
    scores = point_scores(predictions)
    return {
        "validation_error": 1 - scores["top1"],
        **{f"validation_{name}": value for name, value in scores.items()},
    }


def finish(
    session: Session,
    model: nn.Module,
    data: BaselineData,
    settings: BaselineSettings,
    remarks: list[str],
) -> None:
    """Predicts every part, and writes it with what made it."""
    parts = (data.clips(split, settings) for split in ("train", "validation", "test"))
    predictions = pd.concat(
        predict(session.fabric, model, clips, data, settings.batch_size, session.ranks)
        for clips in parts
        if len(clips)
    ).sort_values("clip_id", ignore_index=True)
    remarks = data.remarks() + remarks
    session.finish(predictions, score_table, remarks, synthetic=is_synthetic(settings.data))
