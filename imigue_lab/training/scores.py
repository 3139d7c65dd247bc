"""Scores of every task with n, 95 % intervals and constant predictors as baselines.

Predictions are a table with one row per item:

    emotion   video_id, subject, split, outcome, and of two outcomes probability (of the last), of
              more p0, p1, ... (probability of each)
    gestures  clip_id, video_id, subject, split, label, p0, p1, ... (probability of each class);
              of the gesture model also pose0, ..., rgb0, ... (logits of its heads)

`outcome` and `label` are null where they are hidden. Intervals resample whole subjects, because
their items are not independent; the video takes the place of a subject that is not known.
Letters in shapes: N items, K classes, G clusters, R resamples; [r, i, j] counts the items of class
i that are classified as j.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.special import softmax

from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import RunError
from imigue_lab.training.statistics import (
    PerResample,
    draw_groups,
    interval_of_share,
    percentiles,
    sign_flip_p,
)

BINS = 10  # of the calibration error
EMOTION_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "calibration_error")
OF_OUTCOMES = {"top1": "accuracy", "mean_class_accuracy": "balanced_accuracy"}  # if more than two
GESTURE_METRICS = ("top1", "top5", "macro_f1", "mean_class_accuracy", "calibration_error")

Labels = Int[np.ndarray, " N"]
Probabilities = Float[np.ndarray, "N K"]


def is_emotion(predictions: pd.DataFrame) -> bool:
    """Whether they are of outcomes; RunError for windows of a pre-training, and for segments."""
    for column, got in (("error", "a pre-training"), ("kept", "segments of whole videos")):
        if column in predictions:
            raise RunError(f"expected a run that predicts classes, got {got}; name another")
    return "outcome" in predictions


def truth_of(predictions: pd.DataFrame) -> pd.Series:
    """The true class; null where it is hidden."""
    return predictions["outcome" if is_emotion(predictions) else "label"]


def predicted_of(predictions: pd.DataFrame) -> Labels:
    """The predicted class: the most probable one, and the last of two equal outcomes."""
    if "probability" in predictions:
        return (predictions.probability.to_numpy(dtype=float) >= 0.5).astype(int)
    return probabilities(predictions).argmax(axis=1)


def correct_of(predictions: pd.DataFrame) -> Bool[np.ndarray, " N"]:
    """Whether the predicted class is the true one, of labelled predictions."""
    return predicted_of(predictions) == truth_of(predictions).to_numpy(dtype=int)


def labelled(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of one split whose true class is known."""
    return predictions[(predictions.split == split) & truth_of(predictions).notna()]


def clusters_of(predictions: pd.DataFrame) -> tuple[pd.Series, str]:
    """The independent unit of each item and what it is: subjects, videos, or some of each.

    The video takes the place of a subject that is not known, here or in `data.splits`.
    """
    video = predictions.video_id.astype(str)
    subject = predictions.subject.astype(object).where(predictions.subject.notna(), video)
    unknown = subject.astype(str) == video
    unit = "videos" if unknown.all() else "subjects and videos" if unknown.any() else "subjects"
    return subject.astype(str), unit


def probabilities(predictions: pd.DataFrame) -> Probabilities:
    """The probability of each class, from the columns p0, p1, ..., or that of the last of two."""
    if "probability" in predictions:
        last = predictions.probability.to_numpy(dtype=float)
        return np.stack([1 - last, last], axis=1)
    classes = sum(name[0] == "p" and name[1:].isdigit() for name in predictions.columns)
    return predictions[[f"p{number}" for number in range(classes)]].to_numpy(dtype=float)


def name_of(label: int, names: Sequence[str]) -> str:
    return names[label] if label < len(names) else str(label)


def label_columns(predictions: pd.DataFrame) -> tuple[Labels, Probabilities]:
    """Labels and probabilities of each class."""
    return truth_of(predictions).to_numpy(dtype=int), probabilities(predictions)


def outcome_scores(
    outcome: Labels, probability: Float[np.ndarray, " N"], weights: Float[np.ndarray, "R N"]
) -> PerResample:
    """Every metric of two outcomes under R weightings of the items; NaN where one has no weight.

    calibration_error: mean |share of the last - its mean probability| over 10 bins of equal width.
    """
    predicted, positive = probability >= 0.5, outcome == 1
    true_last, false_last = weights @ (predicted & positive), weights @ (predicted & ~positive)
    lasts, firsts = weights @ positive, weights @ ~positive
    true_first, total = firsts - false_last, lasts + firsts
    with np.errstate(invalid="ignore", divide="ignore"):
        f1_last = 2 * true_last / (true_last + false_last + lasts)
        f1_first = 2 * true_first / (2 * true_first + (lasts - true_last) + false_last)
        above = np.sign(probability[positive][:, None] - probability[~positive]) / 2 + 0.5
        pairs = (weights[:, positive] @ above * weights[:, ~positive]).sum(axis=1)
        return {
            "accuracy": (true_last + true_first) / total,
            "balanced_accuracy": (true_last / lasts + true_first / firsts) / 2,
            "macro_f1": (f1_last + f1_first) / 2,
            "auc": pairs / (lasts * firsts),
            "calibration_error": (
                np.abs(weights @ calibration_gaps(probability, positive)).sum(axis=1) / total
            ),
        }


def calibration_gaps(
    probability: Float[np.ndarray, " N"], occurred: np.ndarray
) -> Float[np.ndarray, "N bins"]:
    """Of each item what occurred minus its probability, in the column of its probability's bin."""
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)[:, None] == np.arange(BINS)
    return (occurred - probability)[:, None] * bins


def skill_p(predictions: pd.DataFrame, seed: int) -> float:
    """One-sided p of a balanced accuracy of 1/K: are outcomes and predictions independent?

    Shuffling outcomes would also break what the interviews of a subject have in common, and
    subjects with other numbers of interviews cannot be exchanged. So the excess is written as a sum
    over interviews, ``K BA - 1 = Σ_i ([ŷ_i = y_i] - share of predictions of y_i) / n of y_i``, and
    each subject's part, which has mean 0 without skill, keeps or changes its sign at random: a
    sign-flip test of the score (Hemerik et al. 2020). K is the number of outcomes that occur.
    """
    truth, predicted = truth_of(predictions).to_numpy(dtype=int), predicted_of(predictions)
    share = np.bincount(predicted, minlength=truth.max() + 1) / len(predicted)
    excess = ((predicted == truth) - share[truth]) / np.bincount(truth)[truth]
    return sign_flip_p(excess, clusters_of(predictions)[0], seed, two_sided=False)


def confusion_scores(confusions: Float[np.ndarray, "R K K"]) -> PerResample:
    """The gesture metrics that follow from a confusion matrix, for each of R.

    macro_f1 averages over classes that occur or are predicted, mean_class_accuracy over those that
    occur.
    """
    correct = np.einsum("rkk->rk", confusions)
    occurring, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    either = occurring + predicted
    with np.errstate(invalid="ignore"):
        f1 = np.where(either > 0, 2 * correct / either, 0)
        recall = np.where(occurring > 0, correct / occurring, 0)
        return {
            "top1": correct.sum(axis=1) / occurring.sum(axis=1),
            "macro_f1": f1.sum(axis=1) / (either > 0).sum(axis=1),
            "mean_class_accuracy": recall.sum(axis=1) / (occurring > 0).sum(axis=1),
        }


def in_top(label: Labels, probability: Probabilities, k: int = 5) -> Float[np.ndarray, " N"]:
    """1 where the label is among the k most probable classes; ties go to the lower class."""
    order = np.argsort(-probability, axis=1, kind="stable")[:, :k]
    return (order == label[:, None]).any(axis=1).astype(float)


def confusion_counts(
    label: Labels, probability: Probabilities, cluster: Labels
) -> Float[np.ndarray, "G K K"]:
    """A confusion matrix per cluster."""
    classes = probability.shape[1]
    counts = np.zeros((cluster.max(initial=0) + 1, classes, classes))
    np.add.at(counts, (cluster, label, probability.argmax(axis=1)), 1)
    return counts


def scores_of(
    predictions: pd.DataFrame, group: Labels, weights: Float[np.ndarray, "R G"]
) -> PerResample:
    """Every metric of labelled predictions under R weightings of the groups of its items."""
    label, probability = label_columns(predictions)
    if "probability" in predictions:
        return outcome_scores(label, probability[:, 1], weights[:, group])
    counts = confusion_counts(label, probability, group)
    confusions = (weights @ counts.reshape(len(counts), -1)).reshape(-1, *counts.shape[1:])
    items = confusions.sum(axis=(1, 2))
    found = np.bincount(group, in_top(label, probability), minlength=len(counts))
    gaps = np.zeros((len(counts), BINS))
    correct = probability.argmax(axis=1) == label  # of the most probable class: Guo et al. 2017
    np.add.at(gaps, group, calibration_gaps(probability.max(axis=1), correct))
    scores = confusion_scores(confusions)
    with np.errstate(invalid="ignore"):
        scores["top5"] = weights @ found / items
        scores["calibration_error"] = np.abs(weights @ gaps / items[:, None]).sum(axis=1)
    if not is_emotion(predictions):
        return scores
    return {OF_OUTCOMES.get(name, name): own for name, own in scores.items() if name != "top5"}


def point_scores(predictions: pd.DataFrame) -> dict[str, float]:
    """Every metric of a table of labelled predictions."""
    together = np.zeros(len(predictions), dtype=int)
    scores = scores_of(predictions, together, np.ones((1, 1)))
    return {name: float(value[0]) for name, value in scores.items()}


def validation_scores(predictions: pd.DataFrame, loss: float | None = None) -> dict[str, float]:
    """A row of metrics.csv: what training monitors, the loss or else 1 - top1; then the scores."""
    scores = point_scores(labelled(predictions, "validation"))
    monitored = {"error": 1 - scores["top1"]} if loss is None else {"loss": loss}
    return {f"validation_{name}": value for name, value in (monitored | scores).items()}


def bootstrap_intervals(predictions: pd.DataFrame, seed: int) -> dict[str, tuple[float, float]]:
    """95 % interval of every metric over draws of whole clusters."""
    group, names = pd.factorize(clusters_of(predictions)[0])
    return percentiles(scores_of(predictions, group, draw_groups(len(names), seed)), len(names))


def score_table(
    predictions: pd.DataFrame, seed: int = 0, names: Sequence[str] = ()
) -> pd.DataFrame:
    """The model, its heads and constant predictors on validation and test, where labelled.

    `names` are of the classes or outcomes. Columns: split, predictor, n items, clusters and their
    unit (`clusters_of`), correct, each metric, and its 95 % interval in `<metric>_interval`.
    Emotion: intervals of accuracy (`interval_of_share`), balanced accuracy and AUC, and `p`
    (`skill_p`). Constant predictors are the two outcomes; of more, and of gestures, the majority
    class of train, with the class shares of train as its probabilities.
    """
    constants = constant_predictors(predictions, names)
    parts = {split: labelled(predictions, split) for split in ("validation", "test")}
    return pd.DataFrame(
        score_row(predicted, split, name, seed) | f1_mean(predicted, names)
        for split, part in parts.items()
        if len(part)
        for name, predicted in {
            "model": part,
            **heads_alone(part),
            **{name: part.assign(**columns) for name, columns in constants.items()},
        }.items()
    )


def heads_alone(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The predictions of a gesture model's heads: of the plain average of their logits, and of
    each alone; where a clip lacks a modality, the other head's. Empty for other models, and where
    all clips lack one.
    """
    if "pose0" not in predictions:
        return {}
    pose, rgb = (predictions.filter(regex=rf"^{head}\d+$").to_numpy() for head in ("pose", "rgb"))
    if np.array_equal(pose, rgb):
        return {}
    logits = {"average of heads": (pose + rgb) / 2, "pose head": pose, "rgb head": rgb}
    columns = [f"p{number}" for number in range(pose.shape[1])]
    return {
        name: predictions.assign(**dict(zip(columns, softmax(values, axis=1).T, strict=True)))
        for name, values in logits.items()
    }


def constant_predictors(
    predictions: pd.DataFrame, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """By name, the probabilities that each predicts for every item."""
    if "probability" in predictions:  # of two outcomes
        return {f"always {name_of(own, names)}": {"probability": float(own)} for own in (1, 0)}
    shares = truth_of(labelled(predictions, "train")).value_counts(normalize=True)
    shares = shares.reindex(range(probabilities(predictions).shape[1]), fill_value=0.0)
    majority = name_of(int(shares.to_numpy().argmax()), names)
    return {f"always {majority}": {f"p{label}": float(share) for label, share in shares.items()}}


def f1_mean(part: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """MAC's measure on MA-52: the mean of macro and micro F1 of actions and of body parts."""
    if is_emotion(part) or tuple(names) != (known := builtin("ma52")).classes:
        return {}
    label, probability = label_columns(part)
    body = np.array([known.group_names.index(own) for own in known.groups])
    bodies = np.eye(len(known.group_names))[body[probability.argmax(axis=1)]]
    levels, one = ((label, probability), (body[label], bodies)), np.zeros_like(label)
    scores = [confusion_scores(confusion_counts(true, found, one)) for true, found in levels]
    return {"f1_mean": float(np.mean([s[m] for s in scores for m in ("top1", "macro_f1")]))}


def score_row(part: pd.DataFrame, split: str, predictor: str, seed: int) -> dict[str, Any]:
    """One row of the score table; no bootstrap intervals and p for constant predictors."""
    emotion, scores = is_emotion(part), point_scores(part)
    metrics = [name for name in (EMOTION_METRICS if emotion else GESTURE_METRICS) if name in scores]
    cluster, unit = clusters_of(part)
    row: dict[str, Any] = {"split": split, "predictor": predictor, "n": len(part)}
    row |= {"clusters": cluster.nunique(), "unit": unit}
    constant = predictor.startswith("always ")
    found: dict[str, Any] = {} if constant else bootstrap_intervals(part, seed)
    drawn = ("balanced_accuracy", "auc") if emotion else metrics
    intervals = {name: found.get(name) for name in drawn if name in scores}
    if emotion:
        intervals["accuracy"] = interval_of_share(correct_of(part), cluster, seed)
        tested = not constant and part.outcome.nunique() > 1
        row["p"] = skill_p(part, seed) if tested else np.nan
    row["correct"] = round(scores[metrics[0]] * len(part))
    row |= {name: scores[name] for name in metrics}
    return row | {f"{name}_interval": interval for name, interval in intervals.items()}
