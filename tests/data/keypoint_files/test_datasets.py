"""Keypoint files of SMG and BoLD: which columns are read, what is missing, what is refused."""

import numpy as np
import pytest

from imigue_lab.data.keypoint_files.cache import array_path
from imigue_lab.data.keypoint_files.datasets import file_of, of_person, read_joints
from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.errors import DataError


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
