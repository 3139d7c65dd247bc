"""Data flow to networks: items prefetched in a thread, examples encoded in batches of one size."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
Receiver = Callable[[np.ndarray], None]
END = object()  # of a source


def prefetch(source: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """Runs `source` in a thread, at most `depth` items ahead of the consumer.

    An error of the source is raised after the items before it; the thread ends when the generator
    is closed.
    """
    items = iter(source)
    thread = ThreadPoolExecutor(1)
    ahead = deque(thread.submit(next, items, END) for _ in range(depth))
    try:
        while (item := ahead.popleft().result()) is not END:
            ahead.append(thread.submit(next, items, END))
            yield cast(T, item)
    finally:
        thread.shutdown(cancel_futures=True)
        if isinstance(items, Generator):
            items.close()


class Batches:
    """A network fed in batches of one size, filled across items and videos.

    A short last batch is filled with copies: every batch runs the same kernels, so the result of an
    example does not depend on what else is encoded in the same call. The results of a batch are
    delivered after the next one has been started, so that a GPU works meanwhile.

    `network` maps (B, ...) examples to (B, ...) results in the same order; `size` is B.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], size: int):
        self.network = network
        self.size = size
        self.queued: list[tuple[Tensor, Receiver]] = []
        self.in_flight: list[tuple[Tensor, list[Receiver]]] = []

    def put(self, example: Tensor, receive: Receiver) -> None:
        """Adds an example; `receive` is called with its result, a float32 array, later."""
        self.queued.append((example, receive))
        if len(self.queued) == self.size:
            self.run()

    def flush(self) -> None:
        """Runs the queued examples and delivers all results."""
        if self.queued:
            self.run()
        self.deliver()

    def run(self) -> None:
        examples = [example for example, _ in self.queued]
        receivers = [receive for _, receive in self.queued]
        self.queued = []
        copies = self.size - len(examples)
        results = self.network(torch.stack(examples + examples[-1:] * copies))
        self.deliver()
        self.in_flight = [(results, receivers)]
        if results.device.type == "cpu":
            self.deliver()

    def deliver(self) -> None:
        delivered, self.in_flight = self.in_flight, []
        for results, receivers in delivered:
            rows = results.float().cpu().numpy()
            for receive, row in zip(receivers, rows, strict=False):  # rows of copies are dropped
                receive(row)
