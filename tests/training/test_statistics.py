"""Intervals and paired tests against scipy, by hand, and on synthetic sets of clustered clips."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from benchmarks.coverage import VIDEOS, simulate
from imigue_lab.results.compare import effect_size, holm
from imigue_lab.training.statistics import (
    interval_of_mean,
    interval_of_share,
    sign_flip_p,
    variance_of_runs,
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


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    adjusted = holm([0.02, float("nan"), 0.04])
    assert adjusted[0] == pytest.approx(0.04) and np.isnan(adjusted[1])


def test_a_proportion_is_wilsons_only_where_draws_of_clusters_cannot_be_had():
    correct = np.array([True, True, False, True, True, False] * 2)
    subject = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 5, 5])
    assert interval_of_share(correct, subject) == interval_of_mean(correct.astype(float), subject)
    assert interval_of_share(correct, np.arange(12)) == wilson_interval(8, 12)
    for alike, count in ((correct | True, 6), (correct & False, 0)):
        assert interval_of_share(alike, subject) == wilson_interval(count, 6)
    assert interval_of_share(correct, subject // 2) == wilson_interval(2, 3)  # two thirds of three
    low, high = interval_of_share(correct, np.zeros(12))
    assert low < 0.2 and high > 0.9


def crossed(seeds, of_seed, clusters=200, size=3, seed=0):
    """Values of clusters that are scored under each seed, with an effect of clusters of sd 1."""
    rng = np.random.default_rng(seed)
    of_cluster, of_seeds = rng.normal(size=clusters), rng.normal(0, of_seed, seeds)
    cluster, run = np.repeat(np.tile(np.arange(clusters), seeds), size), np.arange(seeds)
    run = np.repeat(run, clusters * size)
    return of_cluster[cluster] + of_seeds[run] + rng.normal(size=len(run)), cluster, run


def test_the_variance_of_seeds_is_that_of_their_effects_over_their_number():
    found = [variance_of_runs(*crossed(40, 0.5, seed=s))[0] for s in range(20)]
    assert np.mean(found) == pytest.approx(0.5**2 / 40, rel=0.15)
    without = [variance_of_runs(*crossed(5, 0.0, seed=s)) for s in range(20)]
    assert np.mean([added for added, _ in without]) < 0.1 / 200  # of clusters: about 1 / 200
    assert np.median([groups for _, groups in without]) == pytest.approx(200, rel=0.05)


def test_an_interval_over_seeds_is_wider_only_where_seeds_differ():
    alike, cluster, run = crossed(5, 0.0)
    same = np.ptp(interval_of_mean(alike, cluster, run=run))
    assert same == pytest.approx(np.ptp(interval_of_mean(alike, cluster)), rel=0.1)
    apart, cluster, run = crossed(5, 0.5)
    wide = np.ptp(interval_of_mean(apart, cluster, run=run))
    assert wide > 3 * np.ptp(interval_of_mean(apart, cluster))
    assert interval_of_mean(apart, cluster, run=np.zeros(len(run))) == interval_of_mean(
        apart, cluster
    )


def test_data_sets_of_a_seed_each_vary_as_their_means_do():
    values, cluster, run = crossed(8, 0.5, clusters=50)
    of_set = cluster + 50 * run  # no cluster is in two sets
    values = values + np.random.default_rng(1).normal(size=400)[of_set]
    means = [values[run == own].mean() for own in range(8)]
    total = np.var(means, ddof=1) / 8
    groups = 400 * len(values) / len(values)
    of_clusters = np.var([values[of_set == own].mean() for own in range(400)], ddof=1) / groups
    added, _ = variance_of_runs(values, of_set, run)
    assert of_clusters + added == pytest.approx(total, rel=0.15)


@pytest.mark.parametrize("subjects", VIDEOS)
@pytest.mark.parametrize("kind", ["gesture", "emotion", "difference", "seeds"])
def test_the_95_percent_interval_covers_the_true_value_in_95_percent_of_sets(kind, subjects):
    """With effects of subjects and of videos."""
    covered, significant = simulate(kind, sets=300, subjects=subjects)
    assert 0.91 <= covered <= 0.985
    assert significant <= 0.09  # the sign-flip test of the difference of equal models


def test_clustering_by_video_would_cover_less_than_85_percent():
    covered, _ = simulate("gesture", sets=300, subjects=10, known=False)
    assert covered < 0.85


@pytest.mark.parametrize("subjects", VIDEOS)
def test_skill_is_found_without_skill_in_at_most_9_percent_of_sets(subjects):
    assert simulate("skill", sets=300, subjects=subjects)[1] <= 0.09
