"""Trains and scores a network of Table 1, the encoders of the gesture model among them.

Settings in, a finished run folder out. `Clips.enter` gives the input of each network.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from imigue_lab.data.index import SPLITS
from imigue_lab.data.samplers import log_prior
from imigue_lab.data.skeletons.keypoints import to_stored
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.errors import SettingsError
from imigue_lab.models.baselines import SIZES, build_baseline
from imigue_lab.training.baselines.clips import (
    Clips,
    Mixing,
    Seen,
    draws_in_order,
    mix_labels,
    training_batches,
)
from imigue_lab.training.baselines.data import BaselineData, load_baseline_data
from imigue_lab.training.baselines.pictures import SIDES
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.start import (
    identity_of_start,
    missing_start,
    read_start,
    runs_named,
    take_over,
)
from imigue_lab.training.gesture_clips import (
    GestureData,
    clip_rows,
    open_clip_run,
    prediction_table,
)
from imigue_lab.training.leaks import record_training_clips, refuse_held_out
from imigue_lab.training.loop import Stopping, fit, select_epochs
from imigue_lab.training.optimisers import parameter_groups
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.runs import Row, Run
from imigue_lab.training.scores import validation_scores
from imigue_lab.training.session import Device, open_session


def train_baseline(
    settings: BaselineSettings,
    loaded: BaselineData | GestureData | None = None,
    fit: Callable[..., nn.Module] = fit,
) -> Run:
    """Trains or resumes a run; a finished one is returned at once.

    The test split is read once, after the last epoch, by the model of the kept epoch. With `refit`
    another run finds the number of epochs first. `loaded` is what `load_baseline_data(settings)`
    returns, or its skeletons, if loaded already; `fit` trains: a trial (`training.trial`) has its
    own.
    """
    if settings.stream == "all":
        raise SettingsError("stream: expected one stream, got all, which is several runs; name one")
    if isinstance(loaded, GestureData):
        loaded = BaselineData(loaded.split, loaded)
    data = loaded or load_baseline_data(settings)
    selection, data = select_epochs(train_baseline, settings, data)
    starts = runs_named(settings.checkpoint)
    for before in starts:
        refuse_held_out("checkpoint", before, data.held_out)
    identity = data.identity() | identity_of_start(settings.checkpoint)
    run = open_clip_run("baseline", settings, identity, data.split.vocabulary)
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        device, ranks, batch_size = session.device, session.ranks, settings.batch_size
        if ranks.first:
            record_training_clips(run, data.training_clips, starts)
        checkpoint, model, remarks = start(settings, data)
        optimizer = build_optimizer(model, settings)
        clips = data.clips("train", settings, training=True)
        quick = settings.model_copy(update={"test_clips": 1, "test_crops": 1})
        validation = data.clips("validation", quick)
        how = settings.mixup, settings.cutmix, SIDES[settings.size]
        mixing = Mixing(*how) if any(how[:2]) else None

        def loss_of(model: nn.Module, batch: Seen) -> Tensor:
            inputs, label = clips.enter(batch), batch.label
            if batch.own is not None:
                inputs = clips.mixed(inputs, batch.own)
                label = mix_labels(label, batch.own, len(data.split.vocabulary))
            return cross_entropy(model, inputs, label, settings.smoothing)

        def predicted(model: nn.Module, clips: Clips, flips: bool = False) -> pd.DataFrame:
            return predict(device, model, clips, data, batch_size, ranks, flips)

        def evaluate(model: nn.Module) -> Row:
            return validation_scores(predicted(model, validation))

        best = fit(
            session,
            model,
            optimizer,
            settings.scheduler,
            training_batches(clips, batch_size, settings.seed, settings.balance, mixing),
            loss_of,
            evaluate if len(validation) else None,
            checkpoint,
            Stopping(settings.epochs, settings.patience, "validation_error", keep=settings.keep),
            selection=selection,
        )
        parts = [data.clips(split, settings) for split in SPLITS]
        session.finish(
            [predicted(best, part, settings.test_flips) for part in parts if len(part)],
            checkpoint["classes"],
            data.remarks() + remarks,
        )
    return run


def build_optimizer(model: nn.Module, settings: BaselineSettings) -> Optimizer:
    """`adamw`, or `sgd` with momentum 0.9."""
    names = ("lr", "weight_decay", "decay_norms", "backbone_lr", "layer_decay")
    groups = parameter_groups(model, **{name: getattr(settings, name) for name in names})
    if settings.optimizer == "sgd":
        return SGD(groups, lr=settings.lr, momentum=0.9, nesterov=settings.nesterov)
    return AdamW(groups, lr=settings.lr)


def start(
    settings: BaselineSettings, data: BaselineData
) -> tuple[dict[str, Any], nn.Module, list[str]]:
    """The description of the weights, the untrained model, and remarks on its initial weights."""
    arguments = data.arguments(settings) | SIZES[settings.model][settings.size]
    trained, name = None, settings.model
    if settings.checkpoint:
        layout = data.gestures.layout if data.gestures else None
        trained = read_start(settings.checkpoint, name, layout, arguments, settings.stream)
        arguments |= trained.options
    model = build_baseline(name, **arguments)
    remarks = missing_start(name)
    if trained:
        remarks = take_over(model, trained, data.split.vocabulary)
    for remark in remarks:
        print(f"note: {remark}")
    labels = data.clips("train", settings).labels
    names = list(data.split.vocabulary.classes)
    checkpoint = {
        "task": "baseline",
        "classes": names,
        "keypoints": to_stored(data.gestures.layout) if data.gestures else "",
        "model": settings.model,
        "stream": settings.stream,
        "frames": settings.frames,
        "arguments": arguments,
        "prior": log_prior(labels, settings.corrected, len(names)).tolist(),
    }
    return checkpoint, correct_prior(model, checkpoint), remarks


def correct_prior(model: nn.Module, checkpoint: dict[str, Any]) -> nn.Module:
    """Adds the checkpoint's `prior` to the model's logits in eval mode; see `log_prior`.

    Of a network with two outputs the result is then the logarithm of their mean probability.
    """
    model.register_buffer("prior", torch.tensor(checkpoint["prior"]), persistent=False)

    def corrected(net: nn.Module, _: Any, logits: Tensor | tuple[Tensor, ...]) -> Any:
        if net.training:
            return logits
        both = torch.stack(logits) if isinstance(logits, tuple) else logits[None]
        both = both + net.get_buffer("prior")
        return both[0] if len(both) == 1 else both.float().softmax(-1).mean(0).log()

    model.register_forward_hook(corrected)
    return model


def load_baseline(
    run: Run, data: GestureData | None = None, vocabulary: Vocabulary | None = None
) -> nn.Module:
    """The best model of a run in eval mode.

    It is to be applied to `data`, or to others of `vocabulary`. Raises RunError if it is no
    baseline, or of other classes or another keypoint layout.
    """
    vocabulary = data.split.vocabulary if data else vocabulary
    return run.load_model(
        lambda found: correct_prior(build_baseline(found["model"], **found["arguments"]), found),
        task="baseline",
        **({"classes": list(vocabulary.classes)} if vocabulary else {}),
        **({"keypoints": to_stored(data.layout)} if data else {}),
    )


def cross_entropy(
    model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, smoothing: float
) -> Tensor:
    """Mean over the clips of ``-log p_y``, in float32; of several outputs the sum.

    `label` are classes (B,), or the shares of all classes (B, C).
    """
    logits = model(*inputs)
    both = logits if isinstance(logits, tuple) else (logits,)
    losses = [F.cross_entropy(y.float(), label, label_smoothing=smoothing) for y in both]
    return torch.stack(losses).sum()


@torch.no_grad()
def predict(
    device: Device,
    model: nn.Module,
    clips: Clips,
    data: BaselineData,
    batch_size: int,
    ranks: Ranks = ALONE,
    flips: bool = False,
) -> pd.DataFrame:
    """One row per clip, keyed by id; with `flips` the mean of the clips and their mirror images.

    Columns: clip_id, video_id, subject, split, label (null where hidden), predicted (most probable
    class), based_on (both, rgb, pose or nothing), seen (share of visible joints; 1 for pictures),
    p0 ... of the classes.
    """
    model.eval()
    rows = []
    for draws in draws_in_order(clips, batch_size, ranks):
        inputs = [clips.enter(draw.to(device.torch_device)) for draw in draws]
        if flips:
            inputs += [clips.mirrored(own) for own in inputs]
        with device.autocast():
            probability = average_probability(model, inputs).cpu().numpy()
        first = draws[0]
        how = {"based_on": data.based_on(first.share), "seen": first.share.numpy()}
        rows.append(clip_rows(first.clip_ids, probability, **how))
    return prediction_table(rows, data.split, ranks)


def average_probability(
    model: nn.Module, draws: list[tuple[Tensor, ...]]
) -> Float[Tensor, "B classes"]:
    """``mean_n softmax(model(draw n))`` over the draws of the same clips."""
    return torch.stack([model(*inputs) for inputs in draws]).float().softmax(dim=-1).mean(dim=0)
