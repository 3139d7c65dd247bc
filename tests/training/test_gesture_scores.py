"""Gesture scores against scikit-learn and by hand; intervals that follow videos."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from imigue_lab.training.gesture_scores import (
    among_first,
    bootstrap_intervals,
    class_table,
    confusion_table,
    point_scores,
    score_table,
    show_scores,
)

CLASSES = 6


def table(n=120, skill=1.5, seed=0, per_video=6, split="test"):
    """Clips of six classes, of which the last never occurs."""
    rng = np.random.default_rng(seed)
    label = rng.integers(CLASSES - 1, size=n)
    logits = rng.normal(size=(n, CLASSES))
    logits[np.arange(n), label] += skill
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    known = pd.DataFrame(
        {
            "clip_id": [f"{i // per_video:04d}_{i % per_video}" for i in range(n)],
            "video_id": [f"{i // per_video:04d}" for i in range(n)],
            "subject": [f"s{i // (3 * per_video)}" for i in range(n)],
            "split": split,
            "label": pd.array(label, dtype="Int64"),
        }
    )
    return pd.concat([known, pd.DataFrame(probability).add_prefix("p")], axis=1)


def answers(rows):
    """Predictions that are sure: rows of (video, label, said)."""
    frame = pd.DataFrame(rows, columns=["video_id", "label", "predicted"])
    frame["clip_id"] = [f"{v}_{n}" for n, v in enumerate(frame.video_id)]
    for label in range(3):
        frame[f"p{label}"] = (frame.predicted == label).astype(float)
    return frame.assign(split="test", subject=frame.video_id)


def test_every_metric_agrees_with_scikit_learn():
    predictions = table()
    scores = point_scores(predictions)
    probability = predictions[[f"p{c}" for c in range(CLASSES)]].to_numpy()
    label, said = predictions.label.to_numpy(dtype=int), probability.argmax(axis=1)
    assert scores["top1"] == pytest.approx(metrics.accuracy_score(label, said))
    assert scores["macro_f1"] == pytest.approx(
        metrics.f1_score(label, said, average="macro", zero_division=0)
    )
    recall = metrics.recall_score(label, said, average="macro", labels=range(CLASSES - 1))
    assert scores["mean_class_accuracy"] == pytest.approx(recall)
    assert scores["top5"] == pytest.approx(
        metrics.top_k_accuracy_score(label, probability, k=5, labels=range(CLASSES))
    )
    np.testing.assert_array_equal(
        confusion_table(predictions, "test"),
        metrics.confusion_matrix(label, said, labels=range(CLASSES)),
    )


def test_a_tie_goes_to_the_lower_class():
    even = np.full((2, 7), 1 / 7)
    assert among_first(np.array([4, 5]), even).tolist() == [1, 0]


def test_the_bootstrap_over_two_videos_by_hand():
    """One video all right, one all wrong: a draw of two gives 0, 0.5 or 1, at odds of 1, 2, 1."""
    predictions = answers([("a", 0, 0)] * 30 + [("b", 1, 2)] * 30)
    assert bootstrap_intervals(predictions, seed=0)["top1"] == (0.0, 1.0)
    apart = predictions.assign(video_id=predictions.clip_id)
    low, high = bootstrap_intervals(apart, seed=0)["top1"]
    half_width = 1.96 * np.sqrt(0.25 / 60)
    assert (low, high) == pytest.approx((0.5 - half_width, 0.5 + half_width), abs=0.02)


def test_videos_of_many_clips_weigh_as_many_clips():
    """Three videos of 8, 1 and 1 clips; only the first is right."""
    predictions = answers([("a", 0, 0)] * 8 + [("b", 0, 1), ("c", 0, 1)])
    draws = {(x, y, z) for x in range(4) for y in range(4) for z in range(4) if x + y + z == 3}
    possible = {8 * x / (8 * x + y + z) for x, y, z in draws}
    for bound in bootstrap_intervals(predictions, seed=1)["top1"]:
        assert min(abs(bound - share) for share in possible) < 1e-12


def test_intervals_may_follow_subjects_instead():
    predictions = table(n=360, skill=0.5)
    predictions.loc[predictions.subject.isin(["s0", "s1", "s2"]), "p5"] = 9  # all wrong there
    of_videos = np.ptp(bootstrap_intervals(predictions, seed=0)["top1"])
    of_subjects = np.ptp(bootstrap_intervals(predictions, seed=0, unit="subject")["top1"])
    assert of_subjects > 1.2 * of_videos


def test_the_same_seed_gives_the_same_interval():
    first, again, other = (bootstrap_intervals(table(), seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_the_constant_answer_is_the_largest_class_of_train():
    train = answers([("t", 2, 0)] * 5 + [("t", 1, 0)] * 3).assign(split="train")
    part = answers([("a", 2, 2), ("a", 1, 1), ("b", 1, 0), ("b", 1, 1)])
    scores = score_table(pd.concat([train, part])).set_index("answer")
    assert scores.index.tolist() == ["model", "always touching hat"]
    assert scores.top1.tolist() == [0.75, 0.25]
    assert scores.right.tolist() == [3, 1]
    assert (scores.n == 4).all() and (scores.videos == 2).all()
    low, high = scores.top1_interval["model"]
    assert low <= 0.75 <= high and scores.top1_interval.iloc[1] is None
    shown = show_scores(score_table(pd.concat([train, part])))
    assert shown["top1"][1] == "0.25" and shown["top1"][0].startswith("0.75 [0.50, 1.00]")


def test_hidden_labels_are_not_scored():
    predictions = pd.concat([table(), table(split="train")])
    predictions.iloc[:20, predictions.columns.get_loc("label")] = pd.NA
    assert score_table(predictions).n.tolist() == [100, 100]
    hidden = predictions.assign(label=predictions.label.mask(predictions.split == "test"))
    assert score_table(hidden).empty


def test_the_table_of_classes_by_hand():
    predictions = answers([("a", 0, 0), ("a", 0, 0), ("b", 0, 2), ("b", 2, 2)])
    of_classes = class_table(predictions, "test")
    assert of_classes.index.tolist() == [0, 2]
    assert of_classes.name.tolist() == ["turtle neck", "touching hat"]
    assert of_classes.n.tolist() == [3, 1] and of_classes.right.tolist() == [2, 1]
    assert of_classes.recall.tolist() == pytest.approx([2 / 3, 1])
    assert of_classes.precision.tolist() == pytest.approx([1, 1 / 2])
    assert of_classes.f1.tolist() == pytest.approx([0.8, 2 / 3])
    assert of_classes.taken_for[0] == "touching hat" and of_classes.taken_for.isna()[2]
