"""Data of any keypoint layout: asked for where a width is ambiguous, in space, own joints."""

import json

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.checks.root import check_root
from imigue_lab.data.keypoint_files.clips import read_clip
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.source import open_data
from imigue_lab.errors import DataError, RunError
from imigue_lab.results.open import open_index
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import load_baseline, train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import load_gesture_tokens
from imigue_lab.training.gestures.train import load_gesture, train_gesture
from imigue_lab.views.skeletons import skeleton_player

TINY = {"epochs": 1, "frames": 8, "device": "cpu"}
LAB = {
    "name": "lab5",
    "joints": ["neck", "head", "right_shoulder", "left_shoulder", "left_hand"],
    "bones": [
        *(["neck", joint] for joint in ("head", "right_shoulder", "left_shoulder")),
        ["left_shoulder", "left_hand"],
    ],
    "mirror": [["right_shoulder", "left_shoulder"]],
    "axes": 3,
}


@pytest.fixture
def tree(tmp_path):
    """Writes a plain tree of 8 videos of two clips each; returns its root."""

    def write(joints, declared=None, channels=3, change=lambda points: points):
        rng = np.random.default_rng(0)
        (tmp_path / "keypoints").mkdir(exist_ok=True)
        videos, clips = [], []
        for number in range(8):
            split = ["train", "train", "validation", "test"][number % 4]
            videos.append((f"v{number}", split, f"s{number}"))
            points = change(rng.normal(size=(16, joints, channels)))
            np.save(tmp_path / "keypoints" / f"v{number}.npy", points.astype(np.float32))
            clips += [(f"v{number}_{n}", f"v{number}", 8 * n, 8 * n + 7, n + 1) for n in range(2)]
        columns = ["video_id", "split", "subject"]
        pd.DataFrame(videos, columns=columns).to_csv(tmp_path / "videos.csv", index=False)
        columns = ["clip_id", "video_id", "start", "end", "class"]
        pd.DataFrame(clips, columns=columns).to_csv(tmp_path / "clips.csv", index=False)
        if declared:
            (tmp_path / "keypoints.json").write_text(json.dumps(declared))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("joints", "names"), [(25, "body25 and ntu25"), (20, "kinect20 and msraction20")]
)
def test_a_number_of_joints_that_two_layouts_have_is_asked_for(tree, joints, names):
    root = tree(joints)
    complaint = rf"v\d\.npy: .*{joints} joints, which {names} have.*keypoints\.json.*set keypoints"
    with pytest.raises(DataError, match=complaint):
        load_gesture_data(open_data(str(root)))
    findings = check_root(root).findings
    (found,) = [finding for finding in findings if finding.kind == "unreadable keypoints"]
    assert found.severity == "error" and names in found.what
    last = names.split()[-1]
    assert load_gesture_data(open_data(str(root)), keypoints=last).layout is LAYOUTS[last]
    tree(joints, {"layout": last})
    assert load_gesture_data(open_data(str(root))).layout == LAYOUTS[last]
    assert not [f for f in check_root(root).findings if f.kind == "unreadable keypoints"]


def test_joints_in_space_are_no_scores_of_a_picture(tree):
    root = tree(25, {"layout": "body25"})
    with pytest.raises(DataError, match=r"score of .*expected a score of 0 to 1, got -"):
        load_gesture_data(open_data(str(root)))


def test_own_joints_in_space_train_and_their_layout_travels(tree):
    root = tree(5, LAB)
    settings = BaselineSettings.from_arguments({"data": str(root), **TINY})
    data = load_gesture_data(open_data(str(root)))
    assert data.layout.name == "lab5" and data.layout.axes == 3
    run = train_baseline(settings, data)
    found = run.read_checkpoint("best")
    assert found["keypoints"]["joints"] == LAB["joints"]
    assert load_baseline(run, data).norm.layout == data.layout
    other = tree(5, LAB | {"name": "lab6"})
    with pytest.raises(RunError, match="keypoints is 'lab5', expected 'lab6'"):
        load_baseline(run, load_gesture_data(open_data(str(other))))


def test_pose_alone_in_space_trains_the_gesture_model(tree):
    def change(points):
        points[3:5, 7] = 0  # a joint at the origin where others move is missing
        return points

    root = tree(25, change=change)
    own = {"data": str(root), "rgb": "none", "keypoints": "ntu25", "width": 12, "heads": 3}
    settings = GestureSettings.from_arguments({**own, "warmup": 0, **TINY})
    data = load_gesture_tokens(settings)
    run = train_gesture(settings, data)
    assert set(run.predictions().based_on) == {"pose"}
    load_gesture(run, data)
    clip = data.gestures.skeletons("train", 0)[0]
    assert not clip.present[0, 3:5, 7].any() and clip.present[0, :3].all()
    assert (data.poses["v0_0"].places == -1).all()
    assert run.scores().predictor.str.contains("head").sum() == 0  # they would be equal
    with pytest.raises(DataError, match=r"expected a declared layout for 25 joints"):
        skeleton_player(read_index(root), "v0_0")
    figure = skeleton_player(open_index(run, str(root)), "v0_0")  # by the run's own setting
    assert len(figure.frames) == 8


def test_two_channels_are_places_whose_score_is_1(tree):
    root = tree(22, channels=2, change=lambda points: 100 + 10 * points)
    clip = load_gesture_data(open_data(str(root))).skeletons("train", 0)[0]
    assert clip.skeleton.shape[-1] == 3 and (clip.skeleton[..., 2] == 1).all()
    assert (read_clip(read_index(root), "v0_0").skeleton == clip.skeleton.numpy()).all()


def test_scores_above_1_and_fractions_are_converted_and_said(tree):
    root = tree(17, change=lambda points: np.abs(points) % 1 * [600, 600, 6])
    data = load_gesture_data(open_data(str(root)))
    assert data.skeletons("train", 0)[0].skeleton[..., 2].max() == 1
    assert "scores above 1 are taken for 1 (v0, v1, v2, v3, v4 and 3 more)" in data.remarks()
    remarks = load_gesture_data(
        open_data(str(tree(17, change=lambda points: np.abs(points) % 1)))
    ).remarks()
    assert any("coordinates are fractions of a picture of unknown size" in own for own in remarks)


def test_17_joints_in_metres_are_no_picture(tree):
    root = tree(17, change=lambda points: 2 + np.abs(points))
    with pytest.raises(DataError, match=r"neither pixels nor scores; declare joints in space"):
        load_gesture_data(open_data(str(root)))


def test_a_neck_that_a_layout_lacks_is_between_the_shoulders(tree):
    root = tree(133, change=lambda points: 0.5 + 50 * np.abs(points) % 1 * [600, 600, 1])
    data = load_gesture_data(open_data(str(root)))
    assert data.layout is LAYOUTS["mmgesture36"]
    points = np.load(root / "keypoints" / "v0.npy")[0]
    neck = data.skeletons("train", 0)[0].skeleton[0, 0, 1]
    np.testing.assert_allclose(neck[:2], points[5:7, :2].mean(axis=0), rtol=1e-6)
    assert neck[2] == points[5:7, 2].min()
    assert (
        load_gesture_data(open_data(str(root)), keypoints="imigue22").layout is LAYOUTS["imigue22"]
    )
    assert (
        load_gesture_data(open_data(str(root)), keypoints="all").layout
        is LAYOUTS["coco_wholebody133"]
    )
