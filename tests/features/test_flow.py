"""Items are prefetched in a thread; networks get batches of one size only."""

import threading
from functools import partial

import numpy as np
import pytest
import torch

from imigue_lab.features.flow import Batches, prefetch


def test_items_arrive_in_order_from_another_thread():
    names = []

    def source():
        for number in range(20):
            names.append(threading.current_thread().name)
            yield number

    assert list(prefetch(source())) == list(range(20))
    assert set(names) != {threading.current_thread().name}


def test_an_error_of_the_source_is_raised_after_earlier_items():
    def source():
        yield 1
        raise ValueError("frame 2 is damaged")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(ValueError, match="frame 2 is damaged"):
        next(items)


def test_the_source_runs_only_a_few_items_ahead_and_ends_when_closed():
    produced, ended = [], threading.Event()

    def source():
        try:
            for number in range(1000):
                produced.append(number)
                yield number
        finally:
            ended.set()

    items = prefetch(source(), depth=2)
    assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    items.close()
    assert ended.is_set()
    assert len(produced) <= 5 + 2 + 2  # consumed, in the queue, and one held on either side


@pytest.fixture
def sums():
    """A network that adds up its examples, and the sizes of its batches."""
    sizes = []

    def network(batch):
        sizes.append(len(batch))
        return batch.sum(dim=1)

    return network, sizes


def test_every_batch_has_the_same_size_and_every_result_reaches_its_receiver(sums):
    network, sizes = sums
    batches, got = Batches(network, size=4), {}
    for number in range(10):
        batches.put(torch.full((3,), float(number)), partial(got.__setitem__, number))
    assert sorted(got) == list(range(8))
    batches.flush()
    assert sizes == [4, 4, 4]
    assert {number: float(result) for number, result in got.items()} == {
        number: 3.0 * number for number in range(10)
    }


def test_a_flush_of_nothing_runs_nothing(sums):
    network, sizes = sums
    batches = Batches(network, size=4)
    batches.flush()
    batches.put(torch.ones(3), lambda result: None)
    batches.flush()
    batches.flush()
    assert sizes == [4]


def test_results_do_not_depend_on_their_neighbours_or_position_in_the_batch():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 8))
    examples, got = torch.randn(11, 32), {}
    with torch.no_grad():
        for order in (range(11), reversed(range(11))):
            batches = Batches(network, size=4)
            for number in order:
                batches.put(examples[number], partial(got.setdefault(number, []).append))
            batches.flush()
    assert all(np.array_equal(*results) for results in got.values())
