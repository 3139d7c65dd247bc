"""Scores of gestures, each with its interval: clips of one video are not independent.

Predictions are a table, a row a clip: clip_id, video_id, split, label (null where hidden), and the
probability of each class in the columns `p0`, `p1`, ...
Letters in shapes: G videos, R resamples of them, K classes; [.., i, j] are clips of class i that
were taken for j.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.training.scores import draw_groups, percentiles, with_interval

METRICS = ("top1", "top5", "macro_f1", "mean_class_accuracy")
Confusions = Float[np.ndarray, "R K K"]


def probabilities(predictions: pd.DataFrame) -> Float[np.ndarray, "clips K"]:
    """The columns of the classes in their order."""
    classes = sum(name[0] == "p" and name[1:].isdigit() for name in predictions.columns)
    return predictions[[f"p{number}" for number in range(classes)]].to_numpy(dtype=float)


def labelled(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    return predictions[(predictions.split == split) & predictions.label.notna()]


def count_confusions(
    label: Int[np.ndarray, " clips"], said: Int[np.ndarray, " clips"], classes: int
) -> Float[np.ndarray, "K K"]:
    counts = np.zeros((classes, classes))
    np.add.at(counts, (label, said), 1)
    return counts


def scores_of(confusions: Confusions) -> dict[str, Float[np.ndarray, " R"]]:
    """What a confusion matrix tells, for each of R.

    macro_f1 is the mean over classes that occur or were answered, mean_class_accuracy over those
    that occur.
    """
    right = np.einsum("rkk->rk", confusions)
    there, answered = confusions.sum(axis=2), confusions.sum(axis=1)
    with np.errstate(invalid="ignore"):
        f1 = np.where(there + answered > 0, 2 * right / (there + answered), 0)
        recall = np.where(there > 0, right / there, 0)
        return {
            "top1": right.sum(axis=1) / there.sum(axis=1),
            "macro_f1": f1.sum(axis=1) / (there + answered > 0).sum(axis=1),
            "mean_class_accuracy": recall.sum(axis=1) / (there > 0).sum(axis=1),
        }


def among_first(
    label: Int[np.ndarray, " clips"], probability: Float[np.ndarray, "clips K"], first: int = 5
) -> Float[np.ndarray, " clips"]:
    """1 where the label is among the `first` most probable classes; ties go to the lower class."""
    order = np.argsort(-probability, axis=1, kind="stable")[:, :first]
    return (order == label[:, None]).any(axis=1).astype(float)


def point_scores(predictions: pd.DataFrame) -> dict[str, float]:
    """Every metric of a table of labelled predictions."""
    label, probability = predictions.label.to_numpy(dtype=int), probabilities(predictions)
    confusion = count_confusions(label, probability.argmax(axis=1), probability.shape[1])
    scores = {name: float(values[0]) for name, values in scores_of(confusion[None]).items()}
    return scores | {"top5": float(among_first(label, probability).mean())}


def bootstrap_intervals(
    predictions: pd.DataFrame, seed: int, unit: str = "video_id"
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals over draws of whole videos.

    Args:
        unit: column of what is drawn; `subject` where videos of one subject hang together.
    """
    label, probability = predictions.label.to_numpy(dtype=int), probabilities(predictions)
    classes, said = probability.shape[1], probability.argmax(axis=1)
    group, names = pd.factorize(predictions[unit])
    counts = np.zeros((len(names), classes, classes))
    np.add.at(counts, (group, label, said), 1)
    clips = np.bincount(group).astype(float)
    found = np.bincount(group, weights=among_first(label, probability))
    draws = draw_groups(len(names), seed)
    confusions = (draws @ counts.reshape(len(names), -1)).reshape(-1, classes, classes)
    scores = {**scores_of(confusions), "top5": draws @ found / (draws @ clips)}
    return percentiles(scores, len(names))


def score_table(predictions: pd.DataFrame, seed: int = 0, unit: str = "video_id") -> pd.DataFrame:
    """The model beside the constant answer, the classes by their number in train; labelled parts.

    Columns: split, answer, n clips, their videos (or other unit), right, each metric and, for the
    model, its 95 % interval.
    """
    shares = labelled(predictions, "train").label.value_counts(normalize=True)
    shares = shares.reindex(range(probabilities(predictions).shape[1]), fill_value=0.0)
    constant = f"always {name_of(int(shares.to_numpy().argmax()))}"
    constant_columns = {f"p{label}": float(share) for label, share in shares.items()}
    rows = []
    for split in ("validation", "test"):
        part = labelled(predictions, split)
        if part.empty:
            continue
        for answer, answered in (("model", part), (constant, part.assign(**constant_columns))):
            scores = point_scores(answered)
            intervals = bootstrap_intervals(part, seed, unit) if answer == "model" else {}
            rows.append(
                {
                    "split": split,
                    "answer": answer,
                    "n": len(part),
                    "videos": part[unit].nunique(),
                    "right": round(scores["top1"] * len(part)),
                    **{name: scores[name] for name in METRICS},
                    **{f"{name}_interval": intervals.get(name) for name in METRICS},
                }
            )
    return pd.DataFrame(rows)


def name_of(label: int, classes: Sequence[str] = CLASSES) -> str:
    return classes[label] if label < len(classes) else str(label)


def class_table(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """One row a class that occurs or was answered, by its number.

    Columns: name, n, right, answered, recall, precision (null where never answered), f1, and the
    class it is most often taken for.
    """
    counts = confusion_table(predictions, split).to_numpy()
    right, there, answered = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    wrong = counts - np.diag(right)
    with np.errstate(invalid="ignore"):
        table = pd.DataFrame(
            {
                "name": [name_of(label) for label in range(len(counts))],
                "n": there,
                "right": right,
                "answered": answered,
                "recall": right / there,
                "precision": right / answered,
                "f1": 2 * right / (there + answered),
                "taken_for": [name_of(int(row.argmax())) if row.any() else None for row in wrong],
            }
        )
    return table[(there + answered) > 0].rename_axis("label")


def confusion_table(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Clips of each class (rows) by the class they were taken for (columns)."""
    part = labelled(predictions, split)
    probability = probabilities(part)
    counts = count_confusions(
        part.label.to_numpy(dtype=int), probability.argmax(axis=1), probability.shape[1]
    )
    return pd.DataFrame(counts.astype(int)).rename_axis("label").rename_axis("predicted", axis=1)


def show_scores(table: pd.DataFrame) -> pd.DataFrame:
    """The score table as people read it: two digits, intervals in brackets."""
    shown = table[["split", "answer", "n", "videos", "right"]].copy()
    for metric in METRICS:
        shown[metric.replace("_", " ")] = [
            with_interval(value, interval)
            for value, interval in zip(table[metric], table[f"{metric}_interval"], strict=True)
        ]
    return shown
