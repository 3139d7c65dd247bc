"""A training run in progress: its locked folder, device and seed, and its provenance, which is
its cost and the code revision, packages and machine that produced it.
"""

import os
import platform
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from imigue_lab.data.index import is_synthetic
from imigue_lab.data.workspace import locked
from imigue_lab.errors import RunError, SettingsError, without_password
from imigue_lab.training.ranks import Ranks, find_process, open_ranks
from imigue_lab.training.runs import Row, Run
from imigue_lab.training.scores import score_table
from imigue_lab.training.settings import PLACES, TrainSettings

Precision = Literal["float32", "bf16"]
MIB = 2**20
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes per unit of getrusage
LOGGERS = ("tensorboard", "wandb")
LOGGER = "IMIGUE_LAB_LOGGER"  # variable of the environment, one of LOGGERS
CHECKOUT = Path(__file__).resolve().parents[2]


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
    log: Callable[[Row], object]  # takes the metrics of each epoch, see `live_curves`

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
            | {"synthetic": is_synthetic(self.settings.data)}  # the root may be moved later
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
            with live_curves(run, os.environ.get(LOGGER, "") if ranks.first else "") as log:
                seed_everything(settings.seed)
                yield Session(run, settings, device, ranks, start_s, log)
        else:
            yield None
    ranks.agree(None)  # no process reads before rank 0 has written


@contextmanager
def live_curves(run: Run, logger: str) -> Iterator[Callable[[Row], object]]:
    """Shows the metrics of each epoch in one of LOGGERS; the truth is metrics.csv, which a resumed
    run repeats there. No setting: neither results nor the run's name depend on it.

    Raises SettingsError for another logger, or one that is not installed.
    """
    if not logger:
        yield lambda row: None
        return
    if logger not in LOGGERS:
        raise SettingsError(f"logger: expected {' or '.join(LOGGERS)}, got {logger!r}; choose one")
    with ExitStack() as opened:
        try:
            if logger == "tensorboard":
                from torch.utils.tensorboard import SummaryWriter

                writer = opened.enter_context(SummaryWriter(str(run.folder / logger), purge_step=0))
            else:
                import wandb

                given = {"project": "imigue_lab", "dir": str(run.folder), "resume": "allow"}
                given["config"] = run.settings()["settings"]
                page = opened.enter_context(wandb.init(id=run.folder.name, **given))
        except ImportError as error:
            todo = f"pip install 'imigue_lab[{logger}]', or train without it"
            raise SettingsError(f"logger: {logger} is not installed ({error}); {todo}") from error

        def log(row: Row) -> None:
            if logger == "wandb":
                page.log(row, step=int(row["epoch"]))
                return
            for name, value in row.items():
                writer.add_scalar(name, value, row["epoch"])
            writer.flush()

        if (run.folder / "metrics.csv").exists():
            for row in run.metrics().to_dict("records"):
                log(row)
        yield log


def open_device(name: str, precision: Precision = "float32", deterministic: bool = False) -> Device:
    """The device of this process; each process of a host has a GPU of its own.

    Args:
        name: `cpu`, `cuda` or `mps`; `auto` is the first available of cuda, mps and cpu.
        precision: `float32`, or `bf16` for products in bfloat16 and weights in float32.
        deterministic: use algorithms with bit-identical results where torch has them.

    Raises RunError if the requested device is not available.
    """
    # Unlike use_deterministic_algorithms, this imports no compiler, 3 s of every command.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
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


def cost_of(device: torch.device, seconds: float) -> dict[str, Any]:
    """Time and peak memory of this process; of a resumed run since its last start.

    Returns:
        device, seconds, peak_memory_mib (of the whole process, including other notebook cells)
        and, on a GPU, peak_device_memory_mib.
    """
    cost = {
        "device": str(device),
        "seconds": round(seconds, 1),
        "peak_memory_mib": round(peak_memory() / MIB),
    }
    if device.type == "cuda":
        cost["peak_device_memory_mib"] = round(torch.cuda.max_memory_allocated(device) / MIB)
    return cost


def peak_memory() -> int:
    """Bytes of this process; from /proc on Linux, as getrusage inherits the parent's peak."""
    status = Path("/proc/self/status")
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.M) if status.exists() else None
    if peak:
        return int(peak[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def describe_environment(processes: int = 1) -> dict[str, Any]:
    """Time, command, code revision, packages, and machine with the processes that trained."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": [without_password(word) for word in sys.argv],
        "git": revision(CHECKOUT),
        "python": platform.python_version(),
        "packages": packages(),
        "machine": machine() | {"processes": processes},
    }


def revision(checkout: Path) -> dict[str, Any]:
    """The commit, and whether files differ from it; both null outside a checkout."""
    # without this file, the repository is that of the environment
    if not (checkout / "pyproject.toml").exists():
        return {"revision": None, "dirty": None}
    head, changes = git(checkout, "rev-parse", "HEAD"), git(checkout, "status", "--porcelain")
    return {"revision": head or None, "dirty": None if changes is None else bool(changes)}


def git(checkout: Path, *words: str) -> str | None:
    """The output of git; None without git or a repository."""
    command = ["git", "-C", str(checkout), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def packages() -> dict[str, str]:
    """Installed versions of this package and its dependencies."""
    try:
        lines = [line for line in requires("imigue_lab") or [] if "extra ==" not in line]
        names = ["imigue_lab", *(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines)]
        return {name: version(name) for name in names}
    except PackageNotFoundError as error:
        return {"torch": torch.__version__, "note": f"run without installing ({error})"}


def machine() -> dict[str, Any]:
    cards = range(torch.cuda.device_count())
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": memory_gb(),
        "cards": [torch.cuda.get_device_name(number) for number in cards],
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def memory_gb() -> float | None:
    """Of the machine; None if unknown."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None
