"""Scores of both tasks against scikit-learn and by hand, with intervals over whole clusters."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from sklearn import metrics

from imigue_lab.data.vocabulary import Vocabulary, builtin
from imigue_lab.results.score_tables import (
    class_table,
    constant_rows,
    show_scores,
)
from imigue_lab.training.scores import (
    bootstrap_intervals,
    confusion_counts,
    in_top,
    outcome_scores,
    point_scores,
    score_table,
    skill_p,
)
from imigue_lab.training.statistics import wilson_interval

CLASSES = 6
OUTCOMES = ("lose", "win")


def interviews(n=60, skill=1.0, seed=0, per_subject=3):
    rng = np.random.default_rng(seed)
    outcome = rng.permutation(np.arange(n) % 2)
    logit = skill * (2 * outcome - 1) + rng.normal(size=n)
    return pd.DataFrame(
        {
            "video_id": [f"{i:04d}" for i in range(n)],
            "subject": [f"s{i // per_subject}" for i in range(n)],
            "split": "test",
            "outcome": outcome,
            "probability": (1 / (1 + np.exp(-logit))).round(2),  # with ties
        }
    )


def test_every_emotion_metric_agrees_with_scikit_learn():
    predictions = interviews()
    scores = point_scores(predictions)
    outcome, predicted = predictions.outcome, predictions.probability >= 0.5
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(outcome, predicted))
    assert scores["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(outcome, predicted)
    )
    assert scores["macro_f1"] == pytest.approx(
        metrics.f1_score(outcome, predicted, average="macro")
    )
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(outcome, predictions.probability))


def test_a_weight_of_n_equals_n_copies_of_an_item():
    predictions = interviews(n=12)
    weights = np.array([[2, 0, 1, 1, 3, 0, 1, 1, 1, 2, 1, 1]], dtype=float)
    outcome, probability = predictions.outcome.to_numpy(), predictions.probability.to_numpy()
    weighted = outcome_scores(outcome, probability, weights)
    repeated = point_scores(predictions.loc[np.repeat(np.arange(12), weights[0].astype(int))])
    assert {name: value[0] for name, value in weighted.items()} == pytest.approx(repeated)


def test_the_calibration_error_by_hand():
    predictions = pd.DataFrame({"outcome": [1, 0, 1, 1], "probability": [0.62, 0.68, 0.95, 0.95]})
    # bin 0.6: two items, share 0.5 against mean 0.65; bin 0.9: two items, 1 against 0.95
    assert point_scores(predictions)["calibration_error"] == pytest.approx((0.15 + 0.05) / 2)


def test_the_bootstrap_draws_whole_subjects():
    independent = interviews(n=240, per_subject=1)
    doubled = pd.concat([independent.head(60)] * 4, ignore_index=True)
    clustered = bootstrap_intervals(doubled, seed=0)["accuracy"]
    as_if_independent = bootstrap_intervals(doubled.assign(subject=range(240)), seed=0)["accuracy"]
    assert np.ptp(clustered) > 1.6 * np.ptp(as_if_independent)


def test_sign_flips_distinguish_skill_from_luck_at_the_nominal_rate():
    """Outcomes and predictions that both follow the subject are often alike by luck."""
    assert skill_p(interviews(skill=2.0), seed=0) < 0.001

    def by_luck(seed, subjects=20, each=6):
        rng = np.random.default_rng(seed)
        table = interviews(subjects * each, per_subject=each)
        of_subject = rng.normal(0, 3, (2, subjects)).repeat(each, axis=1)
        noisy = of_subject + rng.logistic(size=of_subject.shape)
        return table.assign(outcome=(noisy[0] > 0).astype(int), probability=noisy[1] > 0)

    found = np.array([skill_p(by_luck(seed), seed=0) for seed in range(400)])
    for level in (0.05, 0.1, 0.2):
        assert abs((found <= level).mean() - level) < 3 * np.sqrt(level * (1 - level) / 400)


def test_the_skill_test_sums_to_the_balanced_accuracy():
    predictions = interviews(skill=0.5)
    alone = predictions.assign(subject=predictions.video_id)  # each interview is a cluster
    exact = skill_p(alone.head(12), seed=0)
    outcome = alone.outcome[:12].to_numpy() == 1
    predicted = (alone.probability[:12] >= 0.5).to_numpy()
    part = (
        (predicted - predicted.mean())
        * np.where(outcome, 1, -1)
        / [outcome.sum() if won else (~outcome).sum() for won in outcome]
    )
    balanced = metrics.balanced_accuracy_score(outcome, predicted)
    assert part.sum() == pytest.approx(2 * balanced - 1)
    signs = 1 - 2 * (np.arange(2**12)[:, None] >> np.arange(12) & 1)
    assert exact == pytest.approx((signs @ part >= part.sum() - 1e-9).mean())


def test_the_interval_of_accuracy_is_over_draws_of_subjects():
    doubled = pd.concat([interviews(n=60, per_subject=1)] * 4, ignore_index=True)
    model = score_table(doubled).iloc[0]
    assert (model.n, model.clusters, model.unit) == (240, 60, "subjects")
    assert model.accuracy_interval == bootstrap_intervals(doubled, seed=0)["accuracy"]
    independent = score_table(interviews(n=60, per_subject=1)).iloc[0]
    assert independent.accuracy_interval == wilson_interval(int(independent.correct), 60)


def test_the_emotion_table_contains_both_constant_predictors():
    scores = score_table(interviews(), names=OUTCOMES).set_index("predictor")
    assert scores.index.tolist() == ["model", "always win", "always lose"]
    assert scores.accuracy["always win"] == scores.accuracy["always lose"] == 0.5
    assert scores.auc["always win"] == 0.5
    assert scores.n.eq(60).all()


def test_unlabelled_and_training_interviews_are_not_scored():
    predictions = interviews(20)
    predictions["outcome"] = predictions.outcome.astype("Int64")
    predictions.loc[:4, "outcome"] = pd.NA
    predictions.loc[5:9, "split"] = "train"
    assert score_table(predictions).n.unique().tolist() == [10]


def test_metrics_that_need_two_classes_are_dashes_for_one():
    predictions = interviews(20)
    predictions["outcome"] = 1
    shown = show_scores(score_table(predictions, names=OUTCOMES)).set_index("predictor")
    assert shown.loc["model", "auc"] == "–"
    assert shown.loc["model", "p"] == "–"
    # of 7 subjects, all of whose interviews are correct, as Wilson's of 7 of 7
    assert shown.loc["always win", "accuracy"].startswith("1.00 [0.65, 1.00]")


def clips(n=120, skill=1.5, seed=0, per_video=6, split="test"):
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


def certain(rows, classes=3):
    """Predictions with probability 1: rows of (video, label, predicted)."""
    frame = pd.DataFrame(rows, columns=["video_id", "label", "predicted"])
    frame["clip_id"] = [f"{v}_{n}" for n, v in enumerate(frame.video_id)]
    probability = pd.DataFrame(np.eye(classes)[frame.predicted]).add_prefix("p")
    return frame.join(probability).assign(split="test", subject=frame.video_id)


def test_every_gesture_metric_agrees_with_scikit_learn():
    predictions = clips()
    scores = point_scores(predictions)
    probability = predictions[[f"p{c}" for c in range(CLASSES)]].to_numpy()
    label, predicted = predictions.label.to_numpy(dtype=int), probability.argmax(axis=1)
    assert scores["top1"] == pytest.approx(metrics.accuracy_score(label, predicted))
    assert scores["macro_f1"] == pytest.approx(
        metrics.f1_score(label, predicted, average="macro", zero_division=0)
    )
    recall = metrics.recall_score(label, predicted, average="macro", labels=range(CLASSES - 1))
    assert scores["mean_class_accuracy"] == pytest.approx(recall)
    assert scores["top5"] == pytest.approx(
        metrics.top_k_accuracy_score(label, probability, k=5, labels=range(CLASSES))
    )
    np.testing.assert_array_equal(
        confusion_counts(label, probability, np.zeros_like(label))[0],
        metrics.confusion_matrix(label, predicted, labels=range(CLASSES)),
    )


def test_a_tie_goes_to_the_lower_class():
    even = np.full((2, 7), 1 / 7)
    assert in_top(np.array([4, 5]), even).tolist() == [1, 0]


def test_the_bootstrap_over_two_videos_by_hand():
    """One video all correct, one all incorrect: a draw gives 0, 0.5 or 1 at odds of 1, 2, 1."""
    predictions = certain([("a", 0, 0)] * 30 + [("b", 1, 2)] * 30)
    assert bootstrap_intervals(predictions, seed=0)["top1"] == (0.0, 1.0)
    apart = predictions.assign(subject=predictions.clip_id)
    low, high = bootstrap_intervals(apart, seed=0)["top1"]
    half_width = 1.96 * np.sqrt(0.25 / 60)
    assert (low, high) == pytest.approx((0.5 - half_width, 0.5 + half_width), abs=0.02)


def test_a_cluster_is_weighted_by_its_number_of_clips():
    """Three videos of 8, 1 and 1 clips; only the first is correct."""
    predictions = certain([("a", 0, 0)] * 8 + [("b", 0, 1), ("c", 0, 1)])
    draws = {(x, y, z) for x in range(4) for y in range(4) for z in range(4) if x + y + z == 3}
    possible = {8 * x / (8 * x + y + z) for x, y, z in draws}
    for bound in bootstrap_intervals(predictions, seed=1)["top1"]:
        assert min(abs(bound - share) for share in possible) < 1e-12


def test_gestures_cluster_by_subject_or_by_video_where_that_is_unknown():
    predictions = clips(n=360, skill=0.5)
    predictions.loc[predictions.subject.isin(["s0", "s1", "s2"]), "p5"] = 9  # all incorrect there
    unknown = predictions.assign(subject=predictions.video_id)  # as data.splits writes them
    some = predictions.assign(subject=predictions.subject.mask(predictions.subject == "s0"))
    tables = [score_table(table).iloc[0] for table in (predictions, unknown, some)]
    assert [table.clusters for table in tables] == [20, 60, 22]
    assert [table.unit for table in tables] == ["subjects", "videos", "subjects and videos"]
    of_subjects, of_videos, _ = (np.ptp(table.top1_interval) for table in tables)
    assert of_subjects > 1.2 * of_videos
    assert show_scores(score_table(predictions)).clusters[0] == "20 subjects"


def test_a_single_subject_has_no_interval():
    predictions = clips().assign(subject="s")
    assert score_table(predictions).top1_interval[0] is None
    assert "[" not in show_scores(score_table(predictions)).top1[0]


def test_the_calibration_error_of_clips_is_that_of_the_most_probable_class():
    rows = pd.DataFrame(
        {"p0": [0.7, 0.1, 0.75, 0.5], "p1": [0.2, 0.8, 0.15, 0.4], "p2": [0.1, 0.1, 0.1, 0.1]}
    ).assign(label=[0, 1, 1, 2], video_id=list("aabb"), subject=list("ssuu"))
    # bin 0.7: share 1/2 against 0.725; bin 0.8: 1 against 0.8; bin 0.5: 0 against 0.5
    by_hand = (2 * 0.225 + 0.2 + 0.5) / 4
    assert point_scores(rows)["calibration_error"] == pytest.approx(by_hand)
    low, high = bootstrap_intervals(rows, seed=0)["calibration_error"]
    assert low < by_hand < high


def test_every_figure_of_the_gesture_table_follows_from_the_predictions():
    """With plain NumPy, as a reader would check a run's predictions.parquet."""
    predictions = pd.concat([clips(), clips(seed=1, split="train")])
    model = score_table(predictions).iloc[0]
    part = predictions[predictions.split == "test"]
    probability = part[[f"p{c}" for c in range(CLASSES)]].to_numpy()
    label, predicted = part.label.to_numpy(dtype=int), probability.argmax(axis=1)
    right, best = label == predicted, probability.max(axis=1)
    assert (model.n, model.correct) == (len(part), right.sum())
    assert (model.clusters, model.unit) == (len(set(part.subject)), "subjects")
    assert model.top1 == pytest.approx(right.mean())
    above = (probability > probability[range(len(part)), label][:, None]).sum(axis=1)
    assert model.top5 == pytest.approx((above < 5).mean())
    recalls = [right[label == c].mean() for c in set(label)]
    assert model.mean_class_accuracy == pytest.approx(np.mean(recalls))
    f1 = [
        2 * (right & (label == c)).sum() / ((label == c).sum() + (predicted == c).sum())
        for c in {*label, *predicted}
    ]
    assert model.macro_f1 == pytest.approx(np.mean(f1))
    inside = [(best >= b / 10) & ((best < (b + 1) / 10) | (b == 9)) for b in range(10)]
    gaps = [abs(right[own].sum() - best[own].sum()) / len(part) for own in inside]
    assert model.calibration_error == pytest.approx(sum(gaps))
    subject, names = pd.factorize(part.subject)
    draws = np.random.default_rng(0).multinomial(len(names), [1 / len(names)] * len(names), 2000)
    of_draws = [np.average(right, weights=draw[subject]) for draw in draws]
    tail = norm.cdf(np.sqrt(len(names) / (len(names) - 1)) * t.ppf(0.025, len(names) - 1))
    assert model.top1_interval == pytest.approx(np.quantile(of_draws, [tail, 1 - tail]))


def test_the_same_seed_gives_the_same_interval():
    first, again, other = (bootstrap_intervals(clips(), seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_the_constant_predictor_is_the_majority_class_of_train():
    train = certain([("t", 2, 0)] * 5 + [("t", 1, 0)] * 3).assign(split="train")
    part = certain([("a", 2, 2), ("a", 1, 1), ("b", 1, 0), ("b", 1, 1)])
    scores = score_table(pd.concat([train, part]), 0, builtin("imigue").classes).set_index(
        "predictor"
    )
    assert scores.index.tolist() == ["model", "always touching hat"]
    assert scores.top1.tolist() == [0.75, 0.25]
    assert scores.correct.tolist() == [3, 1]
    assert (scores.n == 4).all() and (scores.clusters == 2).all()
    low, high = scores.top1_interval["model"]
    assert low <= 0.75 <= high and scores.top1_interval.iloc[1] is None
    shown = show_scores(score_table(pd.concat([train, part])))
    assert shown["top1"][1] == "0.25" and shown["top1"][0].startswith("0.75 [0.50, 1.00]")


def test_the_heads_of_a_gesture_model_are_scored_on_the_same_items_with_intervals():
    part = certain([("a", 2, 2), ("a", 1, 1), ("b", 1, 0), ("b", 1, 1)])
    pose, rgb = np.eye(3)[[2, 0, 0, 1]], 3 * np.eye(3)[[2, 1, 1, 0]]  # 2 and 3 of 4 correct
    for head, logits in (("pose", pose), ("rgb", rgb)):
        part[[f"{head}{c}" for c in range(3)]] = logits
    train = part.assign(split="train")
    scores = score_table(pd.concat([train, part], ignore_index=True)).set_index("predictor")
    assert scores.index[:4].tolist() == ["model", "average of heads", "pose head", "rgb head"]
    assert scores.correct.tolist()[:4] == [3, 3, 2, 3] and (scores.n == 4).all()
    for name in ("average of heads", "pose head", "rgb head"):
        low, high = scores.top1_interval[name]
        assert low <= scores.top1[name] <= high
    assert len(constant_rows(scores.reset_index())) == 1


def test_hidden_labels_are_not_scored():
    predictions = pd.concat([clips(), clips(split="train")])
    predictions.iloc[:20, predictions.columns.get_loc("label")] = pd.NA
    assert score_table(predictions).n.tolist() == [100, 100]
    hidden = predictions.assign(label=predictions.label.mask(predictions.split == "test"))
    assert score_table(hidden).empty


def test_f1_mean_of_ma52_is_that_of_scikit_learn_over_actions_and_body_parts():
    rng = np.random.default_rng(0)
    items = [("a", *pair) for pair in rng.integers(0, 52, size=(60, 2))] + [("b", 7, 7)] * 20
    predictions, vocabulary = certain(items, classes=52), builtin("ma52")
    truth, found = np.array([pair[1:] for pair in items]).T
    parts = [np.array(vocabulary.groups)[labels] for labels in (truth, found)]
    expected = [
        metrics.f1_score(*pair, average=kind, zero_division=0)
        for pair in ((truth, found), parts)
        for kind in ("macro", "micro")
    ]
    predictions = pd.concat([predictions, predictions.assign(split="train")])
    table = score_table(predictions, 0, vocabulary.classes)
    assert table.f1_mean[0] == pytest.approx(np.mean(expected))
    assert show_scores(table)["f1 mean"][0] == f"{np.mean(expected):.2f}"
    assert "f1_mean" not in score_table(predictions, 0)


def test_the_class_table_by_hand():
    predictions = certain([("a", 0, 0), ("a", 0, 0), ("b", 0, 2), ("b", 2, 2)])
    three = Vocabulary("own", ("turtle neck", "nod", "touching hat"), ("1", "2", "9"), ("",) * 3)
    of_classes = class_table(predictions, "test", three)
    assert of_classes.index.tolist() == ["1", "9"]
    assert of_classes.name.tolist() == ["turtle neck", "touching hat"]
    assert of_classes.n.tolist() == [3, 1] and of_classes.correct.tolist() == [2, 1]
    assert of_classes.recall.tolist() == pytest.approx([2 / 3, 1])
    assert of_classes.precision.tolist() == pytest.approx([1, 1 / 2])
    assert of_classes.f1.tolist() == pytest.approx([0.8, 2 / 3])
    assert of_classes.confused_with["1"] == "touching hat" and of_classes.confused_with.isna()["9"]
