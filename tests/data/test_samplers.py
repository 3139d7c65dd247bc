"""The order of an epoch: every item, little padding, class shares, and reproducible resumption."""

import numpy as np
import pytest

from imigue_lab.data.samplers import BalancedSampler, BucketSampler, log_prior, with_ordinals


def items(sampler):
    return [number for batch in sampler for number in batch]


def test_buckets_contain_every_item_once_with_little_padding():
    lengths = np.random.default_rng(0).integers(10, 500, size=101).tolist()
    sampler = BucketSampler(lengths, batch_size=8, seed=0)
    batches = list(sampler)
    assert sorted(n for batch in batches for n in batch) == list(range(101))
    assert len(batches) == len(sampler) == 13
    assert max(map(len, batches)) == 8
    padded = sum(max(lengths[n] for n in batch) * len(batch) for batch in batches)
    assert padded < 1.25 * sum(lengths)


LENGTHS = list(range(1, 51))
LABELS = [n % 7 for n in range(50)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: BucketSampler(LENGTHS, batch_size=4, seed=3),
        lambda: BalancedSampler(LENGTHS, LABELS, batch_size=4, seed=3),
    ],
)
def test_the_order_depends_on_seed_and_epoch_alone(make):
    whole_run = make()
    orders = []
    for epoch in range(3):
        whole_run.epoch = epoch
        orders.append(list(whole_run))
    assert orders[0] != orders[1] != orders[2]
    resumed = make()
    resumed.epoch = 2
    assert list(resumed) == orders[2]


SIZES = {0: 1, 1: 9, 2: 90, 3: 300}
MANY = [label for label, size in SIZES.items() for _ in range(size)]


@pytest.mark.parametrize(
    ("balance", "counts"),
    [(0.0, [1, 9, 90, 300]), (1.0, [100, 100, 100, 100]), (0.5, [13, 39, 123, 225])],
)
def test_classes_have_exactly_the_shares_of_the_rule_in_every_epoch(balance, counts):
    sampler = BalancedSampler([64] * 400, MANY, batch_size=32, seed=0, balance=balance)
    for epoch in range(3):
        sampler.epoch = epoch
        assert np.bincount([MANY[n] for n in items(sampler)]).tolist() == counts


def test_no_clip_is_drawn_twice_more_than_another_of_its_class():
    sampler = BalancedSampler([64] * 400, MANY, batch_size=32, seed=0, balance=1.0)
    times = np.bincount(items(sampler), minlength=400)
    for label in SIZES:
        own = times[np.array(MANY) == label]
        assert own.max() - own.min() <= 1


def test_the_correction_of_the_prior_is_that_of_the_draws():
    sampler = BalancedSampler([64] * 400, MANY, batch_size=32, seed=0)
    drawn = np.bincount([MANY[n] for n in items(sampler)])
    np.testing.assert_allclose(
        log_prior(MANY, 0.5, 5), [*np.log(np.array([1, 9, 90, 300]) / drawn), 0]
    )
    assert not log_prior(MANY, 0.0, 5).any()


def test_the_draws_of_an_item_are_counted_within_its_epoch():
    sampler = BalancedSampler([64] * 400, MANY, batch_size=32, seed=0, balance=1.0)
    for epoch in range(2):
        sampler.epoch = epoch
        draws = [draw for batch in with_ordinals(sampler) for draw in batch]
        assert [draw.ordinal for draw in draws if draw.number == 0] == list(range(100))
        assert len(set(draws)) == 400 and [draw.number for draw in draws] == items(sampler)


def test_a_large_class_has_other_clips_in_another_epoch():
    sampler = BalancedSampler([64] * 400, MANY, batch_size=32, seed=0, balance=1.0)
    first = set(items(sampler))
    sampler.epoch = 1
    assert len(set(items(sampler)) - first) > 50


def test_balanced_batches_are_bucketed_by_length_too():
    lengths = np.random.default_rng(0).integers(10, 250, size=400).tolist()
    sampler = BalancedSampler(lengths, MANY, batch_size=8, seed=0)
    padded = sum(max(lengths[n] for n in batch) * len(batch) for batch in sampler)
    assert padded < 1.3 * sum(lengths[n] for n in items(sampler))
