"""Intervals and paired tests for clustered items: clips of one video, interviews of one subject.

Items of one cluster are not independent, so whole clusters are resampled or sign-flipped.
Letters in shapes: N items, G clusters, R resamples.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import binomtest, norm, t

RESAMPLES = 2000
FLIPS = 10_000
EXACT = 13  # clusters up to which all 2^13 sign assignments are enumerated

Values = Float[np.ndarray, " N"]
Clusters: TypeAlias = pd.Series | np.ndarray  # cluster of each item
PerResample = dict[str, Float[np.ndarray, " R"]]


class McNemar(NamedTuple):
    """Items that only one of two predictors gets correct. The p assumes independent items."""

    only_first: int
    only_second: int
    p: float


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    interval = binomtest(correct, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def draw_groups(groups: int, seed: int) -> Float[np.ndarray, "R G"]:
    """How often each cluster occurs in R draws of G clusters with replacement."""
    share = np.full(groups, 1 / groups)
    return np.random.default_rng(seed).multinomial(groups, share, size=RESAMPLES).astype(float)


def percentiles(scores: PerResample, groups: int) -> dict[str, tuple[float, float]]:
    """95 % interval of each score over its resamples; omits scores that are never finite.

    With few clusters the middle 95 % of resamples are too narrow (with 8 they cover the true value
    in 88 % of sets): the tail is widened as Student's t is wider than the normal distribution
    (Hesterberg 2015). Empty for a single cluster.
    """
    if groups < 2:
        return {}
    tail = float(norm.cdf(np.sqrt(groups / (groups - 1)) * t.ppf(0.025, groups - 1)))
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


def interval_of_mean(values: Values, cluster: Clusters, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over items; NaN for a single cluster."""
    means = {"mean": resampled_means(values, cluster, seed)}
    return percentiles(means, pd.Series(cluster).nunique()).get("mean", (np.nan, np.nan))


def sign_flip_p(gain: Values, cluster: Clusters, seed: int = 0) -> float:
    """Two-sided p of a mean gain of 0, if each cluster's sum were as likely to be negated.

    Exact for up to 13 clusters with a nonzero sum; 10,000 random sign assignments for more.
    """
    sums, _ = sums_of(gain, cluster)
    sums = sums[np.abs(sums) > 1e-12]
    if not len(sums):
        return 1.0
    observed = abs(sums.sum()) - 1e-9
    if len(sums) <= EXACT:
        bits = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((np.abs((1 - 2 * bits) @ sums) >= observed).mean())
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(FLIPS, len(sums)))
    return float((1 + (np.abs(signs @ sums) >= observed).sum()) / (1 + FLIPS))


def effect_size(gain: Values, cluster: Clusters) -> float:
    """Mean over clusters of their mean gain, in standard deviations between clusters."""
    sums, sizes = sums_of(gain, cluster)
    means = sums / sizes
    spread = means.std(ddof=1) if len(means) > 1 else 0.0
    return float(means.mean() / spread) if spread > 1e-12 else float("nan")


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Exact McNemar test of which items two predictors get correct; descriptive, see the class."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p = binomtest(only_first, discordant).pvalue if discordant else 1.0
    return McNemar(only_first, only_second, float(p))


def holm(p: Sequence[float]) -> list[float]:
    """p values after Holm's step-down correction; NaN stays NaN and is not counted."""
    raw = np.asarray(p, dtype=float)
    order = np.argsort(raw, kind="stable")[: np.isfinite(raw).sum()]  # NaN comes last
    steps = raw[order] * np.arange(len(order), 0, -1)
    adjusted = raw.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()
