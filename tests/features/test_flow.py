"""Frames come ahead of whoever takes them; networks see batches of one size only."""

import threading
from functools import partial

import numpy as np
import pytest
import torch

from imigue_lab.features.flow import Batches, ahead


def test_items_come_in_order_whole_and_from_another_thread():
    names = []

    def source():
        for number in range(20):
            names.append(threading.current_thread().name)
            yield number

    assert list(ahead(source())) == list(range(20))
    assert set(names) != {threading.current_thread().name}


def test_an_error_of_the_source_comes_after_the_items_before_it():
    def source():
        yield 1
        raise ValueError("frame 2 is damaged")

    taken = ahead(source())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="frame 2 is damaged"):
        next(taken)


def test_the_source_stays_only_a_few_items_ahead_and_ends_when_nobody_takes_any_more():
    made, ended = [], threading.Event()

    def source():
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            ended.set()

    taken = ahead(source(), depth=2)
    assert [next(taken) for _ in range(5)] == [0, 1, 2, 3, 4]
    taken.close()
    assert ended.is_set()
    assert len(made) <= 5 + 2 + 2  # taken, in the queue, one in hand on either side


@pytest.fixture
def sums():
    """A network that adds up its examples, and the sizes of the batches that it saw."""
    sizes = []

    def network(batch):
        sizes.append(len(batch))
        return batch.sum(dim=1)

    return network, sizes


def test_every_batch_has_the_same_size_and_every_result_finds_its_taker(sums):
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


def test_results_do_not_depend_on_their_neighbours_or_their_place_in_the_batch():
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
