"""Keypoint files that one program or data set alone writes, beside those of iMiGUE and OpenPose.

RTMPose (mmpose, rtmlib): {"instance_info": [{"frame_id", "instances": [{"keypoints": [[x, y], ...],
"keypoint_scores": [...]}, ...]}, ...]}, or that list alone.

NTU's ``.skeleton``: the number of frames; for each frame the number of bodies; for each body a line
that begins with its id, the number of joints, and a line a joint that begins with x, y, z.

``.pose``, the format of sign-language research, by the library `pose-format`: components of named
points. Two estimators are supported: OpenPose, with the points of its JSON, and MediaPipe Holistic,
of which body and hands are read.

SMG's skeletons and BoLD's joints: see their readers. Letters in shapes: M persons, T frames, V
joints.
"""

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from imigue_lab.data.keypoint_files.openpose import (
    MOST_PEOPLE,
    PARTS,
    PEAK,
    Person,
    checked,
    tracked,
)
from imigue_lab.data.skeletons.geometry import Skeleton
from imigue_lab.data.skeletons.keypoints import FINGERS, LAYOUTS, Layout
from imigue_lab.data.workspace import map_array
from imigue_lab.errors import RECORDING, DataError, bounded, some, unreadable

SKELETON = "_skeleton.csv"  # the ending of SMG's files
KINECT = 25  # joints of a row; each has x, y, z in metres, 4 of its rotation, 4 pixels
JOINTS = 18  # of BoLD, in the order of `openpose18`
LONGEST = 1e6  # frames
SCORED = 0.1  # below it a joint is missing, as the authors of BoLD's baseline read it
LEAVE = "leave its clip out, as the data set's list of missing skeletons"


def read_rtmpose_json(path: Path) -> Float32[np.ndarray, "1 T V 3"]:
    """The person of highest scores, followed by position; frames without it are missing.

    Raises DataError for another form, a missing frame, or persons of several numbers of joints.
    """
    try:
        content = json.loads(bounded(path, RECORDING).read_text(encoding="utf-8"))
        frames = content["instance_info"] if isinstance(content, dict) else content
        numbers = [int(frame.get("frame_id", number)) for number, frame in enumerate(frames)]
        most = max((len(frame["instances"]) for frame in frames), default=0)
        if not numbers or most > MOST_PEOPLE:
            raise ValueError(f"{most} persons in a frame" if numbers else "no frame")
        people = [[as_person(one) for one in frame["instances"]] for frame in frames]
    except Exception as error:  # of any other content
        form = '{"instance_info": [{"frame_id": 0, "instances": [...]}, ...]}'
        what = f"expected instances of RTMPose as {form}, got none"
        raise unreadable(path, what, error, "see docs/data.md") from None
    joints = {len(person) for own in people for person in own}
    whole = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if len(joints) != 1 or not whole or len(numbers) * max(joints) > RECORDING:
        found = f"{sorted(joints)} joints in frames {numbers[0]} to {numbers[-1]} of {len(numbers)}"
        raise DataError(
            f"{path}: expected all frames in order, with empty instances where nobody is seen, and"
            f" persons of one layout, got {found}; run the estimator again"
        )
    names = Layout("", tuple(f"joint {number}" for number in range(max(joints))), (), ())
    people = [[checked(p[None], names, f"{path}", PEAK)[0] for p in own] for own in people]
    return tracked(people, max(joints))


def as_person(instance: dict[str, Any]) -> np.ndarray:
    places = np.array(instance["keypoints"], dtype=np.float64)
    scores = np.array(instance["keypoint_scores"], dtype=np.float64)
    if places.shape != (len(scores), 2):
        raise ValueError(f"{places.shape} keypoints of {scores.shape} scores")
    return np.concatenate([places, scores[:, None]], axis=-1)


def read_ntu_skeleton(path: Path) -> Float32[np.ndarray, "M T 25 3"]:
    """The one or two bodies that move most, in the order of their ids; `ntu25`.

    Raises DataError for another form, or a file without a body.
    """
    try:
        lines = iter(bounded(path, RECORDING).read_text(encoding="utf-8-sig").split("\n"))
        frames = int(next(lines))
        found: dict[str, dict[int, Person]] = defaultdict(dict)
        for frame in range(frames):
            for _ in range(int(next(lines))):
                name = next(lines).split()[0]
                found[name][frame] = np.array([place(lines) for _ in range(int(next(lines)))])
        if len(found) > MOST_PEOPLE or len(found) * frames > 10 * LONGEST:
            raise ValueError(f"{len(found)} bodies in {frames} frames")
        bodies = np.zeros((len(found), frames, 25, 3), np.float32)
        for body, name in enumerate(sorted(found)):
            for frame, joints in found[name].items():
                bodies[body, frame] = joints
        if not found or not np.isfinite(bodies).all():
            raise ValueError("no body, or a number that is not finite")
    except (OSError, ValueError, IndexError, StopIteration) as error:
        what = "expected bodies of 25 joints as in NTU RGB+D, got a file without"
        raise unreadable(path, what, error, LEAVE) from None
    motion = [np.std(body[body.any(axis=(1, 2))], axis=0).sum() for body in bodies]
    return bodies[sorted(np.argsort(motion)[-2:])]


def place(lines: Iterator[str]) -> list[float]:
    x, y, z, *_ = map(float, next(lines).split())
    return [x, y, z]


def read_pose(path: Path) -> Skeleton:
    """The person of highest confidence, followed by position, as `openpose137` or `mediapipe65`.

    Raises DataError for no ``.pose`` file, no frames, or points of another estimator.
    """
    from pose_format import Pose

    try:
        pose = Pose.read(bounded(path, RECORDING).read_bytes())
        positions = np.ma.getdata(pose.body.data)  # (T, M, P, axes)
        confidence = np.asarray(pose.body.confidence)  # (T, M, P)
        points = [(part.name, point) for part in pose.header.components for point in part.points]
        if positions.shape[:3] != confidence.shape or confidence.shape[2:] != (len(points),):
            raise ValueError(f"{confidence.shape} confidences of {positions.shape} positions")
    except Exception as error:  # the library validates nothing: damage raises any exception
        raise unreadable(path, "is not a .pose file", error, "write it again") from None
    if not confidence.shape[0] or not confidence.shape[1]:
        raise DataError(f"{path}: contains no frame with a person; write it again")
    column = {name: number for number, name in enumerate(points)}
    parts = {component for component, _ in column}
    if set(PARTS) <= parts:
        layout = "openpose137"  # points of a component are in OpenPose's order
        own = {part: [name for name in column if name[0] == part] for part in PARTS}
        names = [name for part, count in PARTS.items() for name in own[part][:count]]
    elif "POSE_LANDMARKS" in parts:
        layout = "mediapipe65"
        names = [mediapipe_name(joint) for joint in LAYOUTS[layout].joints]
    else:
        what = "points of OpenPose or of MediaPipe Holistic"
        raise DataError.expected(path, what, some(sorted(parts)), "convert the file")
    absent = [point for point in names if point not in column]
    if absent:
        raise DataError(f"{path}: contains no {' '.join(absent[0])}; write the file again")
    values = np.concatenate([positions[..., :2], confidence[..., None]], axis=-1)
    values = values[:, :, [column[name] for name in names]].astype(np.float64)
    values[values[..., 2] == 0] = 0  # undetected points may have any value
    persons = [checked(person, LAYOUTS[layout], f"{path}") for person in values.swapaxes(0, 1)]
    return tracked([list(frame) for frame in np.stack(persons, axis=1)], len(names))


def mediapipe_name(joint: str) -> tuple[str, str]:
    """Component and point; joints of a finger are numbered from the palm, as in MediaPipe."""
    side, _, part = joint.partition("_")
    finger, _, number = part.partition("_")
    if part == "hand_wrist":
        return f"{side.upper()}_HAND_LANDMARKS", "WRIST"
    if finger in FINGERS and number:
        steps = "CMC MCP IP TIP" if finger == "thumb" else "MCP PIP DIP TIP"
        step = dict(zip(("1", "2", "3", "tip"), steps.split(), strict=True))[number]
        named = finger.upper() if finger == "thumb" else f"{finger.upper()}_FINGER"
        return f"{side.upper()}_HAND_LANDMARKS", f"{named}_{step}"
    if part == "lip_corner":
        return "POSE_LANDMARKS", f"MOUTH_{side.upper()}"
    return "POSE_LANDMARKS", joint.replace("big_toe", "foot_index").upper()


def read_skeleton_csv(path: Path) -> Float32[np.ndarray, "1 T 25 3"]:
    """A file of `SKELETON`: no header, 275 columns a frame; `ntu25` in metres of the world.

    Frames of zeros are missing. Raises DataError if a line has another form.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of an empty file; it is refused below
            own = bounded(path, RECORDING)
            table = np.loadtxt(own, np.float32, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise unreadable(path, "is not a table", error, "copy it again") from None
    if table.shape[1] != 11 * KINECT or not np.isfinite(table).all():
        what = f"{11 * KINECT} finite numbers a frame, 11 of each joint"
        raise DataError.expected(path, what, f"{table.shape[1]} columns", "copy it again")
    return np.ascontiguousarray(table.reshape(1, -1, KINECT, 11)[..., :3])


def of_person(joints: Path, person: int) -> Path:
    """The name of one person's joints in a file of several: ``0012.npy@3``."""
    return joints.with_name(f"{joints.name}@{person}")


def file_of(path: Path) -> Path:
    """The file itself, of a name by `of_person`."""
    return path.with_name(path.name.rpartition("@")[0]) if path.suffix.startswith(".npy@") else path


def open_joints(path: Path) -> tuple[Float[np.ndarray, "rows columns"], int]:
    """BoLD's ``.npy``, mapped, and its number of frames from the first to the last row.

    A row is one person in one frame: frame, person, and x, y, score of 18 joints. Frames have any
    first number; those without anybody are absent.
    """
    rows = map_array(path)
    if rows.shape[1:] != (2 + 3 * JOINTS,) or not len(rows) or rows.dtype.kind != "f":
        what = f"rows of frame, person and {JOINTS} joints"
        raise DataError.expected(path, what, rows.shape, "copy it again")
    if not 0 <= (last := rows[-1, 0] - rows[0, 0]) < LONGEST:
        raise DataError(f"{path}: expected rows in the order of frames; copy the file again")
    return rows, int(last) + 1


def read_joints(path: Path) -> Float32[np.ndarray, "1 T 18 3"]:
    """The joints of one person, named by `of_person`: `openpose18`, zeros where there is none."""
    rows, frames = open_joints(file_of(path))
    own = np.array(rows[rows[:, 1] == int(path.name.rpartition("@")[2])])
    numbers = own[:, 0] - rows[0, 0]
    if not ((numbers >= 0) & (numbers < frames)).all():
        raise DataError(f"{path}: expected rows in the order of frames; copy the file again")
    points = np.zeros((frames, JOINTS, 3))
    points[numbers.astype(int)] = own[:, 2:].reshape(-1, JOINTS, 3)
    points[points[..., 2] < SCORED] = 0
    return checked(points, LAYOUTS["openpose18"], f"{path}")[None]
