"""A trial tells how long the whole will take, and stores nothing."""

import numpy as np
import pytest
import torch

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.videos.video import write_video
from imigue_lab.errors import DataError
from imigue_lab.features.catalogue import build_streams
from imigue_lab.features.extract import extract
from imigue_lab.features.plan import Trial, plan_extraction, try_out


@pytest.fixture
def plan(tmp_path):
    write_video(tmp_path / "interview.mp4", np.zeros((80, 64, 64, 3), np.uint8), 25)
    streams = build_streams("context-tiny", torch.device("cpu"))
    return plan_extraction(read_index(tmp_path), streams, str(tmp_path / "store"))


def test_two_windows_are_tried_and_nothing_is_stored(plan):
    trial = try_out(plan)
    assert len(trial.seconds) == 2
    assert trial.windows == 5
    assert not list(plan.place.rglob("*.safetensors"))


def test_the_estimate_is_of_the_second_window_times_all():
    assert (
        str(Trial([9.0, 1.5], 100))
        == "tried 2 windows: 9.00 and 1.50 s; all 100 take about 00:02:30"
    )
    assert "about 3 days and 09:20:00" in str(Trial([2.0, 1.5], 195_200))


def test_there_is_nothing_to_try_when_all_is_done(plan):
    extract(plan)
    done = plan_extraction(
        read_index(plan.root), [plan.jobs[0].dues[0].stream], str(plan.place.parent)
    )
    with pytest.raises(DataError, match="1 items are there already; there is nothing to try"):
        try_out(done)
