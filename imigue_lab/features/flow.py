"""How frames flow to networks: decoded ahead in a thread, encoded in batches of one size."""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
Take = Callable[[np.ndarray], None]
POLL_S = 0.1  # how soon a thread sees that nobody takes any more


class Raised(NamedTuple):
    """An error on its way from the thread to whoever takes the items."""

    error: BaseException


class Ended(NamedTuple):
    """Nothing more comes."""


def ahead(source: Iterable[T], depth: int = 1) -> Generator[T, None, None]:
    """Runs `source` in a thread, at most `depth` items ahead of whoever takes them.

    An error of the source is raised after the items before it were taken; the thread ends when the
    iterator is closed.
    """
    queue: Queue[T | Raised | Ended] = Queue(depth)
    abandoned = Event()

    def hand_over(item: T | Raised | Ended) -> None:
        while not abandoned.is_set():
            with suppress(Full):
                queue.put(item, timeout=POLL_S)
                return

    def run() -> None:
        try:
            for item in source:
                hand_over(item)
                if abandoned.is_set():
                    return
            hand_over(Ended())
        except BaseException as error:
            hand_over(Raised(error))
        finally:
            if isinstance(source, Generator):
                source.close()

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), Ended):
            if isinstance(item, Raised):
                raise item.error
            yield item
    finally:
        abandoned.set()
        empty(queue)
        thread.join()


def empty(queue: Queue) -> None:
    with suppress(Empty):
        while True:
            queue.get_nowait()


class Batches:
    """A network fed in batches of one size, filled across items and videos.

    A short last batch is filled up with copies: every batch runs the same kernels, so what comes
    out for an example does not depend on what else was encoded in the same call. The results of a
    batch are handed out when the next one is on its way, which lets a GPU work meanwhile.

    Args:
        network: (B, ...) of `put` examples -> (B, ...), rows in the same order.
        size: examples a batch.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], size: int):
        self.network = network
        self.size = size
        self.waiting: list[tuple[Tensor, Take]] = []
        self.under_way: tuple[Tensor, list[Take]] | None = None

    def put(self, example: Tensor, take: Take) -> None:
        """Adds an example; `take` receives its result, a float32 array, sooner or later."""
        self.waiting.append((example, take))
        if len(self.waiting) == self.size:
            self.run()

    def flush(self) -> None:
        """Runs what is waiting and hands out every result."""
        if self.waiting:
            self.run()
        self.deliver()

    def run(self) -> None:
        examples = [example for example, _ in self.waiting]
        takers = [take for _, take in self.waiting]
        self.waiting = []
        copies = self.size - len(examples)
        results = self.network(torch.stack(examples + examples[-1:] * copies))
        self.deliver()
        self.under_way = results, takers
        if results.device.type == "cpu":
            self.deliver()

    def deliver(self) -> None:
        if self.under_way is None:
            return
        results, takers = self.under_way
        self.under_way = None
        rows = results.float().cpu().numpy()
        for take, row in zip(takers, rows, strict=False):
            take(row)
