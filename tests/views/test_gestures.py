"""Figures of a gesture run."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.training.runs import Run
from imigue_lab.views.gestures import confusion, gesture_curves


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "some")
    run.write_history(
        [
            {"epoch": e, "train_loss": 3.0 - e, "validation_error": error}
            | {f"validation_{name}": 1 - error for name in ("top1", "top5", "macro_f1")}
            for e, error in enumerate((0.9, 0.4, 0.5))
        ]
    )
    said = np.eye(4)[[0, 0, 3, 3]]
    table = pd.DataFrame(said, columns=[f"p{c}" for c in range(4)])
    table = table.assign(clip_id=list("abcd"), video_id="v", split="test", label=[0, 0, 0, 3])
    run.write_predictions(table)
    run.write_json("provenance.json", {"remarks": ["rgb features (x) are made up"]})
    return run


def test_the_kept_epoch_is_marked(run):
    figure = gesture_curves(run)
    assert {shape.x0 for shape in figure.layout.shapes} == {2}
    assert "made up" in figure.layout.title.text


def test_confusion_shows_shares_of_a_class_and_counts_of_those_that_occur(run):
    heat = confusion(run).data[0]
    assert list(heat.x) == ["0", "3"]
    np.testing.assert_allclose(heat.z, [[2 / 3, 1 / 3], [0, 1]])
    assert np.array(heat.text).tolist() == [[2, 1], [0, 1]]
