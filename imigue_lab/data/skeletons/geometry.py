"""Skeleton arrays: which joints were found, normalisation by the body, resampling in time, crops.

Letters in shapes: M persons, T frames, V joints, C channels: x, y, score, or x, y, z in space.
A missing joint has score 0 (in space: all zeros), and is never normalised into a pose. Crops are of
skeletons, for models that draw heatmaps of the joints, and of the encoder's picture: sizes are
(height, width) in pixels, a missing joint is at (0, 0) and stays there.

Source: resampling as in the published code of CTR-GCN (Chen et al., ICCV 2021); pyskl's
PoseCompact, Resize and RandomResizedCrop (Duan et al., CVPR 2022).
"""

import random
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32

from imigue_lab.data.skeletons.keypoints import Layout, Source
from imigue_lab.errors import DataError

SHOULDERS = ("right_shoulder", "left_shoulder")
Skeleton = Float32[np.ndarray, "M T V C"]


def as_persons(keypoints: np.ndarray) -> np.ndarray:
    """(T, V, C) of one person as (1, T, V, C); a view."""
    plain = np.asarray(keypoints)  # slicing a memmap is slower
    return plain if plain.ndim == 4 else plain[None]


def with_places(skeleton: Skeleton, places: Float[np.ndarray, "M T V axes"]) -> Skeleton:
    """The skeleton with other coordinates; scores stay."""
    return np.concatenate([places.astype(np.float32), skeleton[..., places.shape[-1] :]], axis=-1)


def present(skeleton: Skeleton, axes: int = 2) -> Bool[np.ndarray, "M T V"]:
    """True where a joint was found: a positive score, or without scores a nonzero coordinate.

    `axes` are 2 for x and y (a third channel is a score), 3 in space.
    """
    if skeleton.shape[-1] > axes:
        return skeleton[..., axes] > 0
    return (skeleton != 0).any(axis=-1)


def midpoint(pair: Float[np.ndarray, "*rows 2 C"], axes: int = 2) -> Float[np.ndarray, "*rows C"]:
    """Of two joints, with the lower of their scores; missing where either is missing."""
    mean = pair.mean(axis=-2)
    mean[..., axes:] = pair[..., axes:].min(axis=-2)
    return mean * np.asarray(present(pair, axes)).all(axis=-1, keepdims=True)


def pick(
    skeleton: Float[np.ndarray, "M T V C"], joints: Sequence[Source], axes: int = 2
) -> Float[np.ndarray, "M T J C"]:
    """The joints of `keypoints.subset`, those of two columns as midpoints; a copy."""
    ends = [(joint, joint) if isinstance(joint, int) else joint for joint in joints]
    picked = skeleton[:, :, [first for first, _ in ends]]
    for place, pair in enumerate(ends):
        if pair[0] != pair[1]:
            picked[:, :, place] = midpoint(skeleton[:, :, list(pair)], axes)
    return picked


def normalise_body(skeleton: Skeleton, layout: Layout) -> Skeleton:
    """Coordinates relative to the midpoint of the shoulders, in units of the shoulder width.

    Midpoint and width are medians over the frames of a person's clip, so that movement is kept and
    neither the camera nor a hidden hand changes the other joints. Missing joints become 0; a person
    whose shoulders never appear in the same frame keeps the coordinates. In a layout without
    shoulders, such as of a hand, the root takes their place, and the mean bone that of the width.
    """
    seen = present(skeleton, layout.axes)
    normalised = skeleton * seen[..., None]
    sides = [index for index, joint in enumerate(layout.joints) if joint in SHOULDERS]
    bones = [sides] if len(sides) == 2 else [list(bone) for bone in layout.bones]
    centre = sides if len(sides) == 2 else [layout.root]
    for person in range(len(skeleton)):
        shown, places = seen[person], skeleton[person, ..., : layout.axes]
        whole = shown[:, centre].all(axis=1)
        frames = [shown[:, ends].all(axis=1) for ends in bones]
        lengths = [
            np.median(np.linalg.norm(places[own, first] - places[own, last], axis=1))
            for own, (first, last) in zip(frames, bones, strict=True)
            if own.any()
        ]
        if not whole.any() or not lengths:
            continue
        middle = np.median(places[whole][:, centre].mean(axis=1), axis=0)
        own = normalised[person, ..., : layout.axes]
        own[shown] = (own[shown] - middle) / max(np.mean(lengths), 1e-6)
    return normalised


def resample(
    skeleton: Skeleton, frames: int, axes: int = 2
) -> Float32[np.ndarray, "M {frames} V C"]:
    """Resamples to `frames` frames, linear in time, each at the centre of its time step.

    Between a frame with a joint and one without it the nearer of the two is used, so that no joint
    is interpolated towards (0, 0). Raises DataError for a clip without frames.
    """
    length = skeleton.shape[1]
    if not length:
        raise DataError("a clip has no frames, expected at least 1; remove the clip")
    # Rounded to float32 where torch's `interpolate` rounds.
    position = float(np.float32(length / frames)) * (np.arange(frames) + 0.5) - 0.5
    position = np.clip(position.astype(np.float32), 0, length - 1)
    before = np.floor(position).astype(int)
    after = np.minimum(before + 1, length - 1)
    share = (position - before)[:, None, None]
    seen = present(skeleton, axes)[..., None]
    first, second = skeleton[:, before], skeleton[:, after]
    between = first * (1 - share) + second * share
    nearer = np.where(share < 0.5, first, second)
    return np.where(seen[:, before] & seen[:, after], between, nearer).astype(np.float32)


def extent(person: Float32[np.ndarray, "V 3"]) -> float:
    """Diagonal of the box around the detected joints, in pixels."""
    seen = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(np.ptp(seen, axis=0))) if len(seen) > 1 else 0.0


def distance(person: Float32[np.ndarray, "V 3"], other: Float32[np.ndarray, "V 3"]) -> float:
    """Mean distance of the joints detected in both, in pixels; infinite if there are none."""
    both = (person[:, 2] > 0) & (other[:, 2] > 0)
    apart = np.linalg.norm((person - other)[both, :2], axis=1)
    return float(apart.mean()) if both.any() else np.inf


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
    return with_places(skeleton, places * present(skeleton)[..., None])


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
