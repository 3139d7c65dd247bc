"""Keypoints of a user's own video: out of a file, or found by an estimator.

Letters in shapes: N persons, T frames, V joints of the layout that is asked for.
"""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.keypoint_files.tables import (
    BY_JOINTS,
    Recording,
    read_keypoint_csv,
    read_recording,
)
from imigue_lab.data.skeletons.geometry import Skeleton
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.videos.video import Video
from imigue_lab.errors import DataError, some
from imigue_lab.features.estimators import PoseEstimator, follow_person, open_estimator

LEAST = 0.5  # share of a layout's joints that a recording must hold


class Found(NamedTuple):
    """One person's keypoints in the layout that was asked for, and what to know of them."""

    skeleton: Float32[np.ndarray, "T V 3"]
    remarks: list[str]


def find_poses(video: Path, given: str, layout: str) -> Found | None:
    """Keypoints of every frame; None where nothing is given.

    Args:
        given: empty; ``rtmlib`` or ``rtmlib:DETECTOR.onnx,POSE.onnx``; or a file or folder as
            `read_recording` takes it, or a CSV of frame number and x, y, score of each joint.
        layout: name of the layout that the gesture run was trained on.

    Raises:
        DataError: the file cannot be used, holds another number of frames than the video, or lacks
            too many joints.
        SettingsError: the estimator is not known or not installed.
    """
    if not given:
        return None
    if given.partition(":")[0] == "rtmlib":
        estimator = open_estimator(given)
        recording, told = estimate(video, estimator), [f"keypoints: found by {estimator.name}"]
    else:
        path = Path(given).expanduser()
        recording, told = read_file(path), [f"keypoints: {path.name}"]
        with Video(video) as pictures:
            frames = len(pictures)
        if recording.skeleton.shape[1] != frames:
            raise DataError(
                f"{path}: holds {recording.skeleton.shape[1]} frames and {video.name} {frames};"
                " name the keypoints of this video"
            )
    skeleton, remarks = fit_layout(recording, layout)
    return Found(skeleton[0], told + remarks)


def read_file(path: Path) -> Recording:
    """As `read_recording`; a CSV of another name is told by its number of columns."""
    known = path.name.endswith(("_light_hand.csv", "_light.csv"))
    if path.suffix != ".csv" or known:
        if not path.exists():
            raise DataError(f"{path}: no such keypoints; name a file, a folder, or an estimator")
        return read_recording(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns = len(next(csv.reader(file), []))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}); copy it again") from None
    name = BY_JOINTS.get((columns - 1) // 3)
    if name is None or (columns - 1) % 3:
        raise DataError(
            f"{path}: has {columns} columns, expected frame and x, y, score of"
            f" {', '.join(map(str, BY_JOINTS))} joints; write it so"
        )
    return Recording(read_keypoint_csv(path, LAYOUTS[name]), LAYOUTS[name])


def fit_layout(recording: Recording, layout: str) -> tuple[Skeleton, list[str]]:
    """The first person's joints of another layout, by name, and what is missing.

    A neck that no joint stands for is the middle of both shoulders; any other joint that the
    recording lacks is missing in all frames.

    Raises:
        DataError: more than half of the joints are missing, or the recording is not of a picture.
    """
    held = {joint: number for number, joint in enumerate(recording.layout.joints)}
    wanted = LAYOUTS[layout].joints
    points = recording.skeleton[:1]
    fitted = np.zeros((*points.shape[:2], len(wanted), 3), np.float32)
    absent = []
    for place, joint in enumerate(wanted):
        shoulders = [held[own] for own in ("right_shoulder", "left_shoulder") if own in held]
        if joint in held:
            fitted[:, :, place] = points[:, :, held[joint]]
        elif joint == "neck" and len(shoulders) == 2:
            fitted[:, :, place] = middle(points[:, :, shoulders])
        else:
            absent.append(joint)
    if len(absent) > LEAST * len(wanted) or recording.layout.axes != LAYOUTS[layout].axes:
        raise DataError(
            f"keypoints in {recording.layout.name} hold {len(wanted) - len(absent)} of the"
            f" {len(wanted)} joints of {layout}; give a fuller layout, or a run trained on"
            f" {recording.layout.name}"
        )
    what = f"{recording.layout.name} holds no {some(absent)}: missing in all frames"
    return fitted, [what] * bool(absent)


def middle(pair: Float32[np.ndarray, "M T 2 3"]) -> Float32[np.ndarray, "M T 3"]:
    """Between two joints, as sure as the less sure; missing where either is."""
    mean = pair.mean(axis=2)
    mean[..., 2] = pair[..., 2].min(axis=2)
    return mean * (mean[..., 2:] > 0)


def estimate(video: Path, estimator: PoseEstimator) -> Recording:
    """The largest person of the first frame that shows one, followed through the video."""
    layout = LAYOUTS[estimator.layout]
    chosen: list[np.ndarray] = []
    last = None
    with Video(video, threads=0) as pictures:
        for frame in range(len(pictures)):
            persons = estimator(pictures.frame(frame))
            number = follow_person(persons, last)
            person = np.zeros((len(layout.joints), 3), np.float32)
            if number is not None:
                last = person = persons[number]
            chosen.append(person)
    return Recording(np.stack(chosen)[None].astype(np.float32), layout)
