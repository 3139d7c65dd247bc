"""Lanes carry the numbers they are given, follow the moment, and lead it where they are pressed."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.views.gates.over_time import gate_lanes
from imigue_lab.views.gates.values import read_gates
from imigue_lab.views.player.lanes import Lane, Lanes, Moment, line_lane


@pytest.fixture
def moment(filmed):
    return Moment(filmed, "0001")


def read_back(lanes):
    """The values of each lane as the page cuts them out."""
    values, start = np.frombuffer(lanes.values, np.float32), 0
    for lane in lanes.lanes:
        size = lane["rows"] * lane["windows"]
        yield values[start : start + size].reshape(lane["rows"], lane["windows"])
        start += size
    assert start == len(values)


def test_the_page_gets_every_number(moment):
    heat, line = np.arange(6.0).reshape(2, 3), np.array([0.5, np.nan, 1.0])
    lanes = Lanes(moment, "0001", [Lane("heat", heat, 0, 5), line_lane("line", line)])
    first, second = read_back(lanes)
    np.testing.assert_array_equal(first, heat)
    np.testing.assert_array_equal(second[0], line)
    assert [lane["title"] for lane in lanes.lanes] == ["heat", "line"]
    assert lanes.fps == 25.0


def test_pressing_moves_the_moment_and_the_moment_the_cursor(moment):
    lanes = Lanes(moment, "0001", [line_lane("line", np.ones(3))])
    lanes.frame = 33
    assert moment.frame == 33
    moment.frame = 12
    assert lanes.frame == 12


def test_in_another_video_there_is_no_cursor_until_somebody_presses(moment):
    lanes = Lanes(moment, "0001", [line_lane("line", np.ones(3))])
    moment.show("0002", 40)
    assert not lanes.shown
    lanes.come_back(lanes, {"frame": 7}, [])
    assert (moment.video_id, moment.frame, lanes.frame, lanes.shown) == ("0001", 7, 7, True)


def test_gate_lanes_are_the_gates(index, trained):
    run, data = trained
    gates = read_gates(run, data, "0003")
    windows = len(gates.face_seen)
    running = pd.DataFrame({"window": [0, windows - 1], "probability": [0.0, 1.0]})
    lanes = gate_lanes(Moment(index, "0003"), gates, running, np.ones(windows, np.float32))
    first, second, means, shares, *_, share, win = read_back(lanes)
    for drawn, gate in zip((first, second), gates.by_group(), strict=True):
        np.testing.assert_allclose(drawn, gate.T, atol=1e-6)
    np.testing.assert_allclose(
        means, gates.per_window[gates.columns("mean gate")].to_numpy().T, atol=1e-6
    )
    np.testing.assert_allclose(shares[0], gates.per_window["face in context, stage 1"], atol=1e-6)
    assert (share == 1).all()
    np.testing.assert_allclose(win[0], np.linspace(0, 1, windows), atol=1e-6)
