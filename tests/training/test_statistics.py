"""Intervals and paired tests against scipy, by hand, and on synthetic sets of clustered clips."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from benchmarks.coverage import coverage, false_positives
from imigue_lab.training.statistics import (
    effect_size,
    holm,
    interval_of_mean,
    mcnemar,
    sign_flip_p,
    wilson_interval,
)


def clustered(clusters=10, size=4, seed=0, gain=0.2):
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), size)
    return rng.normal(size=clusters)[cluster] + gain + rng.normal(size=len(cluster)), cluster


def test_the_wilson_interval_of_66_in_104():
    low, high = wilson_interval(66, 104)
    assert (round(low, 4), round(high, 4)) == (0.5388, 0.7208)


@pytest.mark.parametrize("seed", range(3))
def test_the_sign_flip_test_agrees_with_scipy_on_cluster_sums(seed):
    gain, cluster = clustered(seed=seed)
    sums = np.bincount(cluster, weights=gain)
    exact = permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    assert sign_flip_p(gain, cluster) == pytest.approx(exact.pvalue)


def test_random_signs_approximate_the_exact_test(monkeypatch):
    gain, cluster = clustered(clusters=12, gain=0.5)
    exact = sign_flip_p(gain, cluster)
    monkeypatch.setattr("imigue_lab.training.statistics.EXACT", 0)
    assert sign_flip_p(gain, cluster) == pytest.approx(exact, abs=0.01)
    assert 0.001 < exact < 0.6


def test_copies_of_the_clips_of_a_video_add_no_evidence():
    gain, cluster = clustered(size=1)
    repeated, video = np.repeat(gain, 50), np.repeat(cluster, 50)
    assert sign_flip_p(repeated, video) == sign_flip_p(gain, cluster)
    assert interval_of_mean(repeated, video) == pytest.approx(interval_of_mean(gain, cluster))
    assert effect_size(repeated, video) == pytest.approx(effect_size(gain, cluster))
    assert effect_size(gain, cluster) == pytest.approx(gain.mean() / gain.std(ddof=1))


def test_no_gain_anywhere_is_no_evidence():
    zero = np.zeros(12)
    assert sign_flip_p(zero, np.arange(12)) == 1
    assert np.isnan(effect_size(zero, np.arange(12)))
    assert np.isnan(interval_of_mean(zero, np.zeros(12))).all()


def test_mcnemar_by_hand():
    # 8 items that only the first gets correct, 2 only the second: 2 (1 + 10 + 45) / 2^10
    first = np.array([1] * 8 + [0] * 2 + [1] * 5 + [0] * 3, dtype=bool)
    second = np.array([0] * 8 + [1] * 2 + [1] * 5 + [0] * 3, dtype=bool)
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (8, 2)
    assert result.p == pytest.approx(2 * 56 / 1024)
    assert mcnemar(first, first).p == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    adjusted = holm([0.02, float("nan"), 0.04])
    assert adjusted[0] == pytest.approx(0.04) and np.isnan(adjusted[1])


@pytest.mark.parametrize("clusters", [8, 40])
def test_the_95_percent_interval_covers_the_true_value_in_95_percent_of_sets(clusters):
    assert 0.92 <= coverage(sets=300, clusters=clusters) <= 0.98


@pytest.mark.parametrize("clusters", [8, 40])
def test_two_equal_models_differ_significantly_in_at_most_7_percent_of_sets(clusters):
    assert false_positives(sets=300, clusters=clusters) <= 0.07
