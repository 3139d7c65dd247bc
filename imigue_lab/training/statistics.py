"""Paired statistics of items that hang together: clips of one video, interviews of one subject.

A value an item, and the cluster it belongs to; clusters are drawn, or flipped, as a whole.
Letters in shapes: N items, G clusters, R resamples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import binomtest

from imigue_lab.training.scores import draw_groups, percentiles

FLIPS = 10_000
EXACT = 13  # clusters whose 2^13 sets of signs are all looked at

Values = Float[np.ndarray, " N"]
Clusters = pd.Series | np.ndarray  # whose item it is


class McNemar(NamedTuple):
    """Items that one of two answers alone gets right. The p takes items for independent."""

    only_first: int
    only_second: int
    p: float


def sums_of(values: Values, cluster: Clusters) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values and number of items of each cluster."""
    group, _ = pd.factorize(np.asarray(cluster))
    return np.bincount(group, weights=values), np.bincount(group)


def interval_of_mean(values: Values, cluster: Clusters, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over items, in draws of whole clusters.

    NaN with a single cluster, which says nothing of others.
    """
    sums, sizes = sums_of(values, cluster)
    if len(sums) < 2:
        return float("nan"), float("nan")
    draws = draw_groups(len(sums), seed)
    return percentiles({"mean": draws @ sums / (draws @ sizes)}, len(sums))["mean"]


def sign_flip_p(gain: Values, cluster: Clusters, seed: int = 0) -> float:
    """Two-sided p of a gain of 0, were each cluster's sum as likely to have the other sign.

    Exact for up to 13 clusters with a gain; of 10,000 random sets of signs for more.
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
    """Exact McNemar test of two rows of right and wrong answers; a description, see the class."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    decided = only_first + only_second
    p = binomtest(only_first, decided).pvalue if decided else 1.0
    return McNemar(only_first, only_second, float(p))


def holm(p: Sequence[float]) -> list[float]:
    """p values after Holm's step-down correction for their number; NaN stays and is not counted."""
    raw = np.asarray(p, dtype=float)
    known = np.flatnonzero(~np.isnan(raw))
    order = known[np.argsort(raw[known], kind="stable")]
    adjusted = raw.copy()
    steps = raw[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()
