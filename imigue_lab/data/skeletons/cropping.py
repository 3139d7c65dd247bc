"""Crops: of skeletons, for models that draw heatmaps of the joints, and of the encoder's picture.

Letters in shapes: M persons, T frames, V joints, C channels: x, y in pixels, optionally a score.
Sizes are (height, width) in pixels. A missing joint is at (0, 0) and stays there.

Source: pyskl's PoseCompact, Resize and RandomResizedCrop (Duan et al., CVPR 2022).
"""

import random

import numpy as np
from jaxtyping import Float

from imigue_lab.data.skeletons.geometry import Skeleton, with_places

LEAST = 10  # pixels; a clip with a smaller box is not cropped
SHORTER = 8 / 7  # shorter side over the encoder's centre crop: 256 for 224
Size = tuple[int, int]
Box = tuple[int, int, int, int]  # top, left, height and width


def person_box(skeleton: Skeleton, size: Size, padding: float = 0.25) -> Box:
    """The square around all joints of the clip, possibly beyond the picture; else the picture.

    `padding` is the margin around the box of the joints, as a share of its size.
    """
    whole, places = (0, 0, *size), skeleton[..., :2]
    found = places != 0
    if not found.any(axis=(0, 1, 2)).all():
        return whole
    x, y = (places[..., axis][found[..., axis]].astype(float) for axis in (0, 1))
    if np.ptp(x) < LEAST or np.ptp(y) < LEAST:
        return whole
    middle = np.array([x.max() + x.min(), y.max() + y.min()]) / 2
    reach = max(np.ptp(x), np.ptp(y)) / 2 * (1 + padding)
    start, stop = (middle - reach).astype(int), (middle + reach).astype(int)  # as published
    return int(start[1]), int(start[0]), int(stop[1] - start[1]), int(stop[0] - start[0])


def compact(skeleton: Skeleton, size: Size, padding: float = 0.25) -> tuple[Skeleton, Size]:
    """Crops the picture to the `person_box`."""
    top, left, height, width = person_box(skeleton, size, padding)
    places = skeleton[..., :2].copy()
    places -= np.where(places != 0, (left, top), 0).astype(np.float32)
    return with_places(skeleton, places), (height, width)


def short_side(size: Size, length: int) -> Size:
    """The size with the same aspect ratio whose shorter side is `length`."""
    scale = length / min(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def resize(skeleton: Skeleton, size: Size, to: Size) -> Skeleton:
    """Scales joints from a picture of size `size` to one of size `to`."""
    scale = np.array([to[1] / size[1], to[0] / size[0]], dtype=np.float32)
    return with_places(skeleton, skeleton[..., :2] * scale)


def random_box(
    size: Size,
    rng: np.random.RandomState,
    offsets: random.Random,
    area: tuple[float, float] = (0.56, 1.0),
) -> Box:
    """A random region to `crop` to; the centre square if none of ten fits.

    Its area is a share of the picture's, its ratio of width to height 3/4 to 4/3. `rng` draws the
    sizes, `offsets` the offset of the first that fits; the published code uses the global
    generators of NumPy and Python.
    """
    height, width = size
    ratios = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), size=10))
    areas = rng.uniform(*area, size=10) * height * width
    widths, heights = np.round(np.sqrt(areas * ratios)), np.round(np.sqrt(areas / ratios))
    fits = np.flatnonzero((widths <= width) & (heights <= height))
    if len(fits):
        wide, high = int(widths[fits[0]]), int(heights[fits[0]])
        left, top = offsets.randint(0, width - wide), offsets.randint(0, height - high)
        return top, left, high, wide
    wide = min(size)
    return (height - wide) // 2, (width - wide) // 2, wide, wide


def random_part(
    box: Box, rng: np.random.RandomState, area: tuple[float, float] = (0.56, 1.0)
) -> Box:
    """A `random_box` of a region; `rng` seeds its offset."""
    top, left, *part = random_box(box[2:], rng, random.Random(int(rng.randint(2**31))), area)
    return box[0] + top, box[1] + left, part[0], part[1]


def crop(skeleton: Skeleton, box: Box) -> Skeleton:
    """The joints in a region of the picture."""
    places = skeleton[..., :2] - np.array([box[1], box[0]], dtype=np.float32)
    if skeleton.shape[-1] > 2:
        places[skeleton[..., 2] <= 0] = 0
    return with_places(skeleton, places)


def crop_places(
    pixels: Float[np.ndarray, "*points 2"], width: int, height: int
) -> Float[np.ndarray, "*points 2"]:
    """Pixels of a picture -> coordinates in the RGB encoder's centre crop, 0 to 1 along each side.

    The encoder resizes the shorter side and crops the centre; points outside the crop are below 0
    or above 1. Both count from the top left corner; `width` and `height` are the whole picture's.
    """
    side = min(width, height) / SHORTER
    middle = np.array([width, height], dtype=pixels.dtype) / 2
    return (pixels - middle) / np.asarray(side, dtype=pixels.dtype) + np.asarray(0.5, pixels.dtype)


def picture_places(
    places: Float[np.ndarray, "*points 2"], width: int, height: int
) -> Float[np.ndarray, "*points 2"]:
    """The inverse of `crop_places`: coordinates in the crop -> pixels of the whole picture."""
    side = min(width, height) / SHORTER
    return (places - 0.5) * side + np.array([width, height]) / 2
