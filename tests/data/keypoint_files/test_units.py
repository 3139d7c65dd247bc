"""Keypoints in pixels, whatever unit their file has."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.keypoint_files.clips import in_pixels, needs_nothing
from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS

SIZE = (1280, 720)


@pytest.fixture
def pixels():
    points = np.random.default_rng(0).uniform(1, 700, (1, 5, 17, 3)).astype(np.float32)
    points[..., 2] = 0.5
    points[0, 2, 3] = 0
    return points


@pytest.mark.parametrize(
    ("unit", "low", "high"),
    [("fractions", 0, 1), ("signed fractions", -1, 1), ("percent", 0, 100)],
)
def test_openposes_scales_become_pixels_where_the_size_is_known(pixels, unit, low, high):
    scaled = pixels.copy()
    scaled[..., :2] = low + (high - low) * pixels[..., :2] / SIZE
    scaled[0, 2, 3] = 0
    recording = Recording(scaled, LAYOUTS["coco17"])
    found = in_pixels(recording, SIZE)
    assert_allclose(found.skeleton, pixels, atol=1e-3)
    assert found.remarks == (f"coordinates are {unit} of the picture: scaled to its pixels",)
    if unit != "percent":
        unknown = in_pixels(recording, None)
        assert_array_equal(unknown.skeleton, scaled)
        assert f"{unit} of a picture of unknown size" in unknown.remarks[0]
    else:  # pixels of a small picture look the same
        (remark,) = in_pixels(recording, None).remarks
        assert "first 100 pixels: if they are percent of the picture, declare the unit" in remark


def test_pixels_and_joints_in_space_stay(pixels):
    for points, layout in ((pixels, "coco17"), (pixels[:, :, :1].repeat(25, axis=2), "ntu25")):
        recording = Recording(points / (1 if layout == "coco17" else 700), LAYOUTS[layout])
        found = in_pixels(recording, SIZE)
        assert_array_equal(found.skeleton, recording.skeleton)
        assert found.remarks == () and found.layout is LAYOUTS[layout]


@pytest.mark.parametrize(
    ("change", "layout", "fine"),
    [
        (lambda points: points, "coco17", True),
        (lambda points: points / 700, "coco17", False),  # fractions
        (lambda points: points / 7, "coco17", False),  # percent, perhaps
        (lambda points: points * [1, 1, 4], "coco17", False),  # scores above 1
        (lambda points: points * [1, 1, -1], "coco17", False),
        (lambda points: np.where(points > 600, np.nan, points), "coco17", False),
        (lambda points: points[..., :2], "coco17", False),
        (lambda points: points.repeat(2, axis=2)[:, :, :25] - 300, "ntu25", True),
        (lambda points: np.where(points > 600, np.inf, points), "ntu25", False),
    ],
)
def test_only_arrays_that_conversion_would_not_change_need_none(pixels, change, layout, fine):
    assert needs_nothing(change(pixels), LAYOUTS[layout]) == fine
