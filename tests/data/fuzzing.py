"""Inputs of hypothesis for the readers, shared by the suite and `make soak`.

For any content of a file, a reader returns values or a list of problems, or raises one sentence.
"""

import json
from pathlib import Path

from hypothesis import strategies as st

from imigue_lab.data.index import Survey
from imigue_lab.data.keypoint_files.formats import read_pose, read_rtmpose_json
from imigue_lab.data.keypoint_files.openpose import read_openpose_json
from imigue_lab.data.keypoint_files.tables import read_points
from imigue_lab.data.layouts.tables import read_label_file, read_values
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from tests.data.keypoint_files.pose_files import mediapipe, write

LAYOUT = LAYOUTS["body25"]
WIDTH = 1 + 3 * len(LAYOUT.joints)

odd = st.sampled_from(
    [
        *("", " ", "nan", "inf", "-inf", "1e999", "-1", "0x1f", "٣", "NaN", "None", "1.5", "99"),
        *("55", "\x00", '"', "'", ",", ";", "\ufeff1", "1e-400", "9" * 400, "1_0", "+5", "true"),
    ]
)
cell = odd | st.integers(-5, 400).map(str) | st.floats().map(repr) | st.text(max_size=6)
line = st.lists(cell, min_size=0, max_size=6).map(",".join)
end = st.sampled_from(["\n", "\r\n", "\r", "\n\n", ""])
text = st.tuples(st.lists(line, max_size=8), end).map(lambda t: t[1].join(t[0]))
raw = text.map(lambda t: t.encode("utf-8", "surrogatepass")) | st.binary(max_size=60)

numbers = st.floats(0, 700).map(lambda x: f"{x:.3f}")
row = st.lists(numbers | cell, min_size=WIDTH - 1, max_size=WIDTH + 1).map(",".join)
keypoint_rows = st.lists(row, max_size=3).map("\n".join)

leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
tree = leaf | st.lists(leaf | st.lists(leaf, max_size=3), max_size=4)
points = st.lists(st.floats(0, 500) | leaf, min_size=74, max_size=76)
person = st.dictionaries(
    st.sampled_from(["pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d", "x"]),
    points | tree,
)
frame = st.fixed_dictionaries({"people": st.lists(person, max_size=2) | tree}) | tree
frame_file = frame.map(lambda f: json.dumps(f).encode()) | raw


sized = st.lists(st.lists(leaf, min_size=2, max_size=2), max_size=3) | tree
one = st.fixed_dictionaries({"keypoints": sized, "keypoint_scores": st.lists(leaf) | tree})
rtmpose = st.fixed_dictionaries({"frame_id": leaf, "instances": st.lists(one, max_size=2) | tree})
rtmpose_file = (st.lists(rtmpose, max_size=3) | tree).map(lambda f: json.dumps(f).encode()) | raw

place = st.integers(0, 3000)
damage = st.lists(st.tuples(place, st.binary(max_size=4)), max_size=5)


def one_sentence(error: DataError, file: Path) -> None:
    message = str(error)
    assert "\n" not in message.replace(str(file), "")
    assert file.name in message


def try_label_file(content: bytes, folder: Path) -> None:
    file = folder / "0001_label.csv"
    file.write_bytes(content)
    clips = read_label_file(file, False, Survey(folder, "miga"))
    for clip in clips.values():
        assert 0 <= clip["start"] <= clip["end"]
        assert 0 <= clip["label"] <= 31


def try_outcome_file(content: bytes, folder: Path) -> None:
    file = folder / "labels.csv"
    file.write_bytes(b"video_id,label\n" + content)
    outcomes = read_values(str(file), "label", Survey(folder, "miga"), []).label
    assert all(text == text.strip() for text in outcomes)
    assert all(name != ".." and "/" not in name for name in outcomes.index)


def try_keypoint_rows(rows: str, folder: Path) -> None:
    file = folder / "0001_light.csv"
    header = ",".join(["frame", *(f"c{n}" for n in range(WIDTH - 1))])
    file.write_bytes(f"{header}\n{rows}\n".encode("utf-8", "surrogatepass"))
    try:
        skeleton = read_points(file)
    except DataError as error:
        one_sentence(error, file)
    else:
        assert skeleton.shape[0] == 1
        assert skeleton.shape[2:] == (25, 3)


def read_or_one_sentence(read, path: Path, file: Path):
    """The keypoints at a path; None where an error in one sentence names the file."""
    try:
        return read(path)
    except DataError as error:
        one_sentence(error, file)


def try_pose_file(damage: list[tuple[int, bytes]], folder: Path) -> None:
    file = write(folder / "anna.pose", mediapipe(), frames=1)
    content = bytearray(file.read_bytes())
    for start, other in damage:
        content[start : start + 4] = other
    file.write_bytes(content)
    skeleton = read_or_one_sentence(read_pose, file, file)
    assert skeleton is None or skeleton.shape[2:] == (65, 3)


def try_json_frame(content: bytes, folder: Path) -> None:
    file = folder / "a_000000000000_keypoints.json"
    file.write_bytes(content)
    skeleton = read_or_one_sentence(read_openpose_json, folder, file)
    assert skeleton is None or skeleton.shape == (1, 1, 137, 3)


def try_rtmpose_file(content: bytes, folder: Path) -> None:
    file = folder / "anna.json"
    file.write_bytes(content)
    skeleton = read_or_one_sentence(read_rtmpose_json, file, file)
    assert skeleton is None or (skeleton.shape[0] == 1 and skeleton.shape[3] == 3)


CASES = {
    "label file": (raw, try_label_file),
    "outcome file": (raw, try_outcome_file),
    "keypoint rows": (keypoint_rows, try_keypoint_rows),
    "JSON frame": (frame_file, try_json_frame),
    ".pose file": (damage, try_pose_file),
    "RTMPose file": (rtmpose_file, try_rtmpose_file),
}
