"""The position of a pixel in the crop of the RGB encoder."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as pictures

from imigue_lab.data.skeletons.cropping import SHORTER, crop_places, picture_places


def test_the_crop_is_seven_eighths_of_the_shorter_side_around_the_centre():
    corners = np.array([[96.0, 72.0], [33.0, 9.0], [159.0, 135.0], [0.0, 72.0]])
    places = crop_places(corners, 192, 144)
    np.testing.assert_allclose(places[:3], [[0.5, 0.5], [0, 0], [1, 1]], atol=1e-12)
    assert places[3, 0] < 0


@pytest.mark.parametrize(("width", "height"), [(320, 180), (180, 320), (200, 200)])
def test_the_position_of_a_spot_is_that_after_resizing_and_cropping(width, height):
    side = 56
    picture = torch.zeros(1, height, width)
    x, y = width // 2 + 31, height // 2 - 23
    picture[:, y - 6 : y + 7, x - 6 : x + 7] = 1
    small = pictures.resize(picture, [round(side * SHORTER)], antialias=False)
    seen = pictures.center_crop(small, [side])[0]
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    middle = [float(((axis + 0.5) * seen).sum() / seen.sum()) / side for axis in (columns, rows)]
    spot = np.array([x + 0.5, y + 0.5])
    np.testing.assert_allclose(crop_places(spot, width, height), middle, atol=0.015)


def test_positions_in_the_crop_are_converted_back_to_pixels():
    pixels = np.random.default_rng(0).uniform(0, 300, size=(5, 2))
    places = crop_places(pixels, 320, 180)
    np.testing.assert_allclose(picture_places(places, 320, 180), pixels)
