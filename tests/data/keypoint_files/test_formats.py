"""Files of RTMPose, NTU, SMG and BoLD, ``.pose`` files: what is read, missing, and refused."""

import json

import numpy as np
import pytest
from pose_format.pose_header import PoseHeaderComponent
from pose_format.utils.openpose import OpenPose_Components, load_openpose_directory

from imigue_lab.data.keypoint_files.cache import array_path
from imigue_lab.data.keypoint_files.clips import in_pixels
from imigue_lab.data.keypoint_files.formats import file_of, of_person, read_joints
from imigue_lab.data.keypoint_files.openpose import PARTS
from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from tests.data.keypoint_files.pose_files import BODY, mediapipe, write


def instance(x, score=0.5, joints=17):
    places = [[x + n, 50.0 + 2 * n] for n in range(joints)]
    return {"keypoints": places, "keypoint_scores": [score] * joints, "bbox": [0, 0, 1, 1]}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("joints", "name"), [(17, "coco17"), (26, "halpe26"), (133, "coco_wholebody133")]
)
def test_rtmposes_json_is_one_person_in_the_layout_of_its_joints(tmp_path, whole, joints, name):
    people = [instance(900, 0.3, joints), instance(100, 6.5, joints)]
    frames = [
        {"frame_id": 1, "instances": people},
        {"frame_id": 2, "instances": []},
        {"frame_id": 3, "instances": people[::-1]},
    ]
    content = {"meta_info": {}, "instance_info": frames} if whole else frames
    (tmp_path / "a.json").write_text(json.dumps(content))
    recording = in_pixels(read_recording(tmp_path / "a.json"), None)
    assert recording.layout.name == name
    assert recording.skeleton[0, :, 0].tolist() == [[100, 50, 1], [0, 0, 0], [100, 50, 1]]
    assert recording.remarks == ("scores above 1 are taken for 1",)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "expected instances of RTMPose"),
        ({"people": []}, "expected instances of RTMPose .*; see docs/data.md"),
        ([{"instances": [{"keypoints": [[1, 2]], "keypoint_scores": [1, 1]}]}], "keypoints of"),
        ([{"frame_id": n, "instances": [instance(5)]} for n in (0, 2)], "in frames 0 to 2 of 2"),
        ([{"instances": [instance(5), instance(5, joints=26)]}], r"got \[17, 26\] joints in"),
        ([{"instances": [instance(5, float("nan"))]}], "score of joint 0: expected a score"),
        ([{"frame_id": float("inf"), "instances": []}], "cannot convert float infinity"),
        ([{"instances": [instance(10**400)]}], "int too large to convert"),
        ([{"instances": [instance(5, joints=10**5)]}, *[{"instances": []}] * 10**4], "joints in"),
    ],
)
def test_another_json_is_refused_in_a_sentence(tmp_path, content, sentence):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=sentence):
        read_recording(tmp_path / "a.json")


def body(name, x):
    joints = [f"{x + n} 1.5 3.0 0 0 0 0 0 0 0 0 2" for n in range(25)]
    return [f"{name} 0 1 1 1 1 0 0.1 0.2 2", "25", *joints]


def test_a_frame_of_a_million_persons_is_refused_before_they_are_read(tmp_path):
    (tmp_path / "rtm.json").write_text('[{"instances": [' + ", ".join(["{}"] * 10**6) + "]}]")
    with pytest.raises(DataError, match=r"got none .1000000 persons in a frame"):
        read_recording(tmp_path / "rtm.json")
    bodies = "".join(f"{number} 0\n1\n0 0 0\n" for number in range(2000))
    (tmp_path / "kinect.skeleton").write_text(f"1\n2000\n{bodies}")
    with pytest.raises(DataError, match=r"got a file without .2000 bodies"):
        read_recording(tmp_path / "kinect.skeleton")


def test_ntus_bodies_are_the_two_that_move_most_in_the_order_of_their_ids(tmp_path):
    path, lines = tmp_path / "S001C001P001R001A007.skeleton", ["3"]
    for frame in range(3):
        lines += [
            "3",
            *body("72057594", 0.1 * frame),
            *body("still", 5),
            *body("71", 9 - 2 * frame),
        ]
    path.write_text("\n".join(lines))
    recording = read_recording(path)
    assert recording.layout.name == "ntu25" and recording.skeleton.shape == (2, 3, 25, 3)
    np.testing.assert_allclose(recording.skeleton[:, :, 0, 0], [[9, 7, 5], [0, 0.1, 0.2]])
    path.write_text("\n".join(lines[:40]))
    with pytest.raises(DataError, match="expected bodies of 25 joints as in NTU"):
        read_recording(path)


def test_bodies_that_would_fill_the_memory_with_zeros_are_refused(tmp_path):
    bodies = "".join(f"body{n}\n0\n" for n in range(1000))
    nobody = "0\n" * 19_999
    (tmp_path / "S1.skeleton").write_text(f"20000\n1000\n{bodies}{nobody}")
    with pytest.raises(DataError, match=r"bodies of 25 joints .*\(1000 bodies in 20000 frames\)"):
        read_recording(tmp_path / "S1.skeleton")


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


@pytest.fixture
def skeletons(tmp_path):
    """Four frames of 25 joints as SMG writes them: value = 100 frame + joint + channel / 100."""
    frame, joint, channel = np.ogrid[1:5, 0:25, 0:11]
    table = 100.0 * frame + joint + channel / 100
    table[2] = 0
    path = tmp_path / "Sample0007_skeleton.csv"
    np.savetxt(path, table.reshape(4, -1), "%.4f", ",")
    return path, table


def test_a_skeleton_has_the_world_coordinates_of_each_joint(skeletons):
    path, table = skeletons
    recording = read_recording(path)
    assert recording.layout.name == "ntu25"
    assert recording.skeleton.shape == (1, 4, 25, 3)
    np.testing.assert_allclose(recording.skeleton[0], table[..., :3], rtol=1e-6)
    assert not recording.skeleton[0, 2].any()  # an all-zero frame is missing


@pytest.mark.parametrize(
    ("text", "found"),
    [("1,2,3\n", "got 3 columns"), ("", "got 1 columns"), ("a,b\n", "is not a table")],
)
def test_another_table_is_no_skeleton(tmp_path, text, found):
    (tmp_path / "Sample0007_skeleton.csv").write_text(text)
    with pytest.raises(DataError, match=found):
        read_recording(tmp_path / "Sample0007_skeleton.csv")


@pytest.fixture
def joints(tmp_path):
    """Frames 31 to 36: person 4 in all but the third, person 9 in the last three."""
    rows = [(frame, 4) for frame in (31, 32, 34, 35, 36)] + [(frame, 9) for frame in (34, 35, 36)]
    table = np.array([(*row, *np.full(54, 10.0 * row[1] + row[0])) for row in sorted(rows)])
    table[:, 4::3] = 0.8  # scores
    table[0, 4] = 0.05  # of the nose of person 4 in the first frame
    np.save(tmp_path / "0012.npy", table)
    return tmp_path / "0012.npy"


def test_each_person_of_a_film_has_the_frames_from_its_first_to_its_last(joints):
    recording = read_recording(of_person(joints, 4))
    points = recording.skeleton[0]
    assert (recording.layout.name, points.shape) == ("openpose18", (6, 18, 3))
    assert points[:, 5].any(axis=1).tolist() == [True, True, False, True, True, True]
    np.testing.assert_allclose(points[1, 5], (72, 72, 0.8))
    assert not points[0, 0].any()  # a score below 0.1
    other = read_recording(of_person(joints, 9)).skeleton[0]
    assert other[:, 5].any(axis=1).tolist() == [False, False, False, True, True, True]
    assert not read_recording(of_person(joints, 5)).skeleton.any()


def test_persons_of_a_film_have_arrays_of_their_own_that_follow_the_file(joints):
    first, second = (of_person(joints, person) for person in (4, 9))
    assert file_of(first) == file_of(second) == file_of(joints) == joints
    before = array_path(first, read_joints)
    assert before != array_path(second, read_joints)
    np.save(joints, np.load(joints)[:-1])
    assert array_path(first, read_joints) != before


def test_other_arrays_are_no_joints_of_bold(tmp_path, joints):
    np.save(tmp_path / "0013.npy", np.zeros((5, 54)))
    with pytest.raises(DataError, match=r"0013\.npy: expected rows of frame, person and 18 joints"):
        read_recording(of_person(tmp_path / "0013.npy", 0))
    np.save(joints, np.load(joints)[[2, 0, 4]])
    with pytest.raises(DataError, match="expected rows in the order of frames"):
        read_recording(of_person(joints, 4))
