"""A trial estimates the time of the whole extraction and stores nothing."""

import numpy as np
import pytest
import torch

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.videos.video import write_video
from imigue_lab.errors import DataError
from imigue_lab.features.catalogue import build_streams
from imigue_lab.features.extraction import Trial, plan_extraction, run_extraction, run_trial


@pytest.fixture
def plan(tmp_path):
    write_video(tmp_path / "interview.mp4", np.zeros((80, 64, 64, 3), np.uint8), 25)
    streams = build_streams("context-tiny", torch.device("cpu"))
    return plan_extraction(read_index(tmp_path), streams, str(tmp_path / "store"))


def test_a_trial_encodes_two_windows_and_stores_nothing(plan):
    trial = run_trial(plan)
    assert len(trial.seconds) == 2
    assert trial.windows == 5
    assert not list(plan.folder.rglob("*.safetensors"))


def test_the_estimate_multiplies_the_time_of_the_second_window():
    took = "2 windows took 9.00 and 1.50 s; all 100 take about 0:02:30"
    assert str(Trial([9.0, 1.5], 100)) == took
    assert "about 3 days, 9:20:00" in str(Trial([2.0, 1.5], 195_200))


def test_no_trial_runs_when_all_is_extracted(plan):
    run_extraction(plan)
    done = plan_extraction(
        read_index(plan.root), [plan.jobs[0].pending[0].stream], str(plan.folder.parent)
    )
    with pytest.raises(DataError, match="1 items already extracted; no trial is needed"):
        run_trial(done)
