"""Scores against scikit-learn and by hand; intervals that follow subjects; constant answers."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from imigue_lab.training.scores import (
    bootstrap_intervals,
    permutation_p,
    point_scores,
    score_table,
    show_scores,
    weighted_scores,
    wilson_interval,
)


def table(n=60, skill=1.0, seed=0, per_subject=3):
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


def test_every_metric_agrees_with_scikit_learn():
    predictions = table()
    scores = point_scores(predictions)
    outcome, said = predictions.outcome, predictions.probability >= 0.5
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(outcome, said))
    assert scores["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(outcome, said)
    )
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(outcome, said, average="macro"))
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(outcome, predictions.probability))


def test_weights_count_an_item_as_often_as_they_say():
    predictions = table(n=12)
    weights = np.array([[2, 0, 1, 1, 3, 0, 1, 1, 1, 2, 1, 1]], dtype=float)
    outcome, probability = predictions.outcome.to_numpy(), predictions.probability.to_numpy()
    weighted = weighted_scores(outcome, probability, weights)
    repeated = point_scores(predictions.loc[np.repeat(np.arange(12), weights[0].astype(int))])
    assert {name: value[0] for name, value in weighted.items()} == pytest.approx(repeated)


def test_the_calibration_error_by_hand():
    predictions = pd.DataFrame({"outcome": [1, 0, 1, 1], "probability": [0.62, 0.68, 0.95, 0.95]})
    # bin 0.6: two items, share 0.5 against mean 0.65; bin 0.9: two items, 1 against 0.95
    assert point_scores(predictions)["calibration_error"] == pytest.approx((0.15 + 0.05) / 2)


def test_the_wilson_interval_of_66_in_104():
    low, high = wilson_interval(66, 104)
    assert (round(low, 4), round(high, 4)) == (0.5388, 0.7208)


def test_the_bootstrap_draws_whole_subjects():
    independent = table(n=240, per_subject=1)
    doubled = pd.concat([independent.head(60)] * 4, ignore_index=True)
    clustered = bootstrap_intervals(doubled, seed=0)["accuracy"]
    as_if_independent = bootstrap_intervals(doubled.assign(subject=range(240)), seed=0)["accuracy"]
    assert np.ptp(clustered) > 1.6 * np.ptp(as_if_independent)


def test_shuffled_outcomes_tell_skill_from_luck():
    assert permutation_p(table(skill=2.0), seed=0) < 0.001
    luck = [permutation_p(table(skill=0.0, seed=s), seed=0) for s in range(40)]
    assert np.mean(np.array(luck) < 0.1) < 0.3
    assert np.mean(luck) > 0.3


def test_constant_answers_stand_beside_the_model():
    scores = score_table(table()).set_index("answer")
    assert scores.index.tolist() == ["model", "always win", "always lose"]
    assert scores.accuracy["always win"] == scores.accuracy["always lose"] == 0.5
    assert scores.auc["always win"] == 0.5
    assert scores.n.eq(60).all()


def test_unlabelled_and_training_interviews_are_not_scored():
    predictions = table(20)
    predictions["outcome"] = predictions.outcome.astype("Int64")
    predictions.loc[:4, "outcome"] = pd.NA
    predictions.loc[5:9, "split"] = "train"
    assert score_table(predictions).n.unique().tolist() == [10]


def test_one_class_leaves_dashes_instead_of_numbers():
    predictions = table(20)
    predictions["outcome"] = 1
    shown = show_scores(score_table(predictions)).set_index("answer")
    assert shown.loc["model", "auc"] == "–"
    assert shown.loc["model", "p"] == "–"
    assert shown.loc["always win", "accuracy"].startswith("1.00 [0.84")
