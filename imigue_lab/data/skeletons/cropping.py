"""Crops: of skeletons, for models that draw heatmaps of the joints, and of the encoder's picture.

Letters in shapes: M persons, T frames, V joints, C channels: x, y in pixels, optionally a score.
Sizes are (height, width) in pixels. A missing joint is at (0, 0) and stays there.

Source: pyskl's PoseCompact, Resize and RandomResizedCrop (Duan et al., CVPR 2022).
"""

import random

import numpy as np
from jaxtyping import Float

from imigue_lab.data.skeletons.geometry import Skeleton

Size = tuple[int, int]


def with_places(skeleton: Skeleton, places: Float[np.ndarray, "M T V 2"]) -> Skeleton:
    """The skeleton with other x and y; scores stay."""
    return np.concatenate([places.astype(np.float32), skeleton[..., 2:]], axis=-1)


def compact(
    skeleton: Skeleton,
    size: Size,
    padding: float = 0.25,
    least: float = 10.0,
    ratio: float | None = 1.0,
    beyond: bool = True,
) -> tuple[Skeleton, Size]:
    """Crops the picture to the box around all joints of the clip.

    Args:
        padding: margin around the box, as a share of its size.
        least: pixels; with a smaller box the picture is not cropped.
        ratio: the box is enlarged to this ratio of height to width; None keeps its ratio.
        beyond: the box may extend beyond the picture.
    """
    places = skeleton[..., :2].copy()
    found = places != 0
    if not found.any(axis=(0, 1, 2)).all():
        return skeleton, size
    x, y = (places[..., axis][found[..., axis]].astype(float) for axis in (0, 1))
    if np.ptp(x) < least or np.ptp(y) < least:
        return skeleton, size
    middle = np.array([x.max() + x.min(), y.max() + y.min()]) / 2
    width, height = np.ptp(x) / 2 * (1 + padding), np.ptp(y) / 2 * (1 + padding)
    if ratio is not None:
        height = max(ratio * width, height)
        width = max(height / ratio, width)
    reach = np.array([width, height])
    low, high = middle - reach, middle + reach
    if not beyond:
        low, high = np.maximum(low, 0), np.minimum(high, size[::-1])
    start, stop = low.astype(int), high.astype(int)  # towards 0, as published
    places -= np.where(found, start, 0).astype(np.float32)
    return with_places(skeleton, places), (int(stop[1] - start[1]), int(stop[0] - start[0]))


def short_side(size: Size, length: int) -> Size:
    """The size with the same aspect ratio whose shorter side is `length`."""
    scale = length / min(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def resize(skeleton: Skeleton, size: Size, to: Size) -> Skeleton:
    """Scales joints from a picture of size `size` to one of size `to`."""
    scale = np.array([to[1] / size[1], to[0] / size[0]], dtype=np.float32)
    return with_places(skeleton, skeleton[..., :2] * scale)


def random_resized_crop(
    skeleton: Skeleton,
    size: Size,
    rng: np.random.RandomState,
    offsets: random.Random,
    area: tuple[float, float] = (0.56, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    attempts: int = 10,
) -> tuple[Skeleton, Size]:
    """Crops a random region; the centre square if none of `attempts` sizes fits.

    Args:
        rng, offsets: generators of the sizes and of the offset of the first size that fits; the
            published code draws them from the global generators of NumPy and Python.
        area: share of the picture that is kept.
        ratio: width over height.
    """
    height, width = size
    ratios = np.exp(rng.uniform(np.log(ratio[0]), np.log(ratio[1]), size=attempts))
    areas = rng.uniform(*area, size=attempts) * height * width
    widths, heights = np.round(np.sqrt(areas * ratios)), np.round(np.sqrt(areas / ratios))
    fits = np.flatnonzero((widths <= width) & (heights <= height))
    if len(fits):
        wide, high = int(widths[fits[0]]), int(heights[fits[0]])
        left, top = offsets.randint(0, width - wide), offsets.randint(0, height - high)
    else:
        wide = high = min(size)
        left, top = (width - wide) // 2, (height - high) // 2
    places = skeleton[..., :2] - np.array([left, top], dtype=np.float32)
    if skeleton.shape[-1] > 2:
        places[skeleton[..., 2] <= 0] = 0
    return with_places(skeleton, places), (high, wide)


SHORTER = 8 / 7  # shorter side over the encoder's centre crop: 256 for 224


def crop_places(
    pixels: Float[np.ndarray, "*points 2"], width: int, height: int
) -> Float[np.ndarray, "*points 2"]:
    """Pixels of a picture -> coordinates in the RGB encoder's centre crop, 0 to 1 along each side.

    The encoder resizes the shorter side and crops the centre; points outside the crop are below 0
    or above 1.

    Args:
        pixels: x to the right, y down, from the top left corner.
        width, height: of the whole picture in pixels.
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
