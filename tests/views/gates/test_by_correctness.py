"""Correctness comes from the run's predictions; means have n and an interval."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.training.statistics import draw_groups
from imigue_lab.views.gates.by_correctness import (
    compare_by_correctness,
    gates_by_correctness,
    mean_gates,
)
from imigue_lab.views.gates.interview import read_gates


@pytest.fixture(scope="module")
def table(trained):
    return mean_gates(*trained)


def synthetic(correct, incorrect):
    rows = [(f"s{n}", "correct", v) for n, v in enumerate(correct)]
    rows += [(f"s{n + 20}", "incorrect", v) for n, v in enumerate(incorrect)]
    table = pd.DataFrame(rows, columns=["subject", "correctness", "mean gate, stage 1"])
    return table.assign(video_id=table.subject)


def test_correctness_of_every_test_interview_follows_from_its_outcome(trained, table):
    run, data = trained
    predictions = run.predictions().set_index("video_id").loc[table.video_id]
    assert set(table.video_id) == set(data.split.part("test").video_id)
    correct = (predictions.probability >= 0.5).astype(int).to_numpy() == predictions.outcome
    assert (correct.to_numpy() == (table.correctness == "correct").to_numpy()).all()


def test_the_mean_gate_is_over_windows_with_a_face(trained, table):
    row = table.iloc[0]
    gates = read_gates(*trained, row.video_id)
    assert row["mean gate, stage 2"] == pytest.approx(
        gates.stages[1][gates.face_seen].mean(), abs=1e-6
    )
    share = gates.per_window["context in face, stage 1"].mean()
    assert row["context in face, stage 1"] == pytest.approx(share, abs=1e-6)


def test_a_real_difference_has_an_interval_without_zero():
    rng = np.random.default_rng(0)
    apart = compare_by_correctness(
        synthetic(rng.normal(0.7, 0.05, 12), rng.normal(0.4, 0.05, 8))
    ).iloc[0]
    assert apart.low > 0.2 and apart.high < 0.4
    assert apart.low < apart.difference < apart.high
    assert (apart["n correct"], apart["n incorrect"]) == (12, 8)
    same = compare_by_correctness(
        synthetic(rng.normal(0.5, 0.05, 12), rng.normal(0.5, 0.05, 8))
    ).iloc[0]
    assert same.low < 0 < same.high


def test_the_interval_of_few_subjects_is_widened():
    """Of five, each with one correct and one incorrect prediction."""
    own, gain = np.array([0.1, 0.3, 0.4, 0.6, 0.9]), np.array([0.1, 0.2, 0.4, 0.0, 0.3])
    table = synthetic(own + gain, own).assign(subject=[*"abcde"] * 2, video_id=range(10))
    row = compare_by_correctness(table).iloc[0]
    low, high = np.quantile(draw_groups(5, 0) @ gain / 5, [0.025, 0.975])
    assert row.low < low and high < row.high


def test_null_values_are_left_out_of_a_mean():
    row = compare_by_correctness(synthetic([0.5, np.nan, 0.7], [0.1, 0.3])).iloc[0]
    assert row.correct == pytest.approx(0.6)
    assert row.incorrect == pytest.approx(0.2)


def test_too_few_incorrect_predictions_have_no_interval():
    row = compare_by_correctness(synthetic([0.5, 0.6, 0.7], [0.1])).iloc[0]
    assert np.isnan(row.low) and np.isnan(row.high)
    none = compare_by_correctness(synthetic([0.5, 0.6], [])).iloc[0]
    assert np.isnan(none.incorrect) and none["n incorrect"] == 0


def test_the_figure_marks_each_interview_and_prints_n(trained, table):
    run, _ = trained
    figure = gates_by_correctness(run, table)
    counts = table.correctness.value_counts()
    names = {trace.name for trace in figure.data}
    assert f"correct (n={counts.get('correct', 0)})" in names
    assert f"incorrect (n={counts.get('incorrect', 0)})" in names
    marks = sum(len(t.x) for t in figure.data if "(n=" in t.name)
    assert marks == table.filter(like="stage").notna().sum(axis=None)
    empty = gates_by_correctness(run, table[:0])
    assert "No outcome of test is known." in empty.layout.annotations[0].text
