"""Crops of skeletons and of the encoder's picture: by hand, and the numbers of published code."""

import random

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torchvision.transforms.v2 import functional as pictures

from imigue_lab.data.skeletons.geometry import (
    SHORTER,
    crop,
    crop_places,
    person_box,
    picture_places,
    random_box,
    resize,
    short_side,
)

SIZE = (480, 640)  # pixels


def compact(skeleton, size, padding=0.25):
    """The joints in the person's box, and the size of that."""
    box = person_box(skeleton, size, padding)
    return crop(skeleton, box), box[2:]


@pytest.fixture
def clip():
    """A box of 100 x 200 pixels, and a missing joint."""
    skeleton = np.zeros((1, 1, 3, 3), np.float32)
    skeleton[0, 0, 0] = (100, 50, 1)
    skeleton[0, 0, 1] = (200, 250, 1)
    return skeleton


def test_the_picture_is_cropped_to_the_padded_box(clip):
    moved, size = compact(clip, SIZE, padding=0.5)
    assert size == (300, 300)
    assert_array_equal(moved[0, 0, :, :2], [(100, 50), (200, 250), (0, 0)])


def test_a_square_box_enlarges_the_narrow_side(clip):
    moved, size = compact(clip, SIZE, padding=0.0)
    assert size == (200, 200)
    assert_array_equal(moved[0, 0, :2, :2], [(50, 0), (150, 200)])


@pytest.mark.parametrize("joints", [[0, 2], [2]])
def test_a_single_point_or_an_empty_clip_is_not_cropped(clip, joints):
    few = np.ascontiguousarray(clip[:, :, joints])
    assert_array_equal(compact(few, SIZE)[0], few)
    assert compact(few, SIZE)[1] == SIZE


def test_missing_joints_stay_at_zero(clip):
    for changed in (
        compact(clip, SIZE)[0],
        resize(clip, SIZE, (64, 64)),
        crop(clip, random_box(SIZE, np.random.RandomState(0), random.Random(0))),
    ):
        assert not changed[0, 0, 2].any()
        assert changed[0, 0, 0].any()


def test_short_side_keeps_the_aspect_ratio():
    assert short_side((480, 640), 60) == (60, 80)
    assert short_side((640, 480), 60) == (80, 60)


def test_joints_scale_with_the_picture(clip):
    assert_allclose(resize(clip, SIZE, (48, 320))[0, 0, 1], (100, 25, 1))


def test_the_centre_square_is_cropped_when_no_random_size_fits(clip):
    box = random_box((100, 400), np.random.RandomState(0), random.Random(0), area=(1.0, 1.0))
    assert box == (0, 150, 100, 100)
    assert_array_equal(crop(clip, box)[0, 0, 0, :2], (-50, 50))


@pytest.mark.shared
def test_crops_equal_pyskls(shared):
    with np.load(shared / "fixtures" / "skeleton" / "transform_augment.npz") as arrays:
        arrays = dict(arrays)

    def check(name, make, size):
        ours, made = make(arrays[f"{name}/in/keypoint"])
        assert_allclose(ours, arrays[f"{name}/out/keypoint"], rtol=1e-5, atol=1e-6, err_msg=name)
        assert made == size

    def compact_and_resize(x):
        cut, size = compact(x, SIZE)
        return resize(cut, size, (64, 64)), (64, 64)

    def resize_short(x):
        size = short_side((480, 641), 64)
        return resize(x, (480, 641), size), size

    def resized_crop(x):
        box = random_box((64, 80), np.random.RandomState(3), random.Random(4))
        return crop(x, box), box[2:]

    check("posecompact", lambda x: compact(x, SIZE), (243, 243))
    check("posecompact_resize64sq", compact_and_resize, (64, 64))
    check("resize_short64", resize_short, (64, 85))
    check("rrcrop", resized_crop, (53, 55))


def test_the_crop_is_seven_eighths_of_the_shorter_side_about_the_middle():
    corners = np.array([[96.0, 72.0], [33.0, 9.0], [159.0, 135.0], [0.0, 72.0]])
    places = crop_places(corners, 192, 144)
    assert_allclose(places[:3], [[0.5, 0.5], [0, 0], [1, 1]], atol=1e-12)
    assert places[3, 0] < 0


@pytest.mark.parametrize(("width", "height"), [(320, 180), (180, 320), (200, 200)])
def test_a_point_of_a_picture_maps_to_where_resizing_and_cropping_move_it(width, height):
    side = 56
    picture = torch.zeros(1, height, width)
    x, y = width // 2 + 31, height // 2 - 23
    picture[:, y - 6 : y + 7, x - 6 : x + 7] = 1
    small = pictures.resize(picture, [round(side * SHORTER)], antialias=False)
    seen = pictures.center_crop(small, [side])[0]
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    middle = [float(((axis + 0.5) * seen).sum() / seen.sum()) / side for axis in (columns, rows)]
    spot = np.array([x + 0.5, y + 0.5])
    assert_allclose(crop_places(spot, width, height), middle, atol=0.015)


def test_picture_places_inverts_crop_places():
    pixels = np.random.default_rng(0).uniform(0, 300, size=(5, 2))
    places = crop_places(pixels, 320, 180)
    assert_allclose(picture_places(places, 320, 180), pixels)
