"""Fit and evaluate: one readable loop on Lightning Fabric, which can be killed at any moment.

Each epoch is seeded by the run's seed and its own number, so nothing random has to outlive a kill:
a run that starts again from `resume.pt` repeats the epoch it was killed in, and ends with the same
numbers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric, seed_everything
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from imigue_lab.errors import RunError
from imigue_lab.training.runs import Row, Run


@runtime_checkable
class EpochLoader(Protocol):
    """Training batches in an order that depends on the epoch's number alone."""

    def __len__(self) -> int: ...

    def batches(self, epoch: int) -> Iterable[Any]: ...


@dataclass(frozen=True)
class Stopping:
    """When to stop, and which epoch is best: the lowest `monitor`."""

    epochs: int
    patience: int
    monitor: str = "validation_loss"


@dataclass(frozen=True)
class Hooks:
    """What a task does besides: at each epoch's begin, given its number, and after each step."""

    begin_epoch: Callable[[int], object] = lambda epoch: None
    after_step: Callable[[], object] = lambda: None


def open_fabric(device: str) -> Fabric:
    """One device; `auto` takes a GPU where there is one.

    Raises:
        RunError: the device asked for is not here.
    """
    try:
        fabric = Fabric(accelerator=device, devices=1)
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise RunError(f"device {device!r} is not here; use auto or cpu") from error
    return fabric


def fit(
    fabric: Fabric,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    loader: EpochLoader,
    loss_of: Callable[[nn.Module, Any], Tensor],
    evaluate: Callable[[nn.Module], Row],
    run: Run,
    checkpoint: dict,
    stopping: Stopping,
    seed: int,
    hooks: Hooks = Hooks(),
) -> nn.Module:
    """Trains until the last epoch or until patience ends; returns the model of the best epoch.

    Args:
        loss_of: the loss of a batch.
        evaluate: scores on validation after each epoch, `stopping.monitor` among them.
        checkpoint: what the weights may be loaded into, see `Run.save_weights`.
        hooks: what else is to be done; what they change must be in the model's state dict.

    Raises:
        RunError: the loss is not finite.
    """
    raw = model
    model, optimizer = fabric.setup(model, optimizer)
    history = restore(run, raw, optimizer, scheduler, checkpoint)
    steps = len(loader)
    with tqdm(
        total=stopping.epochs * steps,
        initial=len(history) * steps,
        unit="step",
        mininterval=1.0,
        dynamic_ncols=True,
    ) as bar:
        while not is_over(history, stopping):
            epoch = len(history)
            seed_everything(seed * 100_003 + epoch, verbose=False)
            hooks.begin_epoch(epoch)
            row = {"epoch": epoch, "lr": optimizer.param_groups[0]["lr"]}
            row["train_loss"] = train_epoch(
                fabric, model, optimizer, loader.batches(epoch), loss_of, hooks.after_step, bar
            )
            row |= evaluate(model)
            step_scheduler(scheduler, row[stopping.monitor])
            history = [*history, row]
            save_epoch(run, raw, optimizer, scheduler, checkpoint, history, stopping)
            bar.set_postfix_str(describe(row, stopping))
    raw.load_state_dict(run.load_weights("best", checkpoint))
    return raw


def train_epoch(
    fabric: Fabric,
    model: nn.Module,
    optimizer: Optimizer,
    batches: Iterable[Any],
    loss_of: Callable[[nn.Module, Any], Tensor],
    after_step: Callable[[], object],
    bar: tqdm,
) -> float:
    """One pass over the training batches; the mean of their losses."""
    model.train()
    losses = []
    for number, batch in enumerate(batches):
        optimizer.zero_grad()
        loss = loss_of(model, batch.to(fabric.device))
        if not torch.isfinite(loss):
            raise RunError(
                f"the training loss is {loss.item()} at step {number}; lower lr, or look for"
                " extreme values in the features"
            )
        fabric.backward(loss)
        optimizer.step()
        after_step()
        losses.append(loss.detach())
        bar.update()
    return float(torch.stack(losses).mean())


def is_over(history: list[Row], stopping: Stopping) -> bool:
    """Whether all epochs are done, or none of the last `patience` was better than before."""
    if len(history) >= stopping.epochs:
        return True
    return bool(history) and len(history) - 1 - best_epoch(history, stopping) >= stopping.patience


def best_epoch(history: list[Row], stopping: Stopping) -> int:
    """The first epoch with the lowest monitored value."""
    values = [row[stopping.monitor] for row in history]
    return values.index(min(values))


def step_scheduler(scheduler: LRScheduler | None, monitored: float) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(monitored)
    elif scheduler is not None:
        scheduler.step()


def save_epoch(
    run: Run,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    checkpoint: dict,
    history: list[Row],
    stopping: Stopping,
) -> None:
    """Weights first, the resume state second: whoever is killed between repeats the epoch."""
    weights = model.state_dict()
    if best_epoch(history, stopping) == len(history) - 1:
        run.save_weights("best", weights, checkpoint)
    run.save_weights("last", weights, checkpoint)
    run.save_resume(
        {
            "model": weights,
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict() if scheduler else None,
            "history": history,
            "checkpoint": checkpoint,
        }
    )
    run.write_history(history)


def restore(
    run: Run,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    checkpoint: dict,
) -> list[Row]:
    """Brings everything back to the last whole epoch; returns the history so far."""
    state = run.load_resume()
    if state is None:
        return []
    if state["checkpoint"] != checkpoint:
        raise RunError(f"{run.folder}: its resume state is of another model; delete the folder")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if scheduler:
        scheduler.load_state_dict(state["scheduler"])
    run.write_history(state["history"])
    return state["history"]


def describe(row: Row, stopping: Stopping) -> str:
    return (
        f"epoch {row['epoch'] + 1}/{stopping.epochs}, loss {row['train_loss']:.3f},"
        f" {stopping.monitor.replace('_', ' ')} {row[stopping.monitor]:.3f}"
    )
