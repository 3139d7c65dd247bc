"""Scores with what a reader needs to believe them: n, intervals, and the constant answers.

Predictions are a table: video_id, subject, split, outcome (1 win, 0 lose), probability (of a win).
Letters in shapes: N interviews, R resamples.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import binomtest, norm, t

RESAMPLES = 2000
BINS = 10  # of the calibration error
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "calibration_error")

Weights = Float[np.ndarray, "R N"]
PerResample = dict[str, Float[np.ndarray, " R"]]


def weighted_scores(
    outcome: Int[np.ndarray, " N"], probability: Float[np.ndarray, " N"], weights: Weights
) -> PerResample:
    """Every metric under R weightings of the N items; NaN where one class has no weight.

    calibration_error: mean |share of wins - mean probability| over 10 bins of equal width.
    """
    said, win = probability >= 0.5, outcome == 1
    true_win, false_win = weights @ (said & win), weights @ (said & ~win)
    wins, losses = weights @ win, weights @ ~win
    true_lose, total = losses - false_win, wins + losses
    with np.errstate(invalid="ignore", divide="ignore"):
        f1_win = 2 * true_win / (true_win + false_win + wins)
        f1_lose = 2 * true_lose / (2 * true_lose + (wins - true_win) + false_win)
        above = np.sign(probability[win][:, None] - probability[~win][None, :]) / 2 + 0.5
        pairs = np.einsum("rp,pn,rn->r", weights[:, win], above, weights[:, ~win])
        bins = np.minimum((probability * BINS).astype(int), BINS - 1)[:, None] == np.arange(BINS)
        return {
            "accuracy": (true_win + true_lose) / total,
            "balanced_accuracy": (true_win / wins + true_lose / losses) / 2,
            "macro_f1": (f1_win + f1_lose) / 2,
            "auc": pairs / (wins * losses),
            "calibration_error": (
                np.abs(weights @ ((win - probability)[:, None] * bins)).sum(axis=1) / total
            ),
        }


def point_scores(predictions: pd.DataFrame) -> dict[str, float]:
    """Every metric of a table of predictions."""
    outcome, probability = columns(predictions)
    scores = weighted_scores(outcome, probability, np.ones((1, len(outcome))))
    return {name: float(value[0]) for name, value in scores.items()}


def columns(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return (
        predictions.outcome.to_numpy().astype(int),
        predictions.probability.to_numpy().astype(float),
    )


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    interval = binomtest(right, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_intervals(predictions: pd.DataFrame, seed: int) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals over draws of whole subjects, whose interviews hang together."""
    outcome, probability = columns(predictions)
    subject, names = pd.factorize(predictions.subject)
    draws = draw_groups(len(names), seed)
    return percentiles(weighted_scores(outcome, probability, draws[:, subject]), len(names))


def draw_groups(groups: int, seed: int) -> Float[np.ndarray, "R groups"]:
    """How often each of the groups is drawn, in R draws of as many groups with replacement."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES)
    return draws.astype(float)


def percentiles(scores: PerResample, groups: int) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each score over its resamples; none of one that no resample gives.

    With few groups the middle 95 % of resamples are too narrow (with 8 they hold the truth in 88 %
    of sets): the tail is widened as Student's t is wider than the normal curve (Hesterberg 2015).
    """
    if groups < 2:
        return {}
    tail = float(norm.cdf(np.sqrt(groups / (groups - 1)) * t.ppf(0.025, groups - 1)))
    return {
        name: (float(np.nanquantile(values, tail)), float(np.nanquantile(values, 1 - tail)))
        for name, values in scores.items()
        if np.isfinite(values).any()
    }


def permutation_p(predictions: pd.DataFrame, seed: int) -> float:
    """How often shuffled outcomes are predicted as well or better, by balanced accuracy."""
    outcome, probability = columns(predictions)
    rng = np.random.default_rng(seed)
    said, win = probability >= 0.5, outcome == 1

    def balanced(win: np.ndarray) -> np.ndarray:
        return (said & win).sum(-1) / win.sum(-1) + (~said & ~win).sum(-1) / (~win).sum(-1)

    shuffled = rng.permuted(np.tile(win, (RESAMPLES, 1)), axis=1)
    return float((1 + (balanced(shuffled) >= balanced(win[None]) - 1e-12).sum()) / (1 + RESAMPLES))


def score_table(predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The model beside both constant answers, for each labelled part but train.

    Columns: n, right, each metric, the 95 % intervals `accuracy_interval` (Wilson) and
    `balanced_accuracy_interval`, `auc_interval` (bootstrap over subjects), and `p` (permutation).
    """
    rows = []
    for split in ("validation", "test"):
        part = predictions[(predictions.split == split) & predictions.outcome.notna()]
        if part.empty:
            continue
        both = part.outcome.nunique() == 2
        answers = {"model": part.probability, "always win": 1.0, "always lose": 0.0}
        for answer, probability in answers.items():
            answered = part.assign(probability=probability)
            scores = point_scores(answered)
            right = round(scores["accuracy"] * len(part))
            row: dict[str, object] = {
                "split": split,
                "answer": answer,
                "n": len(part),
                "right": right,
                **scores,
            }
            row["accuracy_interval"] = wilson_interval(right, len(part))
            if answer == "model":
                intervals = bootstrap_intervals(answered, seed)
                for name in ("balanced_accuracy", "auc"):
                    row[f"{name}_interval"] = intervals.get(name)
                row["p"] = permutation_p(answered, seed) if both else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def show_scores(table: pd.DataFrame) -> pd.DataFrame:
    """The score table as people read it: two digits, intervals in brackets, dashes for nothing."""

    shown = table[["split", "answer", "n", "right"]].copy()
    for metric in METRICS:
        intervals = table.get(f"{metric}_interval", pd.Series(None, index=table.index))
        shown[metric.replace("_", " ")] = [
            with_interval(value, interval)
            for value, interval in zip(table[metric], intervals, strict=True)
        ]
    shown["p"] = ["–" if pd.isna(p) else f"{p:.3f}" if p >= 0.001 else "<0.001" for p in table["p"]]
    return shown


def with_interval(value: float, interval: object) -> str:
    """``0.63 [0.54, 0.72]``; a dash for nothing."""
    text = "–" if pd.isna(value) else f"{value:.2f}"
    if isinstance(interval, tuple | list):
        text += f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    return text
