"""Every figure of a run's score table, computed again from its predictions.parquet with NumPy."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.vocabulary import builtin

CLASSES = builtin("imigue").classes

WITHOUT = {
    "split",
    "predictor",
    "unit",
    "p",
}  # not figures, or of random draws, as are the intervals


def rows_of(run):
    """The predictions as arrays by column, and each row of the score table by split, predictor."""
    frame = pd.read_parquet(run.folder / "predictions.parquet")
    table = pd.read_json(run.folder / "scores.json", orient="records")
    rows = {
        (row["split"], row["predictor"]): {
            name: value
            for name, value in row.items()
            if name not in WITHOUT and not name.endswith("_interval")
        }
        for row in table.to_dict("records")
    }
    return {name: frame[name].to_numpy() for name in frame}, rows


def stack(columns, name, keep=slice(None)):
    return np.stack([columns[f"{name}{c}"][keep] for c in range(len(CLASSES))], axis=1).astype(
        float
    )


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def gesture_figures(label, probability, subject):
    predicted = probability.argmax(axis=1)
    top5 = np.argsort(-probability, axis=1, kind="stable")[:, :5]
    confidence, right = probability.max(axis=1), predicted == label
    bins = np.minimum(np.floor(confidence * 10), 9)
    gaps = [abs(np.sum((right - confidence)[bins == b])) / len(label) for b in range(10)]
    f1, recall = [], []
    for c in range(len(CLASSES)):
        correct = np.sum((label == c) & (predicted == c))
        occurs, chosen = np.sum(label == c), np.sum(predicted == c)
        f1 += [2 * correct / (occurs + chosen)] if occurs + chosen else []
        recall += [correct / occurs] if occurs else []
    return {
        "n": len(label),
        "clusters": len(np.unique(subject)),
        "correct": np.sum(predicted == label),
        "top1": np.mean(predicted == label),
        "top5": np.mean((top5 == label[:, None]).any(axis=1)),
        "macro_f1": np.mean(f1),
        "mean_class_accuracy": np.mean(recall),
        "calibration_error": np.sum(gaps),
    }


def test_every_figure_of_a_gesture_run_follows_from_its_predictions(looked):
    columns, rows = rows_of(looked.run)
    known = ~pd.isna(columns["label"])
    train = columns["label"][known & (columns["split"] == "train")].astype(int)
    shares = np.bincount(train, minlength=len(CLASSES)) / len(train)
    constant = f"always {CLASSES[shares.argmax()]}"
    names = ["model", "average of heads", "pose head", "rgb head", constant]
    assert list(rows) == [(split, name) for split in ("validation", "test") for name in names]
    for split in ("validation", "test"):
        keep = known & (columns["split"] == split)
        label, subject = columns["label"][keep].astype(int), columns["subject"][keep]
        pose, rgb = stack(columns, "pose", keep), stack(columns, "rgb", keep)
        w_pose = columns["w_pose"][keep][:, None]
        probability = stack(columns, "p", keep)
        np.testing.assert_allclose(
            probability, softmax(w_pose * pose + (1 - w_pose) * rgb), atol=1e-5
        )
        predictions = (
            probability,
            softmax((pose + rgb) / 2),
            softmax(pose),
            softmax(rgb),
            np.tile(shares, (len(label), 1)),
        )
        for name, own in zip(names, predictions, strict=True):
            assert rows[split, name] == pytest.approx(gesture_figures(label, own, subject)), name


def emotion_figures(outcome, probability, subject):
    predicted, win = probability >= 0.5, outcome == 1
    hit, false = np.sum(predicted & win), np.sum(predicted & ~win)
    missed, rejected = np.sum(~predicted & win), np.sum(~predicted & ~win)
    pairs = probability[win][:, None] - probability[~win]
    bins = np.minimum(np.floor(probability * 10), 9)
    gaps = [
        abs(np.sum(win[bins == b]) - np.sum(probability[bins == b])) / len(win) for b in range(10)
    ]
    f1 = 2 * hit / (2 * hit + false + missed), 2 * rejected / (2 * rejected + false + missed)
    return {
        "n": len(win),
        "clusters": len(np.unique(subject)),
        "correct": hit + rejected,
        "accuracy": (hit + rejected) / len(win),
        "balanced_accuracy": (hit / np.sum(win) + rejected / np.sum(~win)) / 2,
        "macro_f1": np.mean(f1),
        "auc": np.mean((pairs > 0) + (pairs == 0) / 2),
        "calibration_error": np.sum(gaps),
    }


def test_every_figure_of_an_emotion_run_follows_from_its_predictions(trained):
    run, _ = trained
    columns, rows = rows_of(run)
    names = ["model", "always win", "always lose"]
    assert list(rows) == [(split, name) for split in ("validation", "test") for name in names]
    for split in ("validation", "test"):
        keep = ~pd.isna(columns["outcome"]) & (columns["split"] == split)
        outcome, probability = columns["outcome"][keep].astype(int), columns["probability"][keep]
        predictions = probability, 0 * probability + 1, 0 * probability
        for name, own in zip(names, predictions, strict=True):
            assert rows[split, name] == pytest.approx(
                emotion_figures(outcome, own, columns["subject"][keep])
            ), name
