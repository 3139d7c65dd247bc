"""One run in several processes: who has which share of a step, and how the shares come together.

Under torchrun each process has a device and every process the whole model. A global batch is dealt
out among them; gradients are summed, what the memory is told is gathered, BatchNorm's running
statistics are averaged before a score. So all hold the same weights and the same bank, decide alike
when to stop, and the first alone writes.
"""

import atexit
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from imigue_lab.errors import RunError

T = TypeVar("T")
PATIENCE = timedelta(hours=1)  # for others that read data or write a checkpoint
LOST = (
    "another process of this run has ended; what it said stands above. Start the same command"
    " again: it goes on from its last whole epoch"
)


class Piece(NamedTuple):
    """A part of a global batch that is computed at once.

    Attributes:
        weight: its share of the global batch's items, by which its mean loss counts.
    """

    batch: Any
    weight: float


@dataclass(frozen=True)
class Ranks:
    """This process among all of a run.

    Attributes:
        rank: its number, from 0.
        count: of processes.
        pieces: in which each takes its share of a step (gradient accumulation).
    """

    rank: int = 0
    count: int = 1
    pieces: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def deal(self, numbers: list[int]) -> list[tuple[list[int], float]]:
        """This process's items of a global batch, in pieces with their weights; [] if it has none.

        Over all processes each item comes once and the weights sum to 1.
        """
        own = numbers[self.rank :: self.count]
        size = max(1, -(-len(own) // self.pieces))
        pieces = [own[start : start + size] for start in range(0, len(own), size)]
        return [(piece, len(piece) / len(numbers)) for piece in pieces]

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of what is to be predicted; over all, each item once."""
        return items[self.rank :: self.count]

    def gather(self, own: T) -> list[T]:
        """What each process has, in their order."""
        if self.count == 1:
            return [own]
        found: list[Any] = [None] * self.count
        with listening():
            dist.all_gather_object(found, own)
        return found

    def agree(self, own: T) -> T:
        """What the first process says."""
        return self.gather(own)[0]

    def sum(self, own: Tensor) -> Tensor:
        """The sum over processes, in place."""
        if self.count > 1:
            with listening():
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
        """Means and variances that BatchNorm keeps: each process has seen its own share."""
        for module in model.modules() if self.count > 1 else ():
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                assert module.running_var is not None
                self.sum(module.running_mean).div_(self.count)
                self.sum(module.running_var).div_(self.count)

    def start_alike(self, model: nn.Module) -> None:
        """All start from the first one's weights."""
        for tensor in model.state_dict().values() if self.count > 1 else ():
            with listening():
                dist.broadcast(tensor, 0)


ALONE = Ranks()


@contextmanager
def listening() -> Iterator[None]:
    """A process that is lost shows as an error of the next exchange."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(LOST) from error


def open_ranks(pieces: int = 1) -> Ranks:
    """This process's place under torchrun, which is met with the others; alone elsewhere."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1 or "TORCHELASTIC_RUN_ID" not in os.environ:
        return Ranks(pieces=pieces)
    if not dist.is_initialized():
        both = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(both, timeout=PATIENCE)
        atexit.register(leave)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, told_to_stop)
    return Ranks(int(os.environ["RANK"]), count, pieces)


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def told_to_stop(*_: object) -> None:
    """torchrun ends all processes when one has ended."""
    raise RunError(LOST)
