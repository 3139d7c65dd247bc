"""RTMPose's JSON and NTU's .skeleton files."""

import json

import numpy as np
import pytest

from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.data.keypoint_files.units import in_pixels
from imigue_lab.errors import DataError


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
