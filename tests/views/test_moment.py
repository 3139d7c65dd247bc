"""A moment's video, clip and frame stay consistent, whichever of them a view sets."""

import pytest

from imigue_lab.errors import DataError
from imigue_lab.views.player.lanes import Moment


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
