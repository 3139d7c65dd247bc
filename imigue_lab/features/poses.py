"""Keypoints of a user's video: from a file, or by a pose estimator.

Letters in shapes: N persons, T frames, V joints of the requested layout.
"""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.keypoint_files.tables import (
    NAMED,
    Recording,
    layout_of_file,
    read_keypoint_csv,
    read_recording,
)
from imigue_lab.data.keypoint_files.units import Size, in_pixels
from imigue_lab.data.skeletons.declared import declared_layout
from imigue_lab.data.skeletons.geometry import Skeleton, pick
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, sources
from imigue_lab.data.videos.video import Video, probe, rates_of
from imigue_lab.errors import DataError, some, unreadable
from imigue_lab.features.estimators import WholeBody, open_estimator, track_person

MOST_MISSING = 0.5  # share of a layout's joints that a recording may lack


def find_poses(
    video: Path, source: str, layout: Layout
) -> tuple[Float32[np.ndarray, "T V 3"] | None, list[str]]:
    """One person's keypoints in every frame, None without a source; and remarks for the user.

    Args:
        source: empty; ``mediapipe``; ``rtmlib`` or ``rtmlib:DETECTOR.onnx,POSE.onnx``; or a file or
            folder for `read_recording`, or a CSV of frame number and x, y, score of each joint.
        layout: that the gesture run was trained on.

    Raises DataError for a file that cannot be used, has another number of frames than the video,
    or lacks too many joints; SettingsError for an estimator unknown or not installed.
    """
    if not source:
        return None, []
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
        path, info = Path(source).expanduser(), probe(video)
        recording = read_user_recording(path, (info.width, info.height), layout)
        remark, got = f"keypoints: {path.name}", recording.skeleton.shape[1]
        with Video(video) as pictures:
            frames = len(pictures)
        if got != frames:
            raise DataError(
                f"{path}: expected {frames} frames as in {video.name}, got"
                f" {got}{rates_of(got, frames)}; name the keypoints of this video"
            )
    skeleton, remarks = fit_layout(recording, layout)
    return skeleton[0], [remark, *remarks]


def read_user_recording(
    path: Path, size: Size | None = None, wanted: Layout | None = None
) -> Recording:
    """As `read_recording`, in pixels; also of a CSV with any name.

    A ``keypoints.json`` declares the layout beside the file or in the folder above. `size` is that
    of the picture, `wanted` the layout that is needed, see `layout_of_file`.
    """
    if not path.exists():
        raise DataError(f"{path}: no such keypoints; name a file, a folder, or an estimator")
    declared = declared_layout(path.parent) or declared_layout(path.parent.parent)
    if path.suffix != ".csv" or path.name.endswith(tuple(NAMED)):
        return in_pixels(read_recording(path, declared, wanted), size)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns = len(next(csv.reader(file), []))
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(path, "cannot be read", error, "copy it again") from None
    if columns % 3 != 1:
        raise DataError(
            f"{path}: expected frame and x, y, score of each joint, got {columns} columns; write it"
            " in this form"
        )
    layout = layout_of_file(path, (1, columns // 3, 3), declared, wanted)
    return in_pixels(Recording(read_keypoint_csv(path, layout), layout), size)


def fit_layout(recording: Recording, layout: Layout) -> tuple[Skeleton, list[str]]:
    """The first person's joints in another layout, matched by name, and remarks on missing joints.

    A missing neck or middle of the hips is a midpoint; any other joint that the recording lacks is
    missing in all frames. Raises DataError if these are more than half, or for other axes.
    """
    found = sources(layout.joints, recording.layout)
    points, axes = recording.skeleton[:1], layout.axes
    absent = [joint for joint, at in zip(layout.joints, found, strict=True) if at is None]
    if len(absent) > MOST_MISSING * len(found) or recording.layout.axes != axes:
        raise DataError(
            f"keypoints in {recording.layout.name} contain {len(found) - len(absent)} of the"
            f" {len(found)} joints of {layout.name}; use a layout with more joints, or a run"
            f" trained on {recording.layout.name}"
        )
    fitted = np.zeros((*points.shape[:2], len(found), points.shape[-1]), np.float32)
    known = {place: at for place, at in enumerate(found) if at is not None}
    fitted[:, :, [*known]] = pick(points, [*known.values()], axes)
    what = f"{recording.layout.name} has no {some(absent)}: missing in all frames"
    return fitted, [*recording.remarks, *[what] * bool(absent)]


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


def estimate(video: Path, estimator: WholeBody) -> Recording:
    """The largest person of the first frame with a person, tracked through the video."""
    last = None
    with Video(video, threads=0) as pictures:
        chosen = np.zeros((1, len(pictures), 22, 3), np.float32)
        for frame in range(len(pictures)):
            persons = estimator(pictures.frame(frame))
            if (number := track_person(persons, last)) is not None:
                last = chosen[0, frame] = persons[number]
    return Recording(chosen, LAYOUTS["imigue22"])
