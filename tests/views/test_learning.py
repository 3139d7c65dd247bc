"""Learning curves of runs of all tasks, and the notes above every figure of a run."""

import numpy as np
import pytest

from imigue_lab.training.runs import Run
from imigue_lab.views.answers import LINES, learning_curves, read_predictions, reliability
from imigue_lab.views.gates.interview import gates_over_time, read_gates


@pytest.fixture
def gesture(tmp_path):
    """A gesture run of three epochs, the second of which is best."""
    run = Run(tmp_path / "some")
    run.write_json("settings.json", {"task": "baseline", "settings": {}, "data": {}})
    run.write_history(
        [
            {"epoch": e, "train_loss": 3.0 - e, "validation_error": error}
            | {f"validation_{name}": 1 - error for name in ("top1", "top5", "macro_f1")}
            for e, error in enumerate((0.9, 0.4, 0.5))
        ]
    )
    remarks = ["rgb features (x) are synthetic"]
    run.write_json("provenance.json", {"remarks": remarks, "where": {}, "synthetic": True})
    return run


def test_learning_curves_of_emotion_draw_every_epoch_and_mark_the_kept_one(trained):
    run, _ = trained
    figure = learning_curves(run)
    metrics = run.metrics()
    lines = {trace.name: trace for trace in figure.data}
    assert list(lines) == ["train loss", "validation loss", "accuracy", "balanced accuracy", "AUC"]
    np.testing.assert_allclose(lines["validation loss"].y, metrics.validation_loss)
    assert list(lines["train loss"].x) == [1, 2, 3]
    assert len({line.line.color for line in lines.values()}) == len(lines)
    kept = metrics.validation_loss.idxmin() + 1
    assert [a.text for a in figure.layout.annotations if a.x == kept] == ["kept"]


def test_learning_curves_of_gestures_draw_their_scores_and_mark_the_kept_epoch(gesture):
    figure = learning_curves(gesture)
    assert [trace.name for trace in figure.data] == ["train loss", "top-1", "top-5", "macro F1"]
    assert {shape.x0 for shape in figure.layout.shapes} == {2}
    assert "synthetic" in figure.layout.title.text


@pytest.mark.parametrize("monitor", LINES)
def test_no_two_lines_of_a_task_have_one_colour_or_name(monitor):
    for column in (1, 2):
        assert len({line[column] for line in LINES[monitor]}) == len(LINES[monitor])


def test_with_memory_the_kept_epoch_is_the_best_after_warm_up(gesture):
    gesture.write_json(
        "settings.json", {"task": "gesture", "settings": {"memory": True, "warmup": 2}, "data": {}}
    )
    assert {shape.x0 for shape in learning_curves(gesture).layout.shapes} == {3}


def test_every_figure_of_a_run_on_synthetic_features_is_marked_as_such(trained):
    run, data = trained
    gates = gates_over_time(run, read_gates(run, data, "0003"))
    for figure in (learning_curves(run), reliability(run, read_predictions(run)), gates):
        assert "are synthetic" in figure.layout.title.text
