"""Intervals and paired tests for clustered items: clips or interviews of one subject.

Items of one cluster are not independent, so whole clusters are resampled or sign-flipped. Every
95 % interval of a score is one of `percentiles`, or Wilson's where items are the clusters.
Letters in shapes: N items, G clusters, S runs (seeds), R resamples.
"""

import math
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.special import ndtr, ndtri, stdtrit

RESAMPLES = 2000
FLIPS = 10_000
FEW = 5  # clusters below which the draws of a proportion have too few values
EXACT = 13  # clusters up to which all 2^13 sign assignments are enumerated

Values = Float[np.ndarray, " N"]
Clusters: TypeAlias = pd.Series | np.ndarray  # cluster of each item
PerResample = dict[str, Float[np.ndarray, " R"]]


def wilson_interval(correct: int | float, n: int) -> tuple[float, float]:
    """95 % interval of a proportion of independent items (Wilson 1927)."""
    share, z = correct / n, float(ndtri(0.975))
    centre, scale = share + z**2 / (2 * n), 1 + z**2 / n
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def draw_groups(groups: int, seed: int) -> Float[np.ndarray, "R G"]:
    """How often each cluster occurs in R draws of G clusters with replacement."""
    rng, shares = np.random.default_rng(seed), np.full(groups, 1 / groups)
    return rng.multinomial(groups, shares, size=RESAMPLES).astype(float)


def percentiles(scores: PerResample, groups: int | float) -> dict[str, tuple[float, float]]:
    """95 % interval of each score over its resamples; omits scores that are never finite.

    With few clusters the middle 95 % of resamples are too narrow (with 8 they cover the true value
    in 88 % of sets): the tail is widened as Student's t is wider than the normal distribution
    (Hesterberg 2015). Empty for a single cluster. `groups` may be a fraction: the degrees of
    freedom of several sources of variance, plus 1.
    """
    if groups < 2:
        return {}
    tail = float(ndtr(np.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, 0.025)))
    return {
        name: (float(np.nanquantile(values, tail)), float(np.nanquantile(values, 1 - tail)))
        for name, values in scores.items()
        if np.isfinite(values).any()
    }


def sums_of(values: Values, cluster: Clusters) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values and number of items of each cluster."""
    group, _ = pd.factorize(np.asarray(cluster))
    return np.bincount(group, weights=values), np.bincount(group)


def resampled_means(values: Values, cluster: Clusters, seed: int) -> Float[np.ndarray, " R"]:
    """Mean over items in each draw of whole clusters."""
    sums, sizes = sums_of(values, cluster)
    draws = draw_groups(len(sums), seed)
    return draws @ sums / (draws @ sizes)


def interval_of_mean(
    values: Values, cluster: Clusters, seed: int = 0, run: Clusters | None = None
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over items; NaN for a single cluster.

    With the `run` of each value, where the items were scored by several runs, the interval is of
    other clusters and other runs: see `variance_of_runs`.
    """
    means, groups = resampled_means(values, cluster, seed), float(pd.Series(cluster).nunique())
    if run is not None and pd.Series(run).nunique() > 1 and groups > 1:
        variance, groups = variance_of_runs(values, cluster, run)
        means += np.random.default_rng([seed, 1]).normal(0, np.sqrt(variance), RESAMPLES)
    return percentiles({"mean": means}, groups).get("mean", (np.nan, np.nan))


def variance_of_runs(values: Values, cluster: Clusters, run: Clusters) -> tuple[float, float]:
    """What runs add to the variance of a mean that is resampled over clusters.

    Clusters and runs are crossed random effects (Searle et al. 1992, chapter 5), so the mean varies
    by ``σ²_cluster / G + σ²_run / S + σ²_both / (G S)``. Draws of clusters contain the first and
    the last; the variance between the means of runs contains the last two, and the last is
    subtracted. A cluster of one run alone, as in a data set of its own, is nested in it.

    Returns:
        The variance, at least 0, and the effective number of groups (Satterthwaite 1946).
    """
    cells = pd.DataFrame({"value": values - values.mean(), "cluster": cluster, "run": run})
    sums = cells.pivot_table("value", "cluster", "run", "sum").to_numpy() / len(values)  # G S
    groups, runs = sums.shape
    shared = (~np.isnan(sums)).sum(axis=1) > 1
    own = np.where(shared, np.nanmean(sums, axis=1), 0)
    residual = sums - own[:, None] - np.nanmean(sums, axis=0)
    residual *= np.sqrt(np.where(shared, runs / (runs - 1), 1) * groups / (groups - 1))[:, None]
    of_clusters = groups / (groups - 1) * (np.nansum(sums, axis=1) ** 2).sum()
    of_runs = runs / (runs - 1) * (np.nansum(sums, axis=0) ** 2).sum()
    added = max(0.0, of_runs - np.nansum(residual**2))
    both = of_clusters**2 / (groups - 1) + (of_runs**2 / (runs - 1) if added else 0)
    freedom = (of_clusters + added) ** 2 / both if both > 0 else groups - 1
    return float(added), 1 + max(1.0, float(freedom))


def interval_of_share(
    correct: Bool[np.ndarray, " N"], cluster: Clusters, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a proportion of items, over draws of clusters.

    Wilson's where each item is a cluster. Where draws show nothing, because they are of fewer than
    `FEW` clusters or all alike, Wilson's of as many items as clusters: wide, never too narrow.
    """
    share, groups = float(np.mean(correct)), pd.Series(cluster).nunique()
    if groups == len(correct) or groups < FEW or share in (0, 1):
        return wilson_interval(share * groups, groups)
    return interval_of_mean(correct.astype(float), cluster, seed)


def sign_flip_p(gain: Values, cluster: Clusters, seed: int = 0, two_sided: bool = True) -> float:
    """p of a mean gain of 0, if each cluster's sum were as likely to be negated.

    One-sided: the share of sums at least as large. Exact for up to 13 clusters with a nonzero sum;
    10,000 random sign assignments for more.
    """
    sums, _ = sums_of(gain, cluster)
    sums = sums[np.abs(sums) > 1e-12]
    if not len(sums):
        return 1.0
    size = np.abs if two_sided else np.positive
    observed = size(sums.sum()) - 1e-9
    if len(sums) <= EXACT:
        bits = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((size((1 - 2 * bits) @ sums) >= observed).mean())
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(FLIPS, len(sums)))
    return float((1 + (size(signs @ sums) >= observed).sum()) / (1 + FLIPS))
