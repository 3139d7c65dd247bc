"""Several processes, one result: this process's rank, its share of the work, and their exchange.

Extraction divides files among ranks, started by torchrun or `srun`. Training joins under torchrun:
every process has the whole model, computes its share of each global batch, and exchanges gradients,
bank candidates and BatchNorm statistics. All ranks therefore have the same weights and bank, take
the same decision about early stopping, and rank 0 alone writes.
"""

import atexit
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from imigue_lab.errors import RunError

T = TypeVar("T")
TORCHRUN = "TORCHELASTIC_RUN_ID"  # a variable that it sets
TIMEOUT = timedelta(hours=1)  # others may read data or write a checkpoint meanwhile
LOST = (
    "another process of this run has ended; see its error above. Start the same command again: it"
    " resumes after the last complete epoch"
)


class Piece(NamedTuple):
    """The part of a global batch that is computed in one forward and backward pass."""

    batch: Any
    weight: float  # its share of the items of the global batch, which weights its mean loss


@dataclass(frozen=True)
class Ranks:
    """This process among those of one command or training run."""

    rank: int = 0  # from 0
    count: int = 1  # number of processes
    pieces: int = 1  # passes per step and process (gradient accumulation)
    local: int = 0  # rank among the processes of this host; selects its GPU

    @property
    def first(self) -> bool:
        return self.rank == 0

    def deal(self, items: list[T], together: int = 1) -> list[tuple[list[T], float]]:
        """This process's items of a global batch as weighted pieces; [] if it has none.

        Over all processes each item occurs once and the weights sum to 1. So many neighbours, from
        the first on, stay `together` in a piece.
        """
        groups = [items[start : start + together] for start in range(0, len(items), together)]
        own = groups[self.rank :: self.count]
        size = max(1, -(-len(own) // self.pieces))
        pieces = [
            [item for group in own[start : start + size] for item in group]
            for start in range(0, len(own), size)
        ]
        return [(piece, len(piece) / len(items)) for piece in pieces]

    def batches_by_length(self, lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
        """Item numbers in batches of similar length; each item once over all processes."""
        order = sorted(range(len(lengths)), key=lambda number: lengths[number])
        for start in range(0, len(order), batch_size)[self.rank :: self.count]:
            yield order[start : start + batch_size]

    def gather(self, own: T) -> list[T]:
        """The value of every process, by rank."""
        if self.count == 1:
            return [own]
        found: list[Any] = [None] * self.count
        with detect_lost_process():
            dist.all_gather_object(found, own)
        return found

    def gather_rows(self, own: list[pd.DataFrame]) -> pd.DataFrame:
        """The rows of every process as one table."""
        return pd.concat([rows for tables in self.gather(own) for rows in tables])

    def agree(self, own: T) -> T:
        """The value of rank 0."""
        return self.gather(own)[0]

    def sum(self, own: Tensor) -> Tensor:
        """The sum over processes, in place."""
        if self.count > 1:
            with detect_lost_process():
                dist.all_reduce(own)
        return own

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """A parameter that no process used keeps no gradient, so that it does not decay either."""
        if self.count == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        users = torch.tensor([p.grad is not None for p in trained], dtype=torch.float32)
        users = self.sum(users.to(trained[0].device))
        used = [p for p, n in zip(trained, users.tolist(), strict=True) if n]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
        flat = self.sum(torch.cat([grad.flatten() for grad in grads]))
        for p, grad in zip(used, flat.split([p.numel() for p in used]), strict=True):
            p.grad = grad.view_as(p)

    def average_statistics(self, model: nn.Module) -> None:
        """Averages BatchNorm's running means and variances, which differ between processes."""
        for module in model.modules() if self.count > 1 else ():
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                assert module.running_var is not None
                self.sum(module.running_mean).div_(self.count)
                self.sum(module.running_var).div_(self.count)

    def broadcast(self, model: nn.Module) -> None:
        """Copies the weights of rank 0 to all processes."""
        for tensor in model.state_dict().values() if self.count > 1 else ():
            with detect_lost_process():
                dist.broadcast(tensor, 0)


ALONE = Ranks()


def find_process() -> Ranks:
    """From the variables of torchrun, else of `srun`; a single process without either.

    An interactive SLURM shell (job name `bash` or `interactive`) is a single process.
    """
    names: tuple[str, ...] = ()
    if TORCHRUN in os.environ:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    elif os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        names = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")
    if names and all(name in os.environ for name in names):
        rank, count, local = (int(os.environ[name]) for name in names)
        return Ranks(rank, count, local=local)
    return ALONE


@contextmanager
def detect_lost_process() -> Iterator[None]:
    """Torch's error in an exchange with an ended process becomes a RunError."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(LOST) from error


def open_ranks(pieces: int = 1) -> Ranks:
    """Joins the process group of torchrun; elsewhere, `srun` included, each process is alone."""
    process = find_process()
    if process.count == 1 or TORCHRUN not in os.environ:
        return Ranks(pieces=pieces)
    if not dist.is_initialized():
        both = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(both, timeout=TIMEOUT)
        atexit.register(leave)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)
    return replace(process, pieces=pieces)


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def stop(*_: object) -> None:
    """torchrun terminates all processes when one has ended."""
    raise RunError(LOST)
