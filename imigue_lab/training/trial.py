"""A trial: the first steps of a training, which estimate its time and memory and leave no run."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn

from imigue_lab.errors import SettingsError
from imigue_lab.training.loop import fit
from imigue_lab.training.runs import runs_folder
from imigue_lab.training.session import Session, cost_of
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
        took = ", ".join(f"{seconds:.2f}" for seconds in self.seconds)
        epoch = self.seconds[-1] * self.steps
        one, every = (timedelta(seconds=round(n * epoch)) for n in (1, self.epochs))
        gpu = self.cost.get("peak_device_memory_mib")
        on_gpu = f", {gpu:,} MiB of the GPU" if gpu else ""
        stored = f"\nstored frames: {self.stored / 1e9:.2f} GB" if self.stored else ""
        return (
            f"{len(self.seconds)} steps of {self.items} took {took} s on {self.cost['device']}\n"
            f"an epoch of {self.steps} takes about {one}, all {self.epochs} at most {every},"
            f" without evaluation\npeak memory: {self.cost['peak_memory_mib']:,} MiB of the process"
            f"{on_gpu}{stored}"
        )


class EndedError(Exception):
    """Ends a training after its first steps."""


def try_training(task: str, settings: Any) -> Trial:
    """Times the first steps of a trainer with these settings; its folder is removed.

    Frames that are not stored yet are stored first, as the training would. Raises SettingsError for
    a gesture model whose encoders would be trained first.
    """
    if task == "gesture" and not (settings.pose_run or (settings.joint_run and settings.bone_run)):
        what = "finished runs, since a trial trains no encoder"
        todo = "name both, or pose_run, or try `train baseline`"
        raise SettingsError.expected("joint_run, bone_run", what, "none", todo)
    data = TASKS[task].load_data(settings)
    own = settings.model_copy(update={"name": f"trial-{os.getpid()}", "refit": False})
    seen: list[Any] = []
    times: list[float] = []

    def first_steps(
        session: Session, *given: Any, after_step: Callable[[], Any] = int, **named: Any
    ) -> nn.Module:
        def timed() -> None:
            after_step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter())
            if len(times) > STEPS:
                raise EndedError

        seen.extend((session.device.torch_device, len(given[3])))
        times.append(time.perf_counter())
        return fit(session, *given, **named | {"after_step": timed})

    try:
        with quiet(), suppress(EndedError):
            TASKS[task].train(own, data, first_steps)
    finally:
        shutil.rmtree(runs_folder() / own.name, ignore_errors=True)
    seconds = [after - before for before, after in pairwise(times)]
    device, steps = seen
    parts = [data, *(getattr(data, name, None) for name in ("windows", "labelled"))]
    pictures = [own for own in (getattr(part, "pictures", None) for part in parts) if own]
    stored = sum(path.stat().st_size for own in pictures for path in own.clips.file)
    cost = cost_of(device, sum(seconds))
    return Trial(seconds, settings.batch_size, steps, settings.epochs, cost, stored)
