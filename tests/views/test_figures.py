"""Figures show the run they are given, and say so when its features are made up."""

import numpy as np
import pytest

from imigue_lab.errors import RunError
from imigue_lab.training.emotion import load_emotion, train_emotion
from imigue_lab.views.gates import gates_over_time, read_gates
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


def test_every_figure_says_that_its_features_are_made_up(trained):
    run, data = trained
    gates = read_gates(run, data, "0003")
    for figure in (learning_curves(run), reliability(run), gates_over_time(run, gates)):
        assert "are made up" in figure.layout.title.text


def test_reliability_bins_count_every_interview_once():
    probability = np.array([0.05, 0.15, 0.95, 1.0, 0.5])
    bins = reliability_bins(probability, np.array([0, 1, 1, 1, 0]), bins=5)
    assert bins.n.tolist() == [2, 1, 2]
    assert bins.wins.tolist() == [0.5, 0.0, 1.0]
    np.testing.assert_allclose(bins.probability, [0.1, 0.5, 0.975])
    assert (bins.low <= bins.wins).all()


def test_gates_are_those_of_the_best_model_over_the_whole_interview(trained):
    run, data = trained
    video = data.split.part("test").video_id.iloc[0]
    gates = read_gates(run, data, video)
    windows = len(data.features.context[video])
    assert [g.shape for g in gates.stages] == [(windows, 8)] * 2
    kept = run.predictions().set_index("video_id").logit[video]
    assert gates.logit == pytest.approx(kept, abs=1e-5)
    fuse = load_emotion(run, data).fusions[0]
    assert fuse.reading == "shared"
    assert list(gates.mean()) == ["stage 1", "stage 2"]


def test_windows_without_a_face_are_grey(trained):
    run, data = trained
    hidden = {v: int((f == 0).all(dim=1).sum()) for v, f in data.features.face.items()}
    video = max(hidden, key=hidden.get)
    assert hidden[video] > 0
    figure = gates_over_time(run, read_gates(run, data, video))
    grey = [shape for shape in figure.layout.shapes if shape.fillcolor == "grey"]
    assert len({shape.x0 for shape in grey}) == hidden[video]
    assert f"{hidden[video]} windows without a face" in figure.layout.title.text


def test_a_video_or_a_fusion_without_gates_is_refused(trained, quick):
    run, data = trained
    with pytest.raises(RunError, match="video '9999' is not there"):
        read_gates(run, data, "9999")
    late = train_emotion(quick(fusion="late", epochs=1), data)
    with pytest.raises(RunError, match="has no gates"):
        read_gates(late, data, "0003")
