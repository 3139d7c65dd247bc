"""Keypoints of the picture in pixels, with scores up to 1, whatever unit their file has.

OpenPose writes fractions of the picture on request (``--keypoint_scale 3``: 0 to 1, 4: -1 to 1, 5:
0 to 100), as MediaPipe always does; SimCC estimators (RTMPose) write peaks of up to 10 as scores.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from imigue_lab.data.keypoint_files.openpose import HIGHEST, LARGEST
from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.geometry import present, with_places
from imigue_lab.data.skeletons.keypoints import Layout, Unit

BEYOND = 0.05  # share of the picture by which points may be outside
SAMPLE = 1000  # joints by which a file in pixels is recognised quickly
LARGE = 300  # pixels; whoever never leaves the first 100 of a larger picture has percent


Size = tuple[int, int]  # width and height in pixels
RANGES: dict[Unit, tuple[int, int]] = {
    "fractions": (0, 1),
    "signed fractions": (-1, 1),
    "percent": (0, 100),
}


def in_pixels(recording: Recording, size: Size | None) -> Recording:
    """The recording in pixels of its picture with scores up to 1; remarks say what was changed.

    Joints in space are returned as they are. Without the picture's size, fractions stay.
    """
    skeleton, remarks = recording.skeleton, list(recording.remarks)
    if recording.layout.axes == 3:
        return recording
    if skeleton[..., 2].max(initial=0) > HIGHEST:
        remarks.append("scores above 1 are taken for 1")
        skeleton = np.concatenate([skeleton[..., :2], skeleton[..., 2:].clip(max=1)], axis=-1)
    unit = unit_of(recording, size)
    if unit != "pixels" and size is None:
        what = f"coordinates are {unit} of a picture of unknown size"
        remarks.append(f"{what}: width and height are not to scale until the video is added")
    elif size is not None and unit != "pixels":
        low, high = RANGES[unit]
        remarks.append(f"coordinates are {unit} of the picture: scaled to its pixels")
        places = (skeleton[..., :2] - low) / (high - low) * size
        skeleton = with_places(skeleton, places * present(skeleton)[..., None])
    elif size is None and within(skeleton[..., :2], RANGES["percent"]):
        what = "all points are in the first 100 pixels: if they are percent of the picture"
        remarks.append(f"{what}, declare the unit in keypoints.json, or add the video")
    layout = recording.layout
    if layout.unit != "pixels" or not layout.scores:
        layout = replace(layout, unit="pixels", scores=True)
    return Recording(skeleton, layout, tuple(remarks))


def within(places: Float[np.ndarray, "*points 2"], span: tuple[int, int]) -> bool:
    return bool(span[0] <= places.min() and places.max() <= span[1])


def needs_nothing(points: np.ndarray, layout: Layout) -> bool:
    """Whether an array is valid, and in space, or in pixels with scores up to 1; quicker than to
    convert it.
    """
    values = np.asarray(points).reshape(-1, points.shape[-1])
    if values.dtype.kind != "f" or not values.size or values.shape[1] != 3:
        return False
    most = max(values.max(), -values.min())  # NaN where any is
    if layout.axes == 3:
        return bool(most < np.finfo(np.float32).max)
    few, score = values[:: max(1, len(values) // SAMPLE)], values[:, 2]
    far = few[few[:, 2] > 0, :2].max(initial=0) > RANGES["percent"][1]
    scored = layout.scores and score.min() >= 0 and score.max() <= HIGHEST
    return bool(layout.unit == "pixels" and far and most <= LARGEST and scored)


def unit_of(recording: Recording, size: Size | None) -> Unit:
    """The declared unit, else the narrowest range that contains all points."""
    if recording.layout.unit != "pixels":
        return recording.layout.unit
    shown = recording.skeleton[present(recording.skeleton)][:, :2]
    if not len(shown):
        return "pixels"
    low, high = float(shown.min()), float(shown.max())
    if high <= 1 + BEYOND and low >= -1 - 2 * BEYOND:
        return "fractions" if low >= -BEYOND else "signed fractions"
    large = size is not None and min(size) >= LARGE
    return "percent" if large and within(shown, RANGES["percent"]) else "pixels"
