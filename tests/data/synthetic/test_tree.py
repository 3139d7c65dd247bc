"""The synthetic tree on disk: real videos, real label and keypoint files, matching features."""

import av
import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.store import open_features
from imigue_lab.data.synthetic.recording import HUES, act, quarter, to_pixels, tremor
from imigue_lab.data.synthetic.story import MOVERS, SyntheticSpec, plan
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError

SPEC = SyntheticSpec(videos=4, seed=3)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("film") / "tree", SPEC)


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_tree_has_the_layout_of_the_challenge(filmed):
    train, test = filmed.videos.iloc[0], filmed.videos.iloc[-1]
    assert str(train.video.relative_to(filmed.root)) == (
        "imigue_rgb_phase1/train_data/0001/0001.mp4"
    )
    assert str(train.keypoints.relative_to(filmed.root)) == (
        "imigue_data_phase1/datasets/imigue_skeleton_train/0001/0001_light_hand.csv"
    )
    assert str(test.keypoints.relative_to(filmed.root)).startswith(
        "imigue_data_phase2/imigue_skeleton_test/"
    )


def test_videos_have_the_planned_frames_at_25_per_second(filmed):
    for row, interview in zip(filmed.videos.itertuples(), plan(SPEC), strict=True):
        assert (row.fps, row.width, row.height, row.frames) == (25, 384, 288, interview.frames)
    first = plan(SPEC)[0]
    assert len(frames_of(filmed.videos.video[0])) == first.frames


def test_keypoint_files_have_a_header_and_106_columns(filmed):
    table = pd.read_csv(filmed.videos.keypoints[0])
    assert table.shape == (plan(SPEC)[0].frames, 106)
    assert table.columns[0] == "frame"
    assert table.columns[1] == "nose_x"
    points = table.to_numpy()[:, 1:].reshape(len(table), 35, 3)
    joints = LAYOUTS["light_hand35"].joints
    assert (points[:, joints.index("left_knee")] == 0).all()  # legs are out of the picture
    assert (points[:, joints.index("left_pinky_tip"), 2] > 0.5).all()


def test_a_gesture_trembles_in_the_keypoints_at_its_joint_and_moment(filmed):
    interview = plan(SPEC)[0]
    scene = act(interview, SPEC)
    moved = np.abs(scene.tracked - scene.drawn).max(axis=2)
    for gesture in (g for g in interview.gestures if g.pattern < 5):
        joint = LAYOUTS["light_hand35"].joints.index(MOVERS[gesture.joint])
        clip = moved[gesture.start : gesture.end + 1, joint]
        moment = quarter(gesture, gesture.moment)
        assert clip[moment.start : moment.stop].max() > 0.01
        outside = np.delete(clip, np.arange(moment.start, moment.stop))
        assert outside.max() == 0
        np.testing.assert_allclose(clip, np.abs(tremor(gesture)).max(axis=1), atol=1e-12)


def test_a_mark_is_visible_in_the_picture_at_its_joint_and_moment(filmed):
    interview = plan(SPEC)[0]
    frames = frames_of(filmed.videos.video[0])
    scene = act(interview, SPEC)
    for gesture in interview.gestures:
        moment = quarter(gesture, gesture.mark_moment)
        frame = gesture.start + moment.start + len(moment) // 2
        joint = LAYOUTS["light_hand35"].joints.index(MOVERS[gesture.mark_joint])
        x, y = to_pixels(scene.drawn[frame, joint]).round().astype(int)
        seen = frames[frame][y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)
        assert np.abs(seen - HUES[gesture.hue]).max() < 60


def test_features_have_one_row_per_window_and_zeros_without_a_face(filmed):
    interviews = plan(SPEC)
    context = open_features("synthetic-context", "", filmed)
    face = open_features("synthetic-face", "", filmed)
    for interview in interviews:
        windows = interview.frames // 16 + (interview.frames % 16 >= 8)
        features = face.read(interview.video_id)
        assert context.read(interview.video_id)["context"].shape == (windows, 768)
        assert features["face"].shape == (windows, 512)
        np.testing.assert_array_equal(
            (features["face"] != 0).any(axis=1), features["face_share"] > 0
        )
    assert context.encoding.note == "synthetic"


def test_the_same_arguments_give_the_same_files(filmed, tmp_path):
    again = make_data(tmp_path / "again", SPEC)
    for old, new in zip(filmed.videos.itertuples(), again.videos.itertuples(), strict=True):
        assert old.keypoints.read_bytes() == new.keypoints.read_bytes()
        # x264 is not deterministic: the pictures agree, the bytes of the mp4 need not.
        difference = np.subtract(frames_of(old.video), frames_of(new.video), dtype=np.int16)
        assert np.abs(difference).mean() < 0.5
    pd.testing.assert_frame_equal(filmed.clips, again.clips)
    first = open_features("synthetic-face", "", filmed).read("0001")["face"]
    torch.testing.assert_close(
        open_features("synthetic-face", "", again).read("0001")["face"], first
    )


def test_a_folder_that_is_not_empty_is_not_changed(tmp_path):
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(DataError, match="is not empty"):
        make_data(tmp_path, SPEC)
    assert (tmp_path / "thesis.tex").exists()


def test_an_interrupted_generator_leaves_no_partial_tree(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("imigue_lab.data.synthetic.tree.write_video", killed)
    with pytest.raises(KeyboardInterrupt):
        make_data(tmp_path / "tree", SPEC)
    assert not (tmp_path / "tree").exists()
    monkeypatch.undo()
    assert len(make_data(tmp_path / "tree", SPEC).videos) == 4
    assert read_index(tmp_path / "tree").absent == []
