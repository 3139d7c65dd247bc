"""Right and wrong are told from the run's predictions, and means come with n and an interval."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.views.gates.right_and_wrong import compare, mean_gates, right_and_wrong
from imigue_lab.views.gates.values import read_gates


@pytest.fixture(scope="module")
def table(trained):
    return mean_gates(*trained)


def synthetic(right, wrong):
    rows = [(f"s{n}", "right", v) for n, v in enumerate(right)]
    rows += [(f"s{n + 20}", "wrong", v) for n, v in enumerate(wrong)]
    table = pd.DataFrame(rows, columns=["subject", "told", "gate, stage 1"])
    return table.assign(video_id=table.subject)


def test_every_test_interview_is_told_by_its_outcome(trained, table):
    run, data = trained
    predictions = run.predictions().set_index("video_id").loc[table.video_id]
    assert set(table.video_id) == set(data.split.part("test").video_id)
    right = (predictions.probability >= 0.5).astype(int).to_numpy() == predictions.outcome
    assert (right.to_numpy() == (table.told == "right").to_numpy()).all()


def test_the_mean_gate_is_over_windows_with_a_face(trained, table):
    row = table.iloc[0]
    gates = read_gates(*trained, row.video_id)
    assert row["gate, stage 2"] == pytest.approx(gates.stages[1][gates.face_seen].mean(), abs=1e-6)
    taken = gates.taken[0]["context in face"].mean()
    assert row["context in face, stage 1"] == pytest.approx(taken, abs=1e-6)


def test_a_difference_that_is_there_has_an_interval_without_zero():
    rng = np.random.default_rng(0)
    apart = compare(synthetic(rng.normal(0.7, 0.05, 12), rng.normal(0.4, 0.05, 8))).iloc[0]
    assert apart.low > 0.2 and apart.high < 0.4
    assert apart.low < apart.difference < apart.high
    assert (apart["n right"], apart["n wrong"]) == (12, 8)
    same = compare(synthetic(rng.normal(0.5, 0.05, 12), rng.normal(0.5, 0.05, 8))).iloc[0]
    assert same.low < 0 < same.high


def test_what_is_null_is_left_out_of_a_mean():
    row = compare(synthetic([0.5, np.nan, 0.7], [0.1, 0.3])).iloc[0]
    assert row.right == pytest.approx(0.6)
    assert row.wrong == pytest.approx(0.2)


def test_too_few_told_wrong_have_no_interval():
    row = compare(synthetic([0.5, 0.6, 0.7], [0.1])).iloc[0]
    assert np.isnan(row.low) and np.isnan(row.high)
    none = compare(synthetic([0.5, 0.6], [])).iloc[0]
    assert np.isnan(none.wrong) and none["n wrong"] == 0


def test_the_figure_marks_each_interview_and_says_how_many(trained, table):
    run, _ = trained
    figure = right_and_wrong(run, table)
    counts = table.told.value_counts()
    names = {trace.name for trace in figure.data}
    assert f"told right (n={counts.get('right', 0)})" in names
    assert f"told wrong (n={counts.get('wrong', 0)})" in names
    marks = sum(len(t.x) for t in figure.data if t.name.startswith("told"))
    assert marks == table.filter(like="stage").notna().sum(axis=None)
    empty = right_and_wrong(run, table[:0])
    assert "No outcome of test is known." in empty.layout.annotations[0].text
