"""``.pose`` files with the points of OpenPose and MediaPipe, and damaged files."""

import numpy as np
import pytest
from pose_format.pose_header import PoseHeaderComponent
from pose_format.utils.openpose import OpenPose_Components, load_openpose_directory

from imigue_lab.data.keypoint_files.openpose import PARTS
from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from tests.data.keypoint_files.pose_files import BODY, mediapipe, write


def test_points_of_mediapipe_are_read_by_name(tmp_path):
    recording = read_recording(write(tmp_path / "anna.pose", mediapipe()))
    assert recording.layout is LAYOUTS["mediapipe65"]
    assert recording.skeleton.shape == (1, 4, 65, 3)
    found = dict(zip(recording.layout.joints, recording.skeleton[0, 2], strict=True))
    left_hand, right_hand = len(BODY) + 5, len(BODY) + 5 + 21
    expected = {"nose": 0, "left_eye": 2, "right_ear": 8, "left_lip_corner": 9, "right_wrist": 16}
    expected |= {"left_big_toe": 31, "right_heel": 30, "left_hand_wrist": left_hand}
    expected |= {"left_thumb_1": left_hand + 1, "left_thumb_tip": left_hand + 4}
    expected |= {"right_index_1": right_hand + 5, "right_pinky_tip": right_hand + 20}
    for joint, number in expected.items():
        assert found[joint] == pytest.approx([10 * number + 2, number + 1, 0.5]), joint


def test_points_of_openpose_are_those_of_its_json(tmp_path):
    recording = read_recording(write(tmp_path / "anna.pose", OpenPose_Components, axes=2))
    assert recording.layout is LAYOUTS["openpose137"]
    starts = {}
    for part in OpenPose_Components:  # the file's own order of components
        starts[part.name] = sum(len(p.points) for p in OpenPose_Components[: len(starts)])
    columns = [starts[part] + n for part, count in PARTS.items() for n in range(count)]
    assert recording.skeleton[0, 0, :, 0] == pytest.approx(10 * np.array(columns))


@pytest.mark.shared
def test_a_recording_of_openpose_is_the_same_as_pose_file_and_as_json(tmp_path, shared):
    folder = shared / "data" / "openpose" / "poseformat_json"
    with (tmp_path / "real.pose").open("wb") as file:
        load_openpose_directory(str(folder), fps=25, width=640, height=480).write(file)
    found, known = read_recording(tmp_path / "real.pose"), read_recording(folder)
    assert found.layout is known.layout
    np.testing.assert_allclose(found.skeleton, known.skeleton, atol=1e-3)


def test_the_person_of_highest_confidence_is_followed_and_undetected_points_are_zero(tmp_path):
    def change(positions, confidence):
        confidence[1, 1] = 0.4  # lower than the first person's, in this frame alone
        confidence[2, :, 0] = 0
        positions[2, :, 0] = np.nan

    path = write(tmp_path / "two.pose", mediapipe(), persons=2, change=change)
    skeleton = read_recording(path).skeleton[0]
    nose = skeleton[:, LAYOUTS["mediapipe65"].joints.index("nose")]
    assert nose == pytest.approx(
        np.array([[0, 1001, 0.6], [1, 1001, 0.4], [0, 0, 0], [3, 1001, 0.6]]), abs=1e-5
    )


@pytest.mark.parametrize("cut", [0, 3, 40, 700, -1])
def test_a_damaged_file_is_refused(tmp_path, cut):
    path = write(tmp_path / "anna.pose", mediapipe())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"anna\.pose: is not a \.pose file .*write it again"):
        read_recording(path)


def test_another_estimators_points_and_an_empty_recording_are_refused(tmp_path):
    other = [PoseHeaderComponent("BODY_135", ["Nose"], [], [], "XYC")]
    with pytest.raises(DataError, match=r"expected points of OpenPose .*, got BODY_135"):
        read_recording(write(tmp_path / "other.pose", other, axes=2))
    with pytest.raises(DataError, match="contains no frame with a person"):
        read_recording(write(tmp_path / "empty.pose", mediapipe(), frames=0))
    with pytest.raises(DataError, match="contains no LEFT_HAND_LANDMARKS WRIST"):
        body = [part for part in mediapipe() if part.name == "POSE_LANDMARKS"]
        read_recording(write(tmp_path / "body.pose", body))
