"""OpenPose's JSON: the right column for each joint, missing ones, and sentences about bad files."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.keypoint_files.openpose import read_openpose_json
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.data.skeletons.keypoints import LAYOUTS, subset
from imigue_lab.errors import DataError

JOINTS = LAYOUTS["openpose137"].joints
LISTS = {"pose": 75, "face": 210, "hand_left": 63, "hand_right": 63}


def person(score=0.5, shift=0.0):
    """Joint number n at (n + shift + 1, 2n + 1)."""
    points = [(n + shift + 1, 2 * n + 1, score) for n in range(137)]
    numbers = [number for point in points for number in point]
    made = {}
    for part, length in LISTS.items():
        made[f"{part}_keypoints_2d"], numbers = numbers[:length], numbers[length:]
    return made


@pytest.fixture
def write(tmp_path):
    """Writes frames, each a list of persons or the text of the file; returns the folder."""

    def frames(*frames, first=0):
        for number, content in enumerate(frames, first):
            text = content if isinstance(content, str) else json.dumps({"people": content})
            (tmp_path / f"0001_{number:012d}_keypoints.json").write_text(text)
        return tmp_path

    return frames


def test_each_joint_stands_in_its_column(write):
    skeleton = read_openpose_json(write([person()], [person(shift=100)]))
    assert skeleton.shape == (1, 2, 137, 3)
    assert_allclose(skeleton[0, 0, JOINTS.index("right_pinky_tip")], (137, 273, 0.5))
    assert_allclose(skeleton[0, 1, JOINTS.index("right_jaw_0")], (126, 51, 0.5))


@pytest.mark.parametrize("first", [0, 1])
def test_frames_are_counted_from_zero_or_one_and_other_files_left_alone(write, first):
    folder = write(*([person(shift=n)] for n in range(12)), first=first)
    (folder / "notes.txt").write_text("hello")
    assert_array_equal(read_openpose_json(folder)[0, :, 0, 0], np.arange(12) + 1)


def test_the_surest_person_is_taken(write):
    folder = write([person(0.3), person(0.9, shift=50)], [person(0.4)])
    assert_array_equal(read_openpose_json(folder)[0, :, 0, 0], (51, 1))
    both = read_openpose_json(folder, persons=2)
    assert_array_equal(both[:, :, 0, 0], [(51, 1), (1, 0)])


def test_a_frame_without_persons_is_missing_and_hands_not_looked_for_too(write):
    without = person() | {"hand_left_keypoints_2d": []}
    del without["hand_right_keypoints_2d"]
    found = present(read_openpose_json(write([], [without])))[0]
    assert not found[0].any()
    assert found[1, :95].all() and not found[1, 95:].any()


def test_a_joint_of_score_zero_or_at_zero_is_missing_in_all_three(write):
    odd = person()
    odd["pose_keypoints_2d"][:6] = [5, 6, 0, 0, 0, 0.4]
    assert not read_openpose_json(write([odd]))[0, 0, :2].any()


def pose(*numbers):
    return [person() | {"pose_keypoints_2d": [*numbers, *[0.5] * (75 - len(numbers))]}]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", r"000001_keypoints.json: is no JSON"),
        ("[" * 10**5, "is no JSON"),
        ("[1]", 'no list "people"'),
        ('{"people": [3]}', 'no list "people"'),
        ([{}], "pose_keypoints_2d holds no list, expected 75"),
        ([{"pose_keypoints_2d": [1.0] * 54}], "holds 54 numbers, expected 75; run OpenPose with"),
        ([person() | {"face_keypoints_2d": [1.0]}], "face_keypoints_2d holds 1 numbers, expected"),
        (pose(1, "2", 0.5), "pose_keypoints_2d holds '2', no number"),
        (pose(1, None), "holds None, no number"),
        (pose(1, True), "holds True, no number"),
        (pose(1, float("nan")), r"y of nose is nan, expected a place in pixels; write 0, 0, 0"),
        (pose(1, 2, float("inf")), "score of nose is inf, expected a score"),
        (pose(1, 2, 0.5, 1, 2, -0.5), "score of neck is -0.5"),
        (pose(1, 1e30), r"y of nose is 1e\+30"),
        (pose(10**400), "a number without end"),
    ],
)
def test_a_bad_frame_is_named_with_what_is_wrong(write, content, sentence):
    folder = write([person()], content)
    with pytest.raises(DataError, match=sentence) as refused:
        read_openpose_json(folder)
    assert "_000000000001_keypoints.json: " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_frame_that_is_absent_or_there_twice_stops(write):
    folder = write(*([person()] for _ in range(5)))
    (folder / "0001_000000000003_keypoints.json").unlink()
    with pytest.raises(DataError, match="frame 3 of 4 is absent"):
        read_openpose_json(folder)
    (folder / "0002_000000000004_keypoints.json").write_text("{}")
    with pytest.raises(DataError, match="frame 4 is there twice"):
        read_openpose_json(folder)


def test_a_recording_that_starts_late_stops(write):
    with pytest.raises(DataError, match="frame 1 of 8 is absent"):
        read_openpose_json(write([person()], [person()], first=7))


def test_a_folder_without_frames_stops(tmp_path):
    with pytest.raises(DataError, match=r"holds no \*_keypoints.json"):
        read_openpose_json(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        read_openpose_json(tmp_path / "nowhere")


@pytest.mark.shared
def test_a_real_signer_reads_into_137_and_22_joints(shared):
    skeleton = read_openpose_json(shared / "data" / "openpose" / "poseformat_json")
    assert skeleton.shape == (1, 93, 137, 3)
    assert_allclose(skeleton[0, 0, 0], (158.328995, 70.6147, 0.901064))
    found = present(skeleton)[0]
    assert not found[:, JOINTS.index("left_ankle")].any()
    assert found[:, JOINTS.index("nose")].all()
    small = skeleton[:, :, subset("imigue22", "openpose137")]
    assert not small[~present(small)].any()
    assert 0 < (~present(small)).sum() < small[..., 0].size / 2
    joints = LAYOUTS["imigue22"].joints
    right, left, neck = (small[0, :, joints.index(j)] for j in ("right_eye", "left_eye", "neck"))
    assert (right[:, 0] < left[:, 0]).all() and (right[:, 1] < neck[:, 1]).all()
