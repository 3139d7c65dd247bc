"""Coverage of the intervals on synthetic test sets with clips that are correlated within a video.

python -m benchmarks.coverage [sets]        2,000 sets in about half a minute

Each video has a difficulty that all its clips share, and a random number of clips. Two models are
equally good on average, and each is better in some videos.
"""

import sys

import numpy as np

from imigue_lab.training.statistics import interval_of_mean, sign_flip_p

DIFFICULTY, PREFERENCE = 1.0, 0.7  # std between videos: of both models together, and of each


def share_correct(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def make_set(rng: np.random.Generator, clusters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each of two models predicts each clip correctly, and the video of each clip."""
    cluster = np.repeat(np.arange(clusters), 1 + rng.poisson(8, clusters))
    difficulty = rng.normal(0.5, DIFFICULTY, clusters)
    first, second = (
        rng.random(len(cluster))
        < share_correct(difficulty + rng.normal(0, PREFERENCE, clusters))[cluster]
        for _ in range(2)
    )
    return first, second, cluster


def coverage(sets: int, clusters: int) -> float:
    """Share of sets whose interval of the first model's accuracy contains the true accuracy."""
    rng = np.random.default_rng(0)
    spread = np.hypot(DIFFICULTY, PREFERENCE)
    truth = share_correct(rng.normal(0.5, spread, 1_000_000)).mean()
    contained = 0
    for number in range(sets):
        first, _, cluster = make_set(rng, clusters)
        low, high = interval_of_mean(first.astype(float), cluster, number)
        contained += low <= truth <= high
    return contained / sets


def false_positives(sets: int, clusters: int) -> float:
    """Share of sets in which the sign-flip test finds a difference of equal models at 5 %."""
    rng = np.random.default_rng(1)
    found = 0
    for number in range(sets):
        first, second, cluster = make_set(rng, clusters)
        found += sign_flip_p(first.astype(float) - second, cluster, number) < 0.05
    return found / sets


def main(sets: int = 2000) -> None:
    for clusters in (8, 36, 104):
        covered, found = coverage(sets, clusters), false_positives(sets, clusters)
        print(
            f"{clusters} videos, {sets} sets: the interval contains the truth in {covered:.1%},"
            f" equal models differ significantly in {found:.1%}",
            flush=True,
        )
        assert 0.92 <= covered <= 0.98
        assert found <= 0.07


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
