"""Keypoints of one's own video: by file, by a stand-in for the estimator, by joint names."""

import sys
import types

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS, subset
from imigue_lab.data.videos.video import rates_of, write_video
from imigue_lab.errors import DataError, SettingsError
from imigue_lab.features.poses import (
    estimate,
    find_poses,
    fit_layout,
    open_estimator,
    to_imigue22,
)

JOINTS = LAYOUTS["imigue22"].joints


@pytest.fixture
def video(tmp_path):
    pictures = np.zeros((6, 48, 64, 3), np.uint8)
    pictures[..., 0] = 200  # red
    write_video(tmp_path / "anna.mp4", pictures, 25)
    return tmp_path / "anna.mp4"


def whole_body(persons=1, score=0.9):
    """Point n of person m lies at (10 n, 1000 m + n)."""
    n = np.arange(133.0)
    places = np.stack([np.stack([10 * n, 1000 * m + n], axis=-1) for m in range(persons)])
    return places, np.full((persons, 133), score)


def test_133_points_become_22_by_name():
    places, scores = whole_body()
    points = dict(zip(JOINTS, to_imigue22(places, scores)[0].tolist(), strict=True))
    # COCO-WholeBody counts: 0 nose, 2 right eye, 5 and 6 shoulders (left first), 10 right wrist;
    # hands from 91 (left) and 112 (right): the tips are 4, 8, 12, 16, 20 of each.
    expected = {"nose": 0, "right_eye": 2, "left_eye": 1, "right_ear": 4, "right_wrist": 10}
    expected |= {"left_shoulder": 5, "right_shoulder": 6, "left_elbow": 7}
    expected |= {"left_thumb_tip": 95, "left_pinky_tip": 111}
    expected |= {"right_thumb_tip": 116, "right_index_tip": 120, "right_pinky_tip": 132}
    for joint, number in expected.items():
        assert points[joint] == pytest.approx([10 * number, number, 0.9]), joint
    assert points["neck"] == pytest.approx([55, 5.5, 0.9])


def test_a_low_score_joint_is_missing_and_the_neck_needs_both_shoulders():
    places, scores = whole_body()
    scores[0, [0, 6]] = 0.29
    scores[0, 10] = 1.7
    points = dict(zip(JOINTS, to_imigue22(places, scores)[0].tolist(), strict=True))
    assert points["nose"] == points["right_shoulder"] == points["neck"] == [0, 0, 0]
    assert points["right_wrist"][2] == 1


def test_the_estimator_gets_bgr_and_the_same_person_is_tracked(video):
    seen = []

    def infer(picture):
        seen.append(picture)
        rng = np.random.default_rng(0)
        near = np.stack([rng.uniform(0, 20, 133), rng.uniform(0, 20, 133)], axis=-1)
        both = np.stack([near, 2 * near + 400]), np.stack([np.full(133, 0.5), np.full(133, 0.9)])
        if len(seen) == 4:
            return np.zeros((0, 133, 2)), np.zeros((0, 133))
        if len(seen) == 5:
            return both[0] + 1, both[1][::-1]
        order = slice(None, None, 1 if len(seen) % 2 else -1)  # the estimator keeps no order
        return both[0][order], both[1][order]

    recording = estimate(video, infer)
    assert seen[0][..., 2].mean() > 150 > seen[0][..., 0].mean()
    x = recording.skeleton[0, :, JOINTS.index("nose"), 0]
    assert (x[[0, 1, 2, 4, 5]] > 400).all()  # the surer one, also where its scores are lower
    assert (recording.skeleton[0, 3] == 0).all()


def test_rtmlib_is_imported_only_when_used(video, monkeypatch):
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(SettingsError, match=r"rtmlib is not installed; run `pip install"):
        find_poses(video, "rtmlib", LAYOUTS["imigue22"])
    asked = {}

    class Wholebody:
        def __init__(self, **words):
            asked.update(words)

        def __call__(self, picture):
            return whole_body()

    monkeypatch.setitem(sys.modules, "rtmlib", types.SimpleNamespace(Wholebody=Wholebody))
    found = find_poses(video, "rtmlib", LAYOUTS["imigue22"])
    assert found[0].shape == (6, 22, 3)
    assert found[1] == ["keypoints: estimated by rtmlib (balanced)"]
    folder = video.parent
    for name, size in (("det", (1, 3, 640, 480)), ("pose", (1, 3, 256, 192))):
        save_network(folder / f"{name}.onnx", size)
    open_estimator(f"rtmlib:{folder}/det.onnx,{folder}/pose.onnx")
    assert asked["det_input_size"] == (480, 640) and asked["pose_input_size"] == (192, 256)
    assert asked["pose"] == str(folder / "pose.onnx")


def save_network(path, shape):
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)
    node = helper.make_node("Identity", ["input"], ["output"])
    onnx.save(helper.make_model(helper.make_graph([node], "g", [given], [out])), str(path))


@pytest.mark.parametrize("words", ["openpose", "rtmlib:one.onnx", "rtmlib:a,b,c"])
def test_an_unknown_estimator_is_refused(words):
    with pytest.raises(SettingsError, match="expected an estimator"):
        open_estimator(words)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(DataError, match=r"det.onnx: no such weights"):
        open_estimator(f"rtmlib:{tmp_path}/det.onnx,{tmp_path}/pose.onnx")


def drawn(layout, frames=6):
    points = np.random.default_rng(0).uniform(5, 40, (1, frames, len(LAYOUTS[layout].joints), 3))
    points[..., 2] = 0.8
    return points.astype(np.float32)


@pytest.mark.parametrize("layout", ["light_hand35", "body25", "imigue22", "coco17", "mediapipe65"])
@pytest.mark.parametrize("kind", [".csv", ".npy"])
def test_the_layout_of_a_file_follows_from_its_number_of_joints_or_is_declared(video, layout, kind):
    points = drawn(layout)
    path = video.with_name(f"mine{kind}")
    if layout == "body25":  # has as many joints as ntu25
        (path.parent / "keypoints.json").write_text('{"layout": "body25"}')
    if kind == ".npy":
        np.save(path, points[0])
    else:
        columns = ["frame"] + [f"c{n}" for n in range(points[0, 0].size)]
        rows = np.column_stack([np.arange(6), points.reshape(6, -1)])
        pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    found = find_poses(video, str(path), LAYOUTS["imigue22"])
    wrist = LAYOUTS[layout].joints.index("right_wrist")
    np.testing.assert_allclose(found[0][:, JOINTS.index("right_wrist")], points[0, :, wrist])
    lacking = [joint for joint in JOINTS if joint not in LAYOUTS[layout].joints]
    assert any("missing in all frames" in remark for remark in found[1]) == bool(
        set(lacking) - {"neck"}
    )


@pytest.mark.shared
def test_a_folder_of_openpose_json_is_read_directly(tmp_path, shared):
    folder = shared / "data" / "openpose" / "poseformat_json"
    write_video(tmp_path / "v.mp4", np.zeros((93, 48, 64, 3), np.uint8), 25)
    found = find_poses(tmp_path / "v.mp4", str(folder), LAYOUTS["imigue22"])
    assert found[0].shape == (93, 22, 3)
    assert (found[0][:, JOINTS.index("nose"), 2] > 0).all()


def test_the_neck_of_coco_is_the_middle_of_the_shoulders():
    points = drawn("coco17")
    joints = LAYOUTS["coco17"].joints
    points[0, 2, joints.index("left_shoulder")] = 0
    fitted, _ = fit_layout(Recording(points, LAYOUTS["coco17"]), LAYOUTS["imigue22"])
    pair = [joints.index("right_shoulder"), joints.index("left_shoulder")]
    neck = fitted[0, :, JOINTS.index("neck")]
    np.testing.assert_allclose(neck[0], points[0, 0, pair].mean(axis=0), rtol=1e-6)
    assert (neck[2] == 0).all()


def test_a_fuller_layout_gives_the_same_as_its_subset():
    points = drawn("openpose137")
    fitted, remarks = fit_layout(Recording(points, LAYOUTS["openpose137"]), LAYOUTS["imigue22"])
    np.testing.assert_array_equal(fitted, points[:, :, subset("imigue22", "openpose137")])
    assert remarks == []


def test_keypoints_that_do_not_match_the_video_or_the_layout_are_refused(video):
    path = video.with_name("mine.npy")
    np.save(path, drawn("imigue22", frames=9)[0])
    with pytest.raises(DataError, match=r"expected 6 frames as in anna.mp4, got 9"):
        find_poses(video, str(path), LAYOUTS["imigue22"])
    with pytest.raises(DataError, match="contain 5 of the 22 joints of imigue22"):
        fit_layout(Recording(drawn("left_hand21"), LAYOUTS["left_hand21"]), LAYOUTS["imigue22"])
    with pytest.raises(DataError, match="no such keypoints"):
        find_poses(video, str(video.with_name("none.npy")), LAYOUTS["imigue22"])
    video.with_name("odd.csv").write_text("frame,a,b\n0,1,2\n")
    with pytest.raises(DataError, match="got 3 columns"):
        find_poses(video, str(video.with_name("odd.csv")), LAYOUTS["imigue22"])


def test_without_a_source_there_are_no_poses(video):
    assert find_poses(video, "", LAYOUTS["imigue22"]) == (None, [])


def test_keypoints_made_at_another_rate_are_refused_with_the_likely_cause(tmp_path):
    write_video(tmp_path / "anna.mp4", np.zeros((240, 32, 32, 3), np.uint8), 30)
    np.save(tmp_path / "anna.npy", np.full((200, 22, 3), 0.5, np.float32))
    complaint = r"expected 240 frames .*, got 200 \(as at 25 frames a second of 30"
    with pytest.raises(DataError, match=complaint):
        find_poses(tmp_path / "anna.mp4", str(tmp_path / "anna.npy"), LAYOUTS["imigue22"])
    assert rates_of(220, 240) == ""
