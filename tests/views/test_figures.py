"""Figures show the run they are given, and say so when its features are synthetic."""

import numpy as np

from imigue_lab.views.gates.over_time import gates_over_time
from imigue_lab.views.gates.values import read_gates
from imigue_lab.views.learning import learning_curves, reliability, reliability_bins


def test_learning_curves_draw_every_epoch_and_mark_the_kept_one(trained):
    run, _ = trained
    figure = learning_curves(run)
    metrics = run.metrics()
    lines = {trace.name: trace for trace in figure.data}
    np.testing.assert_allclose(lines["validation loss"].y, metrics.validation_loss)
    assert list(lines["train loss"].x) == [1, 2, 3]
    kept = metrics.validation_loss.idxmin() + 1
    assert [a.text for a in figure.layout.annotations if a.x == kept] == ["kept"]


def test_every_figure_says_that_its_features_are_synthetic(trained):
    run, data = trained
    gates = read_gates(run, data, "0003")
    for figure in (learning_curves(run), reliability(run), gates_over_time(run, gates)):
        assert "are synthetic" in figure.layout.title.text


def test_reliability_bins_count_every_interview_once():
    probability = np.array([0.05, 0.15, 0.95, 1.0, 0.5])
    bins = reliability_bins(probability, np.array([0, 1, 1, 1, 0]), bins=5)
    assert bins.n.tolist() == [2, 1, 2]
    assert bins.wins.tolist() == [0.5, 0.0, 1.0]
    np.testing.assert_allclose(bins.probability, [0.1, 0.5, 0.975])
    assert (bins.low <= bins.wins).all()
