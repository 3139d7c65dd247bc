"""The training loop, which can be killed at any moment.

Each epoch is seeded by the run's seed and its own number, so no random state has to be saved: a run
that resumes from `resume.pt` repeats the interrupted epoch and ends with the same numbers. Several
processes can share the work (`ranks`).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import get_ema_multi_avg_fn

from imigue_lab.data.samplers import BucketSampler, Draw, with_ordinals
from imigue_lab.data.workspace import progress
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.training.ranks import ALONE, Piece, Ranks
from imigue_lab.training.runs import Row, Run
from imigue_lab.training.session import Session, seed_everything
from imigue_lab.training.settings import TrainSettings

S = TypeVar("S", bound=TrainSettings)
D = TypeVar("D", bound=Any)  # the data of a task


def build_scheduler(
    name: str, optimizer: Optimizer, epochs: int, patience: int, steps: int, warmup: float = 0.0
) -> LRScheduler | None:
    """Changes the learning rate: `plateau` after each epoch, the others after each step.

    `name` is `none`, `cosine` to 0 over all steps, `plateau` (halves it when the monitored value
    has not improved for half the patience), or `steps:10:50` (a tenth after these epochs); `steps`
    are those of an epoch. `cosine:5e-4` is MAMP's: over `warmup` epochs it rises from 0, then falls
    to 5e-4; `cosine:4e-6:4e-5` is VideoMAE's: it rises from 4e-6, over all but the last of
    these steps, then falls to 4e-5.
    """
    if name == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    if name.startswith("cosine:"):
        *start, least = (float(rate) / optimizer.defaults["lr"] for rate in name.split(":")[1:])
        rising, every = int(warmup * steps), epochs * steps

        def share(n: int) -> float:
            if n < rising:
                return start[0] + (1 - start[0]) * n / max(1, rising - 1) if start else n / rising
            angle = math.pi * (n - rising) / max(1, every - rising)
            return least + (1 - least) / 2 * (1 + math.cos(angle))

        return lr_scheduler.LambdaLR(optimizer, share)
    if name == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=max(1, patience // 2))
    if name.startswith("steps:"):
        milestones = [steps * int(epoch) for epoch in name.split(":")[1:]]
        return lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
    return None


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """``w̄ <- d w̄ + (1 - d) w``, and the same for BatchNorm's statistics, which belong to w.

    Other buffers, such as a memory bank, are copied.
    """
    weights, mean, state = dict(model.named_parameters()), averaged.state_dict(), model.state_dict()
    moving = [n for n in state if n in weights or n.endswith(("running_mean", "running_var"))]
    get_ema_multi_avg_fn(decay)([mean[n] for n in moving], [state[n] for n in moving], 0)
    for name in state.keys() - set(moving):
        mean[name].copy_(state[name])


class EpochBatches:
    """The global batches of a training split, shuffled anew each epoch.

    Args:
        sampler: item numbers of each global batch.
        read: a batch of these draws.
        dataset: its `epoch` is set first, on which random augmentation depends.
    """

    together = 1  # neighbours that one process reads at once

    def __init__(
        self, sampler: BucketSampler, read: Callable[[list[Draw]], Any], dataset: Any = None
    ):
        self.sampler, self.read, self.dataset = sampler, read, dataset

    def __len__(self) -> int:
        return len(self.sampler)

    def steps(self, epoch: int, ranks: Ranks = ALONE) -> Iterator[list[Piece]]:
        """What one process computes of each global batch."""
        self.sampler.epoch = epoch
        if self.dataset is not None:
            self.dataset.epoch = epoch
        for draws in with_ordinals(self.sampler):
            dealt = ranks.deal(draws, self.together)
            yield [Piece(self.read(own), weight) for own, weight in dealt]


@dataclass(frozen=True)
class Stopping:
    """When to stop, and which epoch is best: the lowest `monitor` from epoch `settled` on.

    Before it parts of the model are inactive; a run that ends earlier selects among all its epochs.
    """

    epochs: int
    patience: int
    monitor: str = "validation_loss"
    settled: int = 0
    keep: str = "best"  # the epoch whose weights are the model, `best` or `last`


def fit(
    session: Session,
    model: nn.Module,
    optimizer: Optimizer,
    schedule: str,
    batches: EpochBatches,
    loss_of: Callable[[nn.Module, Any], Tensor],
    evaluate: Callable[[nn.Module], Row] | None,
    checkpoint: dict,
    stopping: Stopping,
    selection: Run | None = None,
    begin_epoch: Callable[[int], object] = lambda epoch: None,
    after_step: Callable[[], object] = lambda: None,
) -> nn.Module:
    """Trains until the last epoch or until patience ends; returns the model of the kept epoch.

    With the setting `ema`, averaged weights are evaluated, kept and saved.

    Args:
        schedule: see `build_scheduler`.
        loss_of: the mean loss of a batch.
        evaluate: validation scores after each epoch, with `stopping.monitor`; None: no split.
        checkpoint: describes the weights, see `Run.save_weights`.
        selection: a run whose number of epochs and learning rates are repeated, without validation
            (`refit`).
        begin_epoch, after_step: what they change must be in the model's state dict.

    Raises:
        RunError: the loss is not finite, or another process is lost.
        SettingsError: without a validation split, the best epoch is to be kept.
    """
    run, ranks = session.run, session.ranks
    steps, warmup = len(batches), session.settings.lr_warmup
    length = (stopping.epochs, stopping.patience, steps, warmup)
    scheduler = build_scheduler(schedule, optimizer, *length)
    if selection is not None:
        stopping, scheduler = repeat(selection, stopping, scheduler, steps)
        evaluate = None
    elif evaluate is None:
        stopping = without_validation(stopping)
    model.to(session.device.torch_device)
    ranks.broadcast(model)
    decay, shown = session.settings.ema, model
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer}
    parts |= {"scheduler": scheduler} if scheduler else {}
    if decay:
        parts["averaged"] = shown = deepcopy(model)
    history = restore(run, parts, checkpoint)
    if len({len(own) for own in ranks.gather(history)}) > 1:
        raise RunError(f"{run.folder}: differs between hosts; put the workspace on a shared disk")
    rising = 1 if schedule.startswith("cosine:") else max(1, warmup * steps)

    def stepped(number: int) -> None:
        n = len(history) * steps + number
        step_at(optimizer, min(1.0, (n + 1) / rising))
        after_step()
        if decay:  # rising, so that the initial weights do not last
            average(shown, model, min(decay, n / (9 + n)))
        if scheduler and not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    with progress(
        total=stopping.epochs * steps,
        initial=len(history) * steps,
        unit="step",
        mininterval=1.0,
        disable=not ranks.first,
    ) as bar:
        while not is_over(history, stopping):
            epoch = len(history)
            seed_everything(session.settings.seed * 100_003 + epoch + 7_919 * ranks.rank)
            if epoch == stopping.settled and isinstance(scheduler, ReduceLROnPlateau):
                # forgets earlier epochs, in which parts of the model were inactive
                scheduler.best, scheduler.num_bad_epochs = torch.inf, 0
            begin_epoch(epoch)
            row = {"epoch": epoch, "lr": max(group["lr"] for group in optimizer.param_groups)}
            pieces = batches.steps(epoch, ranks)
            row["train_loss"] = train_epoch(session, model, pieces, loss_of, stepped, bar.update)
            for own in [model, shown] if decay else [model]:
                ranks.average_statistics(own)
            row |= evaluate(shown) if evaluate else {}
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(row[stopping.monitor])
            history = [*history, row]
            if ranks.first:
                save_epoch(run, parts, shown.state_dict(), checkpoint, history, stopping)
                session.log(row)
            bar.set_postfix_str(describe(row, stopping))
        bar.total = bar.n  # complete, also where patience ended it
    ranks.agree(None)  # rank 0 has written the weights
    model.load_state_dict(run.load_weights("best", checkpoint))
    return model.to(session.device.torch_device)


def train_epoch(
    session: Session,
    model: nn.Module,
    steps: Iterable[list[Piece]],
    loss_of: Callable[[nn.Module, Any], Tensor],
    step: Callable[[int], object],
    advance: Callable[[], object],
) -> float:
    """The mean loss of one pass over the training batches; `step` changes the weights."""
    device, ranks, settings = session.device, session.ranks, session.settings
    model.train()
    losses = []
    for number, pieces in enumerate(steps):
        model.zero_grad()
        total = torch.zeros((), device=device.torch_device)
        for batch, weight in pieces:
            with device.autocast():
                loss = weight * loss_of(model, batch.to(device.torch_device))
            if not torch.isfinite(loss):
                raise RunError(
                    f"the training loss is {loss.item()} at step {number}; lower lr, or look for"
                    " extreme values in the features"
                )
            loss.backward()
            total += loss.detach()
        ranks.sum_gradients(model.parameters())
        if settings.clip_grad:
            clip_grad_norm_(model.parameters(), settings.clip_grad)
        step(number)
        losses.append(total)
        advance()
    return float(ranks.sum(torch.stack(losses)).mean())


def step_at(optimizer: Optimizer, share: float) -> None:
    """One step at a share of the learning rates."""
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] *= share
    optimizer.step()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def is_over(history: list[Row], stopping: Stopping) -> bool:
    """Whether all epochs are done, or the last `patience` epochs brought no improvement."""
    if len(history) >= stopping.epochs or len(history) <= stopping.settled:
        return len(history) >= stopping.epochs
    return len(history) - 1 - best_epoch(history, stopping) >= stopping.patience


def best_epoch(history: list[Row], stopping: Stopping) -> int:
    """The first epoch with the lowest monitored value."""
    values = [row[stopping.monitor] for row in history]
    first = stopping.settled if len(values) > stopping.settled else 0
    return values.index(min(values[first:]), first)


def kept_epoch(history: list[Row], stopping: Stopping) -> int:
    return len(history) - 1 if stopping.keep == "last" else best_epoch(history, stopping)


def select_epochs(train: Callable[[S, Any], Run], settings: S, data: D) -> tuple[Run | None, D]:
    """With `refit`, the run that finds the number of epochs, and data with validation in train."""
    if not settings.refit:
        return None, data
    name = settings.name and f"{settings.name}-selection"
    selection = train(settings.model_copy(update={"refit": False, "name": name}), data)
    found = f"for the epochs that the run {selection.folder.name} found; only test is held out"
    return selection, data.refitted(f"refit: validation is part of train, {found}")


def repeat(
    selection: Run, stopping: Stopping, scheduler: LRScheduler | None, steps: int
) -> tuple[Stopping, LRScheduler | None]:
    """Stops after as many epochs as a run kept, at the learning rates of that run.

    Those of a plateau are read from its metrics. Others depend on the share of all epochs alone,
    also where a larger training split has more steps.
    """
    metrics = selection.metrics()
    epochs = 1 + kept_epoch(metrics.to_dict("records"), stopping)
    if isinstance(scheduler, ReduceLROnPlateau):
        rates = (metrics.lr / metrics.lr[0]).tolist()
        scheduler = lr_scheduler.LambdaLR(
            scheduler.optimizer, lambda step: rates[min(step // steps, epochs - 1)]
        )
    return Stopping(epochs, epochs, "train_loss", keep="last"), scheduler


def without_validation(stopping: Stopping) -> Stopping:
    """Trains all epochs and keeps the last; SettingsError if the best was requested."""
    if stopping.keep != "last":
        what = "keep: expected last without a validation split, got best"
        raise SettingsError(f"{what}; set keep=last, or fold=0 to 4")
    return replace(stopping, patience=stopping.epochs, monitor="train_loss")


def save_epoch(
    run: Run,
    parts: dict[str, Any],
    weights: dict[str, Tensor],
    checkpoint: dict,
    history: list[Row],
    stopping: Stopping,
) -> None:
    """Weights first, then the resume state: a run killed in between repeats the epoch."""
    if kept_epoch(history, stopping) == len(history) - 1:
        run.save_weights("best", weights, checkpoint)
    run.save_weights("last", weights, checkpoint)
    states = {name: part.state_dict() for name, part in parts.items()}
    run.save_resume(states | {"history": history, "checkpoint": checkpoint})
    run.write_history(history)


def restore(run: Run, parts: dict[str, Any], checkpoint: dict) -> list[Row]:
    """Restores the state after the last complete epoch; returns the history so far."""
    if (state := run.load_resume()) is None:
        return []
    if state["checkpoint"] != checkpoint:
        raise RunError(f"{run.folder}: differs between hosts; put the workspace on a shared disk")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    run.write_history(state["history"])
    return state["history"]


def describe(row: Row, stopping: Stopping) -> str:
    return (
        f"epoch {row['epoch'] + 1}/{stopping.epochs}, loss {row['train_loss']:.3f},"
        f" {stopping.monitor.replace('_', ' ')} {row[stopping.monitor]:.3f}"
    )
