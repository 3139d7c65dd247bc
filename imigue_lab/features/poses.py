"""Keypoints of a user's video: from a file, or by a pose estimator.

Letters in shapes: N persons, T frames, V joints of the requested layout.
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
from imigue_lab.features.estimators import PoseEstimator, middle, open_estimator, track_person

MOST_MISSING = 0.5  # share of a layout's joints that a recording may lack


class Poses(NamedTuple):
    """One person's keypoints in the requested layout, and remarks for the user."""

    skeleton: Float32[np.ndarray, "T V 3"]
    remarks: list[str]


def find_poses(video: Path, source: str, layout: str) -> Poses | None:
    """Keypoints of every frame; None without a source.

    Args:
        source: empty; ``mediapipe``; ``rtmlib`` or ``rtmlib:DETECTOR.onnx,POSE.onnx``; or a file or
            folder for `read_recording`, or a CSV of frame number and x, y, score of each joint.
        layout: name of the layout that the gesture run was trained on.

    Raises DataError for a file that cannot be used, has another number of frames than the video,
    or lacks too many joints; SettingsError for an estimator unknown or not installed.
    """
    if not source:
        return None
    if source == "mediapipe":
        recording = estimate_interviewee(video)
        frames = recording.skeleton.shape[1]
        seen = np.count_nonzero((recording.skeleton[0, ..., 2] > 0).any(axis=1))
        remark = "keypoints: estimated by MediaPipe's networks, which found the interviewee in"
        remark += f" {seen} of {frames} frames"
    elif source.partition(":")[0] == "rtmlib":
        estimator = open_estimator(source)
        recording = estimate(video, estimator)
        remark = f"keypoints: estimated by {estimator.name}"
    else:
        path = Path(source).expanduser()
        recording, remark = read_user_recording(path), f"keypoints: {path.name}"
        with Video(video) as pictures:
            frames = len(pictures)
        if recording.skeleton.shape[1] != frames:
            raise DataError(
                f"{path}: expected {frames} frames as in {video.name}, got"
                f" {recording.skeleton.shape[1]}; name the keypoints of this video"
            )
    skeleton, remarks = fit_layout(recording, layout)
    return Poses(skeleton[0], [remark, *remarks])


def read_user_recording(path: Path) -> Recording:
    """As `read_recording`; the layout of a CSV with another name follows from its columns."""
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
            f"{path}: expected frame and x, y, score of {', '.join(map(str, BY_JOINTS))} joints,"
            f" got {columns} columns; write it in this form"
        )
    return Recording(read_keypoint_csv(path, LAYOUTS[name]), LAYOUTS[name])


def fit_layout(recording: Recording, layout: str) -> tuple[Skeleton, list[str]]:
    """The first person's joints in another layout, matched by name, and remarks on missing joints.

    A missing neck is the midpoint of the shoulders; any other joint that the recording lacks is
    missing in all frames. Raises DataError if these are more than half, or for joints in space.
    """
    column = {joint: number for number, joint in enumerate(recording.layout.joints)}
    wanted = LAYOUTS[layout].joints
    points = recording.skeleton[:1]
    fitted = np.zeros((*points.shape[:2], len(wanted), 3), np.float32)
    absent = []
    for place, joint in enumerate(wanted):
        shoulders = [column[own] for own in ("right_shoulder", "left_shoulder") if own in column]
        if joint in column:
            fitted[:, :, place] = points[:, :, column[joint]]
        elif joint == "neck" and len(shoulders) == 2:
            fitted[:, :, place] = middle(points[:, :, shoulders])
        else:
            absent.append(joint)
    if len(absent) > MOST_MISSING * len(wanted) or recording.layout.axes != LAYOUTS[layout].axes:
        raise DataError(
            f"keypoints in {recording.layout.name} contain {len(wanted) - len(absent)} of the"
            f" {len(wanted)} joints of {layout}; use a layout with more joints, or a run trained on"
            f" {recording.layout.name}"
        )
    what = f"{recording.layout.name} has no {some(absent)}: missing in all frames"
    return fitted, [what] * bool(absent)


def estimate_interviewee(video: Path) -> Recording:
    """The person whom the faces choose (`persons.py`), in `mediapipe65`."""
    from imigue_lab.features.catalogue import open_detector
    from imigue_lab.features.persons import Followed, KeypointStream

    stream = KeypointStream(open_detector("centerface"), "keypoints")
    with Video(video, threads=0) as pictures:
        followed = Followed(stream, len(pictures))
        for frame in range(len(pictures)):
            followed.see(frame, pictures.frame(frame))
    keypoints = followed.features()[0]["keypoints"]
    return Recording(keypoints[None], LAYOUTS["mediapipe65"])


def estimate(video: Path, estimator: PoseEstimator) -> Recording:
    """The largest person of the first frame with a person, tracked through the video."""
    layout = LAYOUTS[estimator.layout]
    chosen: list[np.ndarray] = []
    last = None
    with Video(video, threads=0) as pictures:
        for frame in range(len(pictures)):
            persons = estimator(pictures.frame(frame))
            number = track_person(persons, last)
            person = np.zeros((len(layout.joints), 3), np.float32)
            if number is not None:
                last = person = persons[number]
            chosen.append(person)
    return Recording(np.stack(chosen)[None].astype(np.float32), layout)
