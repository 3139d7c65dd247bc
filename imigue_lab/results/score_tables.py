"""Score tables for a reader, and what follows from predictions beside scores: classes, changes.

`training.scores` computes the scores, `class_table` and `changed_decisions` explain them.
"""

from typing import Any

import numpy as np
import pandas as pd

from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import (
    EMOTION_METRICS,
    GESTURE_METRICS,
    confusion_counts,
    label_columns,
    labelled,
)

COUNTS = ("split", "predictor", "n", "clusters", "correct")  # first columns of a shown table
SEGMENT_METRICS = ("f1_10", "f1_30", "f1_50", "precision", "recall", "map")


def constant_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of a score table that are of constant predictors."""
    return scores[scores.predictor.str.startswith("always ")]


def show_scores(table: pd.DataFrame) -> pd.DataFrame:
    """The score table for display: two digits, intervals in brackets, a dash for missing values."""
    emotion = "accuracy" in table
    shown = table.reindex(columns=["split", "predictor", "n"]).assign(clusters=counted(table))
    if "correct" in table:
        shown["correct"] = table.correct
    own = EMOTION_METRICS if emotion else GESTURE_METRICS
    every = ("error", *own, *SEGMENT_METRICS, "f1_mean")
    for metric in filter(table.columns.__contains__, every):
        shown[metric.replace("_", " ")] = with_intervals(table, metric)
    if "rule" in table:
        shown["matching"] = table.rule
    if emotion:
        shown["p"] = [show_p(p) for p in table["p"]]
    return shown


def score_line(run: Run) -> str:
    """The first metric of the last split, for the log of a notebook that nobody watches:
    ``emotion-1234abcd: test, 40 of 10 subjects: accuracy model 0.75 [0.55, 0.93], ...``."""
    shown = show_scores(run.scores())
    own = shown[shown.split == shown.split.iloc[-1]]
    metric = next(name for name in own if name not in COUNTS)
    scores = ", ".join(f"{row.predictor} {row[metric]}" for _, row in own.iterrows())
    split, _, n, clusters = own.iloc[0][list(COUNTS[:4])]
    return f"{run.folder.name}: {split}, {n} of {clusters}: {metric} {scores}"


def counted(table: pd.DataFrame) -> list[str]:
    """The clusters of each row with their unit: ``36 subjects``."""
    return [f"{row.clusters} {row.unit}" for row in table.itertuples()]


def with_intervals(table: pd.DataFrame, column: str) -> list[str]:
    """A column with its `<column>_interval`: ``0.63 [0.54, 0.72]``; a dash for NaN."""
    shown = ["–" if pd.isna(value) else f"{value:.2f}" for value in table[column]]
    intervals = table.get(f"{column}_interval", [None] * len(table))
    return [
        f"{text} [{own[0]:.2f}, {own[1]:.2f}]" if has_interval(own) else text
        for text, own in zip(shown, intervals, strict=True)
    ]


def has_interval(interval: Any) -> bool:
    """False for the null or NaN of a single cluster."""
    return isinstance(interval, tuple | list) and not pd.isna(interval[0])


def show_p(p: float) -> str:
    return "–" if pd.isna(p) else f"{p:.3f}" if p >= 0.001 else "<0.001"


def class_table(predictions: pd.DataFrame, split: str, vocabulary: Vocabulary) -> pd.DataFrame:
    """One row per class that occurs or is predicted, indexed by its id.

    Columns: name, n, correct, predicted, recall, precision (null where never predicted), f1, and
    `confused_with`, the class that its other clips are most often classified as.
    """
    label, probability = label_columns(labelled(predictions, split))
    counts = confusion_counts(label, probability, np.zeros_like(label))[0].astype(int)
    correct, occurring, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    errors = counts - np.diag(correct)
    names = vocabulary.classes
    columns = {"name": names, "n": occurring, "correct": correct, "predicted": predicted}
    table = pd.DataFrame(columns)
    table["recall"], table["precision"] = table.correct / table.n, table.correct / table.predicted
    table["f1"] = 2 * table.correct / (table.n + table.predicted)
    table["confused_with"] = [names[e.argmax()] if e.any() else None for e in errors]
    return table.set_axis(pd.Index(vocabulary.ids, name="class"))[(occurring + predicted) > 0]


def changed_decisions(predictions: pd.DataFrame) -> pd.DataFrame:
    """What the memory changed: predicted classes before (`unrefined`) and after it was read.

    One row per split with labelled clips. Columns: split, n, changed, right_to_wrong,
    wrong_to_right; other changes are from one wrong class to another.
    """
    rows = []
    for split in ("train", "validation", "test"):
        part = labelled(predictions, split)
        before, after = part.unrefined == part.label, part.predicted == part.label
        counts = {
            "n": len(part),
            "changed": (part.unrefined != part.predicted).sum(),
            "right_to_wrong": (before & ~after).sum(),
            "wrong_to_right": (~before & after).sum(),
        }
        rows += [{"split": split, **counts}] if len(part) else []
    return pd.DataFrame(rows)
