"""A moment stays consistent, whichever trait a view sets; lanes follow and move the moment."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imigue_lab.errors import DataError
from imigue_lab.views.gates.interview import gate_lanes, read_gates
from imigue_lab.views.player.lanes import Lane, Lanes, Moment, line_lane


@pytest.fixture
def moment(index):
    return Moment(index)


def state(moment):
    return moment.video_id, moment.clip_id, moment.frame


def test_it_starts_at_the_first_video_or_the_requested_one(index):
    assert state(Moment(index)) == ("0001", "", 0)
    assert state(Moment(index, "0003")) == ("0003", "", 0)
    clip = index.clips.set_index("clip_id").loc["0002_1"]
    assert state(Moment(index, clip_id="0002_1")) == ("0002", "0002_1", clip.start)


def test_selecting_a_clip_moves_to_its_video_and_first_frame_in_one_step(moment, index):
    seen = []
    moment.observe(lambda _: seen.append(state(moment)), ["video_id", "clip_id", "frame"])
    moment.clip_id = "0002_1"
    start = index.clips.set_index("clip_id").start["0002_1"]
    assert set(seen) == {("0002", "0002_1", start)}


def test_a_frame_inside_keeps_the_clip_and_one_far_outside_deselects_it(moment, index):
    clip = index.clips.set_index("clip_id").loc["0002_1"]
    moment.clip_id = "0002_1"
    moment.frame = int(clip.end)
    assert moment.clip_id == "0002_1"
    moment.frame = int(clip.end) + 25  # a second after it is still shown with it
    assert moment.clip_id == "0002_1"
    moment.frame = int(clip.end) + 26
    assert state(moment) == ("0002", "", clip.end + 26)


def test_selecting_another_video_deselects_the_clip(moment):
    moment.clip_id = "0002_1"
    moment.video_id = "0003"
    assert state(moment) == ("0003", "", 0)


def test_showing_a_frame_of_a_video_is_one_step(moment):
    moment.clip_id = "0002_1"
    seen = []
    moment.observe(lambda _: seen.append(state(moment)), ["video_id", "clip_id", "frame"])
    moment.show("0001", 7)
    assert set(seen) == {("0001", "", 7)}


@pytest.mark.parametrize(("trait", "kind"), [("video_id", "video"), ("clip_id", "clip")])
def test_an_unknown_id_is_refused_and_nothing_changes(moment, trait, kind):
    with pytest.raises(DataError, match=f"{kind} 'nowhere' does not exist; choose one of 0001"):
        setattr(moment, trait, "nowhere")
    assert state(moment) == ("0001", "", 0)


@pytest.fixture
def filmed_moment(filmed):
    return Moment(filmed, "0001")


def read_back(lanes):
    """The values of each lane, sliced as on the page."""
    values, start = np.frombuffer(lanes.values, np.float32), 0
    for lane in lanes.lanes:
        size = lane["rows"] * lane["windows"]
        yield values[start : start + size].reshape(lane["rows"], lane["windows"])
        start += size
    assert start == len(values)


def test_the_page_receives_every_value(filmed_moment):
    heat, line = np.arange(6.0).reshape(2, 3), np.array([0.5, np.nan, 1.0])
    lanes = Lanes(filmed_moment, "0001", [Lane("heat", heat, 0, 5), line_lane("line", line)])
    first, second = read_back(lanes)
    np.testing.assert_array_equal(first, heat)
    np.testing.assert_array_equal(second[0], line)
    assert [lane["title"] for lane in lanes.lanes] == ["heat", "line"]
    assert lanes.times[:3] == [0.0, 0.04, 0.08]


def test_clicking_moves_the_moment_and_the_moment_moves_the_cursor(filmed_moment):
    lanes = Lanes(filmed_moment, "0001", [line_lane("line", np.ones(3))])
    lanes.frame = 33
    assert filmed_moment.frame == 33
    filmed_moment.frame = 12
    assert lanes.frame == 12


def test_in_another_video_there_is_no_cursor_until_a_lane_is_clicked(filmed_moment):
    lanes = Lanes(filmed_moment, "0001", [line_lane("line", np.ones(3))])
    filmed_moment.show("0002", 40)
    assert not lanes.shown
    lanes.press(lanes, {"lane": 0, "frame": 7, "height": 0.5}, [])
    assert (filmed_moment.video_id, filmed_moment.frame, lanes.frame, lanes.shown) == (
        "0001",
        7,
        7,
        True,
    )


def test_gate_lanes_are_the_gates(index, trained):
    run, data = trained
    gates = read_gates(run, data, "0003")
    windows = len(gates.face_seen)
    running = pd.DataFrame({"window": [0, windows - 1], "probability": [0.0, 1.0]})
    gates = replace(gates, running=running, face_share=np.ones(windows, np.float32))
    lanes = gate_lanes(Moment(index, "0003"), gates)
    first, second, means, shares, *_, share, win = read_back(lanes)
    for drawn, gate in zip((first, second), gates.by_group(), strict=True):
        np.testing.assert_allclose(drawn, gate.T, atol=1e-6)
    np.testing.assert_allclose(
        means, gates.per_window[gates.columns("mean gate")].to_numpy().T, atol=1e-6
    )
    np.testing.assert_allclose(shares[0], gates.per_window["face in context, stage 1"], atol=1e-6)
    assert (share == 1).all()
    np.testing.assert_allclose(win[0], np.linspace(0, 1, windows), atol=1e-6)
