"""``.pose`` files, in which sign-language research keeps keypoints, by the library `pose-format`.

They hold components of named points. Those of two estimators are known here: OpenPose, as its JSON
has them, and MediaPipe Holistic, of which body and hands are taken.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from imigue_lab.data.keypoint_files.openpose import PARTS, checked, said
from imigue_lab.data.skeletons.geometry import Skeleton
from imigue_lab.data.skeletons.keypoints import FINGERS, LAYOUTS, Layout
from imigue_lab.errors import DataError, some

Points = dict[tuple[str, str], int]  # column of a component's point, by both names


class Read(NamedTuple):
    """What a file holds: x, y and further axes, confidence, and which point is which column."""

    places: Float[np.ndarray, "T M P axes"]
    sure: Float[np.ndarray, "T M P"]
    points: Points


def read_pose(path: Path) -> tuple[Skeleton, Layout]:
    """The surest person of each frame, as `openpose137` or `mediapipe65`.

    Raises:
        DataError: no ``.pose`` file, no frame in it, or points of another estimator.
    """
    held = read_points(path)
    parts = {component for component, _ in held.points}
    if set(PARTS) <= parts:
        layout, names = "openpose137", openpose_names(held.points)
    elif "POSE_LANDMARKS" in parts:
        layout, names = "mediapipe65", mediapipe_names()
    else:
        raise DataError(
            f"{path}: holds points of {some(sorted(parts))}; expected those of OpenPose or of"
            " MediaPipe Holistic"
        )
    absent = [point for point in names if point not in held.points]
    if absent:
        raise DataError(f"{path}: holds no {' '.join(absent[0])}; write the file again")
    columns = [held.points[name] for name in names]
    surest = held.sure.sum(axis=2).argmax(axis=1)
    frames = np.arange(len(surest))
    values = np.concatenate([held.places[..., :2], held.sure[..., None]], axis=-1)
    values = values[frames, surest][:, columns].astype(np.float64)
    values[values[..., 2] == 0] = 0  # what was not seen may hold any number
    known = LAYOUTS[layout]
    return checked(values, known, f"{path}")[None], known


def read_points(path: Path) -> Read:
    from pose_format import Pose

    try:
        pose = Pose.read(path.read_bytes())
        places, sure = np.ma.getdata(pose.body.data), np.asarray(pose.body.confidence)
        names = [(part.name, point) for part in pose.header.components for point in part.points]
        if places.shape[:3] != sure.shape or sure.shape[2:] != (len(names),):
            raise ValueError(f"{sure.shape} confidences of {places.shape} places")
    except Exception as error:  # the library checks nothing: damage shows in any way
        raise DataError(f"{path}: is no .pose file ({said(error)}); write it again") from None
    if not sure.shape[0] or not sure.shape[1]:
        raise DataError(f"{path}: holds no frame with a person; write it again")
    return Read(places, sure, {name: column for column, name in enumerate(names)})


def openpose_names(points: Points) -> list[tuple[str, str]]:
    """In the order of `openpose137`: within a component, points are in OpenPose's own order."""
    return [
        name
        for part, count in PARTS.items()
        for name in [name for name in points if name[0] == part][:count]
    ]


def mediapipe_names() -> list[tuple[str, str]]:
    """In the order of `mediapipe65`."""
    return [mediapipe_name(joint) for joint in LAYOUTS["mediapipe65"].joints]


def mediapipe_name(joint: str) -> tuple[str, str]:
    """Component and point; joints of a hand are counted from the palm, as MediaPipe's are."""
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
