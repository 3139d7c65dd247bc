"""A training run in progress: its locked folder, device, seed and measured cost."""

import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from imigue_lab.data.workspace import locked
from imigue_lab.errors import RunError
from imigue_lab.training.provenance import cost_of, describe_environment
from imigue_lab.training.ranks import Ranks, find_process, open_ranks
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import score_table
from imigue_lab.training.settings import PLACES, TrainSettings

Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Device:
    """Where a model runs, and the precision of its products; weights are always float32."""

    torch_device: torch.device
    precision: Precision = "float32"

    def autocast(self) -> AbstractContextManager:
        reduced = self.precision == "bf16"
        return torch.autocast(self.torch_device.type, torch.bfloat16, enabled=reduced)


@dataclass(frozen=True)
class Session:
    """What every trainer works with."""

    run: Run
    settings: TrainSettings
    device: Device
    ranks: Ranks  # this process among those that train together
    start_s: float  # on the monotonic clock

    def finish(
        self,
        tables: Iterable[pd.DataFrame],
        names: Sequence[str],
        remarks: list[str],
        scores: pd.DataFrame | None = None,
        **sources: Any,
    ) -> None:
        """Writes predictions, provenance, and last the scores, which mark the run as finished.

        `tables` are predictions of each split, whose first column is the id; `names` are of the
        classes or outcomes; `scores` are in place of the score table of these classes; `sources`
        are further entries of the provenance.
        """
        predictions = pd.concat(tables)
        predictions = predictions.sort_values(predictions.columns[0], ignore_index=True)
        if not self.ranks.first:
            return
        seconds = time.monotonic() - self.start_s
        settings = self.settings.model_dump()
        self.run.write_predictions(predictions)
        self.run.write_json(
            "provenance.json",
            describe_environment(self.ranks.count)
            | {"where": {name: value for name, value in settings.items() if name in PLACES}}
            | sources
            | cost_of(self.device.torch_device, seconds)
            | {"remarks": remarks},
        )
        if scores is None:
            scores = score_table(predictions, self.settings.seed, names)
        self.run.write_scores(scores)


@contextmanager
def open_session(
    run: Run, settings: TrainSettings, remarks: Iterable[str]
) -> Iterator[Session | None]:
    """Locks the run folder, in rank 0 for all; None where the run is finished already.

    `remarks` on the data are printed where there is something to train. Raises RunError if the
    requested device is not available, or another process is lost.
    """
    ranks = open_ranks(settings.accumulate)
    with locked(run.folder / ".lock") if ranks.first else nullcontext():
        if ranks.agree(run.announce(remarks) if ranks.first else True):
            start_s = time.monotonic()
            device = open_device(settings.device, settings.precision, settings.deterministic)
            seed_everything(settings.seed)
            yield Session(run, settings, device, ranks, start_s)
        else:
            yield None
    ranks.agree(None)  # no process reads before rank 0 has written


def open_device(name: str, precision: Precision = "float32", deterministic: bool = False) -> Device:
    """The device of this process; each process of a host has a GPU of its own.

    Args:
        name: `cpu`, `cuda` or `mps`; `auto` is the first available of cuda, mps and cpu.
        precision: `float32`, or `bf16` for products in bfloat16 and weights in float32.
        deterministic: use algorithms with bit-identical results where torch has them.

    Raises RunError if the requested device is not available.
    """
    torch.use_deterministic_algorithms(deterministic)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    available = {"cuda": gpus > 0, "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, found in available.items() if found)
    if not available.get(name):
        raise RunError(f"device: expected one of this machine, got {name!r}; use auto or cpu")
    if name == "cpu":
        return Device(torch.device("cpu"), precision)
    local = find_process().local
    torch_device = torch.device(name, local if name == "cuda" and local < gpus else 0)
    if name == "cuda":
        torch.cuda.set_device(torch_device)
    return Device(torch_device, precision)


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch on every device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
