"""Keypoint layouts: indices as in DATASET.md, bones that make one tree, mirror pairs."""

from pathlib import Path

import numpy as np
import pytest

from imigue_lab.data.keypoint_files.tables import layout_of_file
from imigue_lab.data.skeletons.keypoints import LAYOUTS, contains, subset
from imigue_lab.errors import DataError


def test_imigue22_takes_the_published_columns():
    assert subset("imigue22", "light_hand35") == [*range(8), 15, 16, 17, 18, *range(25, 35)]


def test_imigue22_has_the_published_bones_and_mirror_pairs():
    layout = LAYOUTS["imigue22"]
    arms = [(1, 0), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7)]
    head = [(0, 8), (8, 10), (0, 9), (9, 11)]
    fingers = [(4, tip) for tip in range(12, 17)] + [(7, tip) for tip in range(17, 22)]
    assert sorted(layout.bones) == sorted(arms + head + fingers)
    published = "2-5 3-6 4-7 8-9 10-11 12-17 13-18 14-19 15-20 16-21".split()
    assert sorted(layout.mirror) == sorted(tuple(map(int, p.split("-"))) for p in published)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_bones_reach_every_joint_once(layout):
    children = [child for _, child in layout.bones]
    assert sorted([*children, layout.root]) == list(range(len(layout.joints)))
    reached, seen = [layout.root], set()
    while reached:
        seen.add(joint := reached.pop())
        reached += [child for parent, child in layout.bones if parent == joint]
    assert len(seen) == len(layout.joints)


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("imigue22", "neck"),
        ("openpose137", "neck"),
        ("coco17", "nose"),
        ("ntu25", "spine_shoulder"),
        ("kinect20", "shoulder_center"),
    ],
)
def test_the_root_is_in_the_middle_of_the_body(name, root):
    assert LAYOUTS[name].joints[LAYOUTS[name].root] == root


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_joint_names_are_unique_and_every_right_has_its_left(layout):
    assert len(set(layout.joints)) == len(layout.joints)
    sides = [joint for joint in layout.joints if joint.startswith(("right_", "left_"))]
    if not layout.name.endswith("hand21"):
        assert len(sides) == 2 * len(layout.mirror)
    twice = [layout.mirrored[joint] for joint in layout.mirrored]
    assert twice == list(range(len(layout.joints)))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_bones_of_both_sides_mirror_each_other(layout):
    swap = layout.mirrored
    if not layout.name.endswith("hand21"):
        assert {(swap[parent], swap[child]) for parent, child in layout.bones} == {*layout.bones}


def test_the_137_are_body_face_left_hand_right_hand():
    joints = LAYOUTS["openpose137"].joints
    assert len(joints) == 137
    assert joints[25:95:69] == ("right_jaw_0", "left_pupil")
    assert joints[95] == "left_hand_wrist" and joints[115] == "left_pinky_tip"
    assert joints[116] == "right_hand_wrist" and joints[136] == "right_pinky_tip"


def test_mmgesture36_takes_the_published_columns():
    face = [27, 29, 33, 37, 39, 44, 49, 52, 73, 76, 79, 82]
    left, right = [95, 99, 103, 107, 111, 115], [116, 120, 124, 128, 132, 136]
    columns = [*range(8), 15, 16, 17, 18, *face, *left, *right]
    assert subset("mmgesture36", "openpose137") == columns


def test_the_face_mirrors_as_ibug_numbers_it():
    pairs = {frozenset(pair) for pair in LAYOUTS["openpose137"].mirror}
    face = {
        frozenset((25 + a, 25 + b)) for a, b in ((0, 16), (17, 26), (36, 45), (41, 46), (60, 64))
    }
    assert face | {frozenset((25 + 48, 25 + 54)), frozenset((25 + 68, 25 + 69))} <= pairs


def test_smaller_layouts_are_selected_from_the_137_by_name():
    right, left = [120, 124, 128, 132, 136], [99, 103, 107, 111, 115]
    assert subset("body25", "openpose137") == list(range(25))
    assert subset("light_hand35", "openpose137") == [*range(25), *right, *left]
    assert subset("imigue22", "openpose137") == [*range(8), 15, 16, 17, 18, *right, *left]
    assert subset("body25", "light_hand35") == list(range(25))
    coco = [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]
    assert subset("coco17", "body25") == coco
    assert subset("openpose18", "body25") == [*range(8), *range(9, 15), 15, 16, 17, 18]


def test_smaller_layouts_are_selected_from_coco_wholebody_and_halpe_by_name():
    upper = [6, 8, 10, 5, 7, 9, 2, 1, 4, 3]
    right, left = [116, 120, 124, 128, 132], [95, 99, 103, 107, 111]
    assert subset("imigue22", "coco_wholebody133") == [0, (6, 5), *upper, *right, *left]
    face = [25, 27, 31, 35, 37, 42, 47, 50, 71, 74, 77, 80]
    columns = [0, (6, 5), *upper, *face, 91, *left, 112, *right]
    assert subset("mmgesture36", "coco_wholebody133") == columns
    tips = [joint + 3 for joint in (*right, *left)]  # 9 points more before the face, 6 feet fewer
    assert subset("imigue22", "halpe136") == [0, 18, *upper, *tips]
    assert subset("body25", "halpe26")[8] == 19
    assert subset("body25", "coco_wholebody133")[-6:] == [17, 18, 19, 20, 21, 22]
    with pytest.raises(DataError, match="ntu25, which lacks nose"):
        subset("coco17", "ntu25")


def test_both_orders_of_the_20_kinect_joints_agree():
    order = subset("kinect20", "msraction20")
    kinect, msraction = LAYOUTS["kinect20"], LAYOUTS["msraction20"]
    assert {(order[a], order[b]) for a, b in kinect.bones} == {*msraction.bones}


def test_a_layout_that_lacks_joints_is_refused_by_name():
    with pytest.raises(DataError, match=r"coco17 .* imigue22, which lacks.*left_hip"):
        subset("coco17", "imigue22")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "name"), [("utkinect", "kinect20"), ("msraction3d", "msraction20")]
)
def test_bones_are_those_of_the_recordings(shared, file, name):
    edges = np.load(shared / "data" / "skeleton" / f"{file}.npz")["edges"]
    bones = {frozenset(bone) for bone in LAYOUTS[name].bones}
    assert bones == {frozenset(edge) for edge in edges.tolist()}


def test_both_orders_of_mediapipe_holistic_give_the_smaller_layouts_by_name():
    body, mesh, hands = 33, 468, 42
    column = {name: n for n, name in enumerate(LAYOUTS["mediapipe543"].joints)}
    assert len(column) == body + mesh + hands
    assert column["right_index"] == 20 and column["left_big_toe"] == 31  # of 33, as published
    assert column["chin"] == body + 152 and column["left_hand_wrist"] == body + mesh
    first = LAYOUTS["mediapipe543_face_first"].joints
    assert first[:mesh] == LAYOUTS["mediapipe543"].joints[body : body + mesh]
    assert first[mesh + 21] == "nose" and first[-1] == "right_pinky_tip"
    for name in ("mediapipe543", "mediapipe543_face_first"):
        assert contains(LAYOUTS[name], LAYOUTS["mmgesture36"])
    assert contains(LAYOUTS["mediapipe75"], LAYOUTS["imigue22"])
    assert not contains(LAYOUTS["mediapipe75"], LAYOUTS["mmgesture36"])
    with pytest.raises(DataError, match=r"543 joints, which mediapipe543 and mediapipe543_face_f"):
        layout_of_file(Path("a.npy"), (9, 543, 3))
