"""Do the intervals hold what they promise? Synthetic test sets whose clips hang together by video.

python -m benchmarks.coverage [sets]        2,000 sets in about half a minute

Each video has a difficulty of its own, which all its clips share, and a number of clips of its own.
Two models are equally good on average and each is better in some videos.
"""

import sys

import numpy as np

from imigue_lab.training.statistics import interval_of_mean, sign_flip_p

DIFFICULTY, LIKING = 1.0, 0.7  # spread between videos: of both models together, and of each


def share_right(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def make_set(rng: np.random.Generator, clusters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right and wrong answers of two models, and the video of each clip."""
    cluster = np.repeat(np.arange(clusters), 1 + rng.poisson(8, clusters))
    difficulty = rng.normal(0.5, DIFFICULTY, clusters)
    first, second = (
        rng.random(len(cluster))
        < share_right(difficulty + rng.normal(0, LIKING, clusters))[cluster]
        for _ in range(2)
    )
    return first, second, cluster


def coverage(sets: int, clusters: int) -> float:
    """Share of sets whose interval of the first model's accuracy holds the true one."""
    rng = np.random.default_rng(0)
    spread = np.hypot(DIFFICULTY, LIKING)
    truth = share_right(rng.normal(0.5, spread, 1_000_000)).mean()
    held = 0
    for number in range(sets):
        first, _, cluster = make_set(rng, clusters)
        low, high = interval_of_mean(first.astype(float), cluster, number)
        held += low <= truth <= high
    return held / sets


def false_positives(sets: int, clusters: int) -> float:
    """Share of sets in which the sign-flip test, at 5 %, tells equal models apart."""
    rng = np.random.default_rng(1)
    told = 0
    for number in range(sets):
        first, second, cluster = make_set(rng, clusters)
        told += sign_flip_p(first.astype(float) - second, cluster, number) < 0.05
    return told / sets


def main(sets: int = 2000) -> None:
    for clusters in (8, 36, 104):
        held, told = coverage(sets, clusters), false_positives(sets, clusters)
        print(
            f"{clusters} videos, {sets} sets: the interval holds the truth in {held:.1%},"
            f" equal models are told apart in {told:.1%}",
            flush=True,
        )
        assert 0.92 <= held <= 0.98
        assert told <= 0.07


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
