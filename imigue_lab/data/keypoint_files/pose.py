"""``.pose`` files, the keypoint format of sign-language research, by the library `pose-format`.

A file contains components of named points. Two estimators are supported: OpenPose, with the points
of its JSON, and MediaPipe Holistic, of which body and hands are read.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from imigue_lab.data.keypoint_files.openpose import PARTS, checked, message, tracked
from imigue_lab.data.skeletons.geometry import Skeleton
from imigue_lab.data.skeletons.keypoints import FINGERS, LAYOUTS
from imigue_lab.errors import DataError, some

Points = dict[tuple[str, str], int]  # column of a component's point, by both names


class PoseFile(NamedTuple):
    """The content of a file: x, y and further axes, confidence, and the column of each point."""

    positions: Float[np.ndarray, "T M P axes"]
    confidence: Float[np.ndarray, "T M P"]
    points: Points


def read_pose(path: Path) -> Skeleton:
    """The person of highest confidence, followed by position, as `openpose137` or `mediapipe65`.

    Raises DataError for no ``.pose`` file, no frames, or points of another estimator.
    """
    file = read_pose_file(path)
    parts = {component for component, _ in file.points}
    if set(PARTS) <= parts:
        layout = "openpose137"  # points of a component are in OpenPose's order
        own = {part: [name for name in file.points if name[0] == part] for part in PARTS}
        names = [name for part, count in PARTS.items() for name in own[part][:count]]
    elif "POSE_LANDMARKS" in parts:
        layout = "mediapipe65"
        names = [mediapipe_name(joint) for joint in LAYOUTS[layout].joints]
    else:
        raise DataError(
            f"{path}: expected points of OpenPose or of MediaPipe Holistic, got"
            f" {some(sorted(parts))}; convert the file"
        )
    absent = [point for point in names if point not in file.points]
    if absent:
        raise DataError(f"{path}: contains no {' '.join(absent[0])}; write the file again")
    columns = [file.points[name] for name in names]
    values = np.concatenate([file.positions[..., :2], file.confidence[..., None]], axis=-1)
    values = values[:, :, columns].astype(np.float64)
    values[values[..., 2] == 0] = 0  # undetected points may have any value
    persons = [checked(person, LAYOUTS[layout], f"{path}") for person in values.swapaxes(0, 1)]
    return tracked([list(frame) for frame in np.stack(persons, axis=1)], len(columns))


def read_pose_file(path: Path) -> PoseFile:
    from pose_format import Pose

    try:
        pose = Pose.read(path.read_bytes())
        positions = np.ma.getdata(pose.body.data)
        confidence = np.asarray(pose.body.confidence)
        names = [(part.name, point) for part in pose.header.components for point in part.points]
        if positions.shape[:3] != confidence.shape or confidence.shape[2:] != (len(names),):
            raise ValueError(f"{confidence.shape} confidences of {positions.shape} positions")
    except Exception as error:  # the library validates nothing: damage raises any exception
        raise DataError(f"{path}: is not a .pose file ({message(error)}); write it again") from None
    if not confidence.shape[0] or not confidence.shape[1]:
        raise DataError(f"{path}: contains no frame with a person; write it again")
    return PoseFile(positions, confidence, {name: column for column, name in enumerate(names)})


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
