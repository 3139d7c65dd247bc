"""A trial: the first steps of a training, which estimate its time and memory and leave no run."""

import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import nn

from imigue_lab.errors import SettingsError
from imigue_lab.training.loop import EpochBatches, Stopping, fit
from imigue_lab.training.provenance import cost_of
from imigue_lab.training.ranks import ALONE, Piece, Ranks
from imigue_lab.training.runs import runs_folder
from imigue_lab.training.session import Session
from imigue_lab.training.settings import Settings
from imigue_lab.training.tasks import TASKS, quiet

STEPS = 3  # the first includes one-time costs


class Trial(NamedTuple):
    """The time of the first steps, reading included, and the peak memory up to then."""

    seconds: list[float]  # of each step
    items: int  # per step
    steps: int  # per epoch
    epochs: int  # at most
    cost: dict[str, Any]  # see `provenance.cost_of`
    stored: int = 0  # bytes of stored frames

    def __str__(self) -> str:
        epoch = self.seconds[-1] * self.steps
        times = [timedelta(seconds=round(own)) for own in (epoch, epoch * self.epochs)]
        took = ", ".join(f"{seconds:.2f}" for seconds in self.seconds)
        gpu = self.cost.get("peak_device_memory_mib")
        lines = [
            f"{len(self.seconds)} steps of {self.items} took {took} s on {self.cost['device']}",
            f"an epoch of {self.steps} takes about {times[0]}, all {self.epochs} at most"
            f" {times[1]}, without evaluation",
            f"peak memory: {self.cost['peak_memory_mib']:,} MiB of the process"
            + (f", {gpu:,} MiB of the GPU" if gpu else ""),
        ]
        lines += [f"stored frames: {self.stored / 1e9:.2f} GB"] * bool(self.stored)
        return "\n".join(lines)


class FirstSteps(EpochBatches):
    """The first batches of an epoch, with the seconds of each step."""

    def __init__(self, batches: EpochBatches):
        super().__init__(batches.sampler, batches.read, batches.dataset)
        self.batches, self.seconds = batches, list[float]()

    def __len__(self) -> int:
        return min(STEPS, len(self.batches))

    def steps(self, epoch: int, ranks: Ranks = ALONE) -> Iterator[list[Piece]]:
        start = time.perf_counter()
        for pieces in islice(self.batches.steps(epoch, ranks), len(self)):
            yield pieces
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            start, before = time.perf_counter(), start
            self.seconds.append(start - before)


class EndedError(Exception):
    """Ends a training after its first steps."""


def try_training(task: str, settings: Any) -> Trial:
    """Times the first steps of a trainer with these settings; its folder is removed.

    Frames that are not stored yet are stored first, as the training would. Raises SettingsError for
    a gesture model whose encoders would be trained first.
    """
    for name in ("joint_run", "bone_run"):
        if getattr(settings, name, name) == "":
            raise SettingsError(
                f"{name}: expected a finished run, since a trial trains no encoder, got none; name"
                " one, or try `train baseline`"
            )
    found = TASKS[task]
    data = found.load_data(settings)
    own: Settings = settings.model_copy(update={"name": f"trial-{os.getpid()}", "refit": False})

    def first_steps(
        session: Session,
        model: nn.Module,
        optimizer: Any,
        scheduler: Any,
        batches: EpochBatches,
        loss_of: Any,
        evaluate: Any,
        checkpoint: Any,
        stopping: Stopping,
        *rest: Any,
        **named: Any,
    ) -> nn.Module:
        few, once = FirstSteps(batches), Stopping(1, 1, keep="last")
        start = optimizer, None, few, loss_of, None, checkpoint, once
        fit(session, model, *start, *rest, **named)
        size = settings.batch_size
        cost = cost_of(session.device.torch_device, sum(few.seconds))
        raise EndedError(
            Trial(few.seconds, size, len(batches), settings.epochs, cost, stored(data))
        )

    try:
        with quiet():
            found.train(own, data, first_steps)
    except EndedError as ended:
        return ended.args[0]
    finally:
        shutil.rmtree(runs_folder() / own.name, ignore_errors=True)
    raise AssertionError("the trainer did not train")


def stored(data: Any) -> int:
    """Bytes of the frames that are stored for a network of pictures."""
    pictures = getattr(data, "pictures", None)
    return 0 if pictures is None else sum(path.stat().st_size for path in pictures.clips.file)
