"""The animation shows every frame and every detected joint of the keypoints, and no other."""

from dataclasses import replace

import numpy as np
import pytest

from imigue_lab.data.keypoint_files.clips import read_clip, upper_body
from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.views import skeletons as module
from imigue_lab.views.skeletons import animation, skeleton_of, skeleton_player
from tests.views.texts import text_of

LAYOUT = LAYOUTS["imigue22"]


@pytest.fixture
def recording():
    """Five frames of one person whose left wrist is missing in frame 2."""
    rng = np.random.default_rng(0)
    skeleton = rng.uniform(10, 200, size=(1, 5, 22, 3)).astype(np.float32)
    skeleton[0, 2, LAYOUT.joints.index("left_wrist")] = 0
    return Recording(skeleton, LAYOUT)


def joints_of(frame):
    return next(trace for trace in frame.data if trace.name == "joints")


def bones_of(frame):
    return {
        frozenset(((x[0], y[0]), (x[1], y[1])))
        for trace in frame.data
        if trace.mode == "lines"
        for x, y in (
            (trace.x[start : start + 2], trace.y[start : start + 2])
            for start in range(0, len(trace.x) - 1, 3)
        )
    }


def test_a_clip_plays_frame_by_frame_with_joints_where_its_keypoints_are(index):
    clip = index.clips.iloc[4]
    figure = skeleton_player(index, clip.clip_id)
    skeleton = upper_body(read_clip(index, clip.clip_id)).skeleton
    assert len(figure.frames) == clip.end - clip.start + 1
    for number, frame in enumerate(figure.frames):
        np.testing.assert_allclose(joints_of(frame).x, skeleton[0, number, :, 0], atol=1e-3)
        np.testing.assert_allclose(joints_of(frame).y, skeleton[0, number, :, 1], atol=1e-3)
    assert clip.clip_id in text_of(figure)
    assert "are synthetic" in figure.layout.title.text


def test_a_missing_joint_is_a_gap_and_so_are_its_bones(recording):
    figure = animation(skeleton_of(recording), times=np.arange(200) / 25, step=1)
    wrist = LAYOUT.joints.index("left_wrist")
    assert joints_of(figure.frames[2]).x[wrist] is None
    assert joints_of(figure.frames[1]).x[wrist] is not None
    touching = sum(wrist in bone for bone in LAYOUT.bones)
    assert len(bones_of(figure.frames[1])) == len(LAYOUT.bones)
    assert len(bones_of(figure.frames[2])) == len(LAYOUT.bones) - touching


def test_bones_connect_the_joints_of_the_layout(recording):
    frame = animation(skeleton_of(recording), times=np.arange(200) / 25, step=1).frames[0]
    dots = joints_of(frame)
    expected = {
        frozenset(((dots.x[a], dots.y[a]), (dots.x[b], dots.y[b]))) for a, b in LAYOUT.bones
    }
    assert bones_of(frame) == expected


def test_y_points_down_in_a_picture_and_both_axes_are_equal(recording):
    layout = animation(skeleton_of(recording), times=np.arange(200) / 25, step=1).layout
    bottom, top = layout.yaxis.range
    places = skeleton_of(recording).places
    assert bottom > np.nanmax(places[..., 1]) > np.nanmin(places[..., 1]) > top
    assert layout.yaxis.scaleanchor == "x"


def test_the_slider_counts_seconds_and_play_keeps_the_rate(recording):
    layout = animation(skeleton_of(recording), times=np.arange(200) / 25, step=1).layout
    labels = [step.label for step in layout.sliders[0].steps]
    assert labels == ["0.00", "0.04", "0.08", "0.12", "0.16"]
    play, pause = layout.updatemenus[0].buttons
    assert (play.label, pause.label) == ("play", "pause")
    assert play.args[1]["frame"]["duration"] == 40


def test_both_persons_are_drawn(recording):
    two = Recording(np.concatenate([recording.skeleton, recording.skeleton + 50]), LAYOUT)
    frame = animation(skeleton_of(two), times=np.arange(200) / 25, step=1).frames[0]
    assert len(joints_of(frame).x) == 44
    assert len(bones_of(frame)) == 2 * len(LAYOUT.bones)


def test_of_a_long_clip_every_nth_frame_is_drawn_and_a_note_says_so(index, monkeypatch):
    clip = index.clips.iloc[0]
    frames = int(clip.end - clip.start + 1)
    monkeypatch.setattr(module, "MOST", frames // 2)
    figure = skeleton_player(index, clip.clip_id)
    step = -(-frames // (frames // 2))
    assert len(figure.frames) == -(-frames // step)
    assert f"one frame in {step} is drawn" in text_of(figure)


def test_by_default_the_first_clip_with_keypoints_plays(index):
    videos = index.videos.copy()
    videos.loc[videos.video_id == "0001", "keypoints"] = None
    first = index.clips[(index.clips.split == "train") & (index.clips.video_id != "0001")]
    figure = skeleton_player(replace(index, videos=videos), split="train")
    assert text_of(figure).startswith(f"Clip {first.clip_id.iloc[0]}:")


def test_without_keypoints_or_joints_the_figure_states_why_it_is_empty(index, monkeypatch):
    bare = replace(index, videos=index.videos.assign(keypoints=None))
    sentence = skeleton_player(bare).layout.annotations[0].text
    assert sentence == "No clip of train has keypoints under this root."
    empty = Recording(np.zeros((1, 5, 22, 3), np.float32), LAYOUT)
    monkeypatch.setattr(module, "read_clip", lambda *_: empty)
    sentence = skeleton_player(index, "0001_0").layout.annotations[0].text
    assert sentence == "No joint was detected in this clip."
