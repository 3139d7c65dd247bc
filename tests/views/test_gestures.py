"""Figures of a gesture run."""

import pytest

from imigue_lab.training.runs import Run
from imigue_lab.views.learning import gesture_curves


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "some")
    run.write_json("settings.json", {"task": "baseline", "settings": {}})
    run.write_history(
        [
            {"epoch": e, "train_loss": 3.0 - e, "validation_error": error}
            | {f"validation_{name}": 1 - error for name in ("top1", "top5", "macro_f1")}
            for e, error in enumerate((0.9, 0.4, 0.5))
        ]
    )
    run.write_json("provenance.json", {"remarks": ["rgb features (x) are synthetic"]})
    return run


def test_the_kept_epoch_is_marked(run):
    figure = gesture_curves(run)
    assert {shape.x0 for shape in figure.layout.shapes} == {2}
    assert "synthetic" in figure.layout.title.text


def test_with_memory_it_is_the_best_of_those_that_read_it(run):
    run.write_json("settings.json", {"settings": {"memory": True, "warmup": 2}})
    assert {shape.x0 for shape in gesture_curves(run).layout.shapes} == {3}
