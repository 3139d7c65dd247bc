"""OpenPose's JSON: a column for each joint, missing joints, and errors about invalid files."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.keypoint_files.openpose import read_openpose_json
from imigue_lab.data.keypoint_files.tables import read_recording
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


def test_each_joint_is_read_into_its_column(write):
    skeleton = read_openpose_json(write([person()], [person(shift=100)]))
    assert skeleton.shape == (1, 2, 137, 3)
    assert_allclose(skeleton[0, 0, JOINTS.index("right_pinky_tip")], (137, 273, 0.5))
    assert_allclose(skeleton[0, 1, JOINTS.index("right_jaw_0")], (126, 51, 0.5))


@pytest.mark.parametrize("first", [0, 1])
def test_frames_are_numbered_from_zero_or_one_and_other_files_ignored(write, first):
    folder = write(*([person(shift=n)] for n in range(12)), first=first)
    (folder / "notes.txt").write_text("hello")
    assert_array_equal(read_openpose_json(folder)[0, :, 0, 0], np.arange(12) + 1)


def test_the_person_of_highest_confidence_is_followed_by_position(write):
    one, two = [person(0.5), person(0.9, shift=900)], [person(0.8, shift=901), person(0.4, shift=1)]
    folder = write(one, two, [person(0.4, shift=2)], one[::-1])
    assert_array_equal(read_openpose_json(folder)[0, :, 0, 0], (901, 902, 0, 901))


def test_who_moves_at_a_cut_is_the_same_person_though_another_is_always_seen(write):
    other = person(0.3, shift=5000)
    folder = write(*[[other, person(0.9)]] * 3, *[[person(0.9, shift=900), other]] * 3)
    assert_array_equal(read_openpose_json(folder)[0, :, 0, 0], [1] * 3 + [901] * 3)


@pytest.mark.parametrize("name", ["pose_keypoints", "pose_keypoints_2d"])
def test_the_18_points_of_the_coco_model_and_of_version_1_1_are_read(write, name):
    folder = write(*[[{name: [1.0 + n, 2.0, 0.5] * 18}] for n in range(2)])
    recording = read_recording(folder)
    assert recording.layout.name == "openpose18"
    assert_array_equal(recording.skeleton[0, :, 17], [(1, 2, 0.5), (2, 2, 0.5)])


def test_a_gap_in_the_frame_numbers_says_what_to_write(write):
    folder = write([person()], [], [person()])
    (folder / "0001_000000000001_keypoints.json").unlink()
    with pytest.raises(DataError, match=r'frame 1 of 2 is missing; .* write {"people": \[\]} as'):
        read_openpose_json(folder)


def test_frames_without_persons_and_undetected_hands_are_missing(write):
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
        ("", r"000001_keypoints.json: is not JSON"),
        ("[" * 10**5, "is not JSON"),
        ("[1]", 'no list "people"'),
        ('{"people": [3]}', 'no list "people"'),
        ([{}], "pose_keypoints_2d: expected 75 numbers, got no list"),
        (
            [{"pose_keypoints_2d": [1.0] * 45}],
            "expected 75 numbers, got 45 numbers; run",
        ),
        (
            [person() | {"face_keypoints_2d": [1.0]}],
            "face_.*: expected 210 numbers, got 1",
        ),
        (pose(1, "2", 0.5), "pose_keypoints_2d: expected a number, got '2'"),
        (pose(1, None), "expected a number, got None"),
        (pose(1, True), "expected a number, got True"),
        (
            pose(1, float("nan")),
            r"y of nose: expected a position .* got nan; write 0, 0, 0",
        ),
        (pose(1, 2, float("inf")), "score of nose: expected a score of 0 to 1, got inf"),
        (pose(1, 2, 0.5, 1, 2, -0.5), "score of neck: expected a score of 0 to 1, got -0.5"),
        (pose(1, 1e30), r"y of nose: expected a position in pixels, got 1e\+30"),
        (pose(10**400), "an infinite number"),
    ],
)
def test_an_invalid_frame_is_named_with_its_error(write, content, sentence):
    folder = write([person()], content)
    with pytest.raises(DataError, match=sentence) as refused:
        read_openpose_json(folder)
    assert "_000000000001_keypoints.json: " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_or_duplicate_frame_is_refused(write):
    folder = write(*([person()] for _ in range(5)))
    (folder / "0001_000000000003_keypoints.json").unlink()
    with pytest.raises(DataError, match="frame 3 of 4 is missing"):
        read_openpose_json(folder)
    (folder / "0002_000000000004_keypoints.json").write_text("{}")
    with pytest.raises(DataError, match="frame 4 is duplicated"):
        read_openpose_json(folder)


def test_a_recording_that_starts_late_is_refused(write):
    with pytest.raises(DataError, match="frame 1 of 8 is missing"):
        read_openpose_json(write([person()], [person()], first=7))


def test_a_folder_without_frames_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"contains no \*_keypoints.json"):
        read_openpose_json(tmp_path)
    with pytest.raises(DataError, match="expected a folder"):
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


def test_a_frame_of_too_many_persons_or_bytes_is_refused_at_once(write):
    with pytest.raises(DataError, match="expected up to 1000 persons in a frame, got 200000"):
        read_openpose_json(write([{}] * 200_000))
    with pytest.raises(DataError, match=r"too large .it is larger than 20 MB: 20,000,001 bytes."):
        read_openpose_json(write(" " * 20_000_001))
