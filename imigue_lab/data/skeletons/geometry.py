"""Skeletons as arrays: what is missing, places about a centre, and a number of frames.

Letters in shapes: M persons, T frames (K of them kept, L after a cut), V joints, C channels: x, y,
score, or x, y, z in space.
A missing joint has score 0 (in space: all zeros), and is never normalised into a pose.

Source: normalisation as in pyskl (Duan et al., 2022), resampling as in CTR-GCN (Chen et al., ICCV
2021), in their published code.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.spatial.transform import Rotation

from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.errors import DataError

SHOULDERS = ("right_shoulder", "left_shoulder")
Skeleton = Float32[np.ndarray, "M T V C"]


def present(skeleton: Skeleton, axes: int = 2) -> Bool[np.ndarray, "M T V"]:
    """True where a joint was found: a positive score, or without scores any coordinate but 0.

    Args:
        axes: 2 when x and y come first (a third channel is a score), 3 in space.
    """
    if skeleton.shape[-1] > axes:
        return skeleton[..., axes] > 0
    return (skeleton != 0).any(axis=-1)


def normalise_picture(
    skeleton: Skeleton, size: tuple[int, int] = (1080, 1920), threshold: float = 0.01
) -> Skeleton:
    """Pixels to -1..1 about the middle of the picture; pyskl's PreNormalize2D.

    Args:
        skeleton: x, y in pixels, and a score; without scores every joint counts as found.
        size: height and width of the picture in pixels.
        threshold: joints with this score or less are set to x = y = 0; the score stays.
    """
    height, width = size
    half = np.array([width, height], dtype=np.float32) / 2
    return about(skeleton, half, half, threshold)


def normalise_box(skeleton: Skeleton, threshold: float = 0.01) -> Skeleton:
    """Pixels to -1..1 about the box around all joints of the clip; `mode="auto"` in pyskl.

    A clip whose box is 10 pixels or less in one direction keeps its pixels.
    """
    found = skeleton[found_above(skeleton, threshold)][:, :2]
    centre, half = np.zeros(2, np.float32), np.ones(2, np.float32)
    if len(found) and (np.ptp(found, axis=0) > 10).all():
        low, high = found.min(axis=0), found.max(axis=0)
        centre, half = (low + high) / 2, (high - low) / 2
    return about(skeleton, centre, half, threshold)


def found_above(skeleton: Skeleton, threshold: float) -> Bool[np.ndarray, "M T V"]:
    if skeleton.shape[-1] == 2:
        return np.ones(skeleton.shape[:3], dtype=bool)
    return skeleton[..., 2] > threshold


def about(
    skeleton: Skeleton,
    centre: Float[np.ndarray, " 2"],
    half: Float[np.ndarray, " 2"],
    threshold: float,
) -> Skeleton:
    """Places in units of `half` about `centre`, 0 where nothing was found."""
    places = (skeleton[..., :2] - centre) / half
    places[~found_above(skeleton, threshold)] = 0
    return np.concatenate([places, skeleton[..., 2:]], axis=-1)


def normalise_body(skeleton: Skeleton, layout: Layout) -> Skeleton:
    """Places about the middle of the shoulders, in shoulder widths, in the picture or in space.

    Middle and width are medians over the frames of a person's clip, so what moves still moves, and
    neither the camera nor a hand that is out of sight changes the rest. Missing joints become 0; a
    person whose shoulders are never seen together keeps the places.

    Raises:
        DataError: the layout has no shoulders.
    """
    sides = [place for place, joint in enumerate(layout.joints) if joint in SHOULDERS]
    if len(sides) != 2:
        raise DataError(
            f"{layout.name} has no shoulders to measure a body by; choose a layout of the body"
        )
    seen = present(skeleton, layout.axes)
    normalised = skeleton * seen[..., None]
    for person in range(len(skeleton)):
        both = seen[person][:, sides].all(axis=1)
        if not both.any():
            continue
        right, left = (skeleton[person, both, side, : layout.axes] for side in sides)
        middle = np.median((right + left) / 2, axis=0)
        width = np.median(np.linalg.norm(right - left, axis=1))
        own = normalised[person, ..., : layout.axes]
        own[seen[person]] = (own[seen[person]] - middle) / max(width, 1e-6)
    return normalised


class Normalised3D(NamedTuple):
    """A normalised clip.

    Attributes:
        skeleton: places about the body's centre, of the kept frames.
        frames: which frames of the input were kept.
        centre: what was subtracted, in the units of the input.
    """

    skeleton: Float32[np.ndarray, "M K V 3"]
    frames: Int[np.ndarray, " K"]
    centre: Float32[np.ndarray, " 3"]


def normalise_3d(
    skeleton: Float32[np.ndarray, "M T V 3"],
    centre: int = 1,
    spine: tuple[int, int] = (0, 1),
    shoulders: tuple[int, int] = (8, 4),
    align_spine: bool = True,
) -> Normalised3D:
    """Centres the body, stands it upright and turns it to the front; pyskl's PreNormalize3D.

    Frames without the first person are dropped; of two persons the one seen longer comes first.
    All is measured on that person in the first kept frame. An empty clip is returned as it is.

    Args:
        centre: the joint that becomes 0 (pyskl: 1 of `ntu25`, the last joint of other layouts).
        spine: bottom and top joint, turned to z.
        shoulders: right and left joint, turned to x; `spine` and this fit `ntu25`, `kinect20`.
        align_spine: False leaves out both turns, as DG-STGCN does.

    Raises:
        DataError: there are more than two persons.
    """
    if len(skeleton) > 2:
        raise DataError(
            f"a clip holds {len(skeleton)} persons, expected 1 or 2; keep those that are meant"
        )
    seen = ~np.isclose(skeleton, 0).all(axis=(2, 3))
    if not seen.any():
        return Normalised3D(skeleton, np.arange(skeleton.shape[1]), np.zeros(3, np.float32))
    if len(skeleton) == 2 and seen[1].sum() > seen[0].sum():
        skeleton, seen = skeleton[::-1], seen[::-1]
    frames = np.flatnonzero(seen[0])
    skeleton = skeleton[:, frames]
    origin = skeleton[0, 0, centre].copy()
    placed: np.ndarray = np.where(present(skeleton, 3)[..., None], skeleton - origin, 0)
    if align_spine:
        bottom, top = placed[0, 0, spine[0]], placed[0, 0, spine[1]]
        placed = placed @ turn_to(top - bottom, [0, 0, 1]).T
        right, left = placed[0, 0, shoulders[0]], placed[0, 0, shoulders[1]]
        placed = placed @ turn_to(right - left, [1, 0, 0]).T
    return Normalised3D(placed.astype(np.float32), frames, origin)


def turn_to(direction: Float[np.ndarray, " 3"], goal: list[int]) -> Float[np.ndarray, "3 3"]:
    """The rotation that takes a direction to a unit axis; none for a direction of no length."""
    axis = np.cross(direction.astype(np.float64), goal)
    length = np.linalg.norm(axis)
    if length < 1e-6:
        return np.eye(3)
    angle = np.arctan2(length, direction @ np.array(goal))
    return Rotation.from_rotvec(axis / length * angle).as_matrix()


def resample(
    skeleton: Skeleton, frames: int, axes: int = 2
) -> Float32[np.ndarray, "M {frames} V C"]:
    """Any number of frames to `frames`, linear in time, each frame the middle of its step.

    Between a frame with a joint and one without it, the nearer of the two counts: nothing is drawn
    out towards (0, 0).

    Raises:
        DataError: there is no frame.
    """
    given = skeleton.shape[1]
    if not given:
        raise DataError("a clip has no frames, so none can be drawn from it; take it out")
    # Rounded to float32 where torch's `interpolate` rounds.
    place = float(np.float32(given / frames)) * (np.arange(frames) + 0.5) - 0.5
    place = np.clip(place.astype(np.float32), 0, given - 1)
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, given - 1)
    share = (place - before)[:, None, None]
    seen = present(skeleton, axes)[..., None]
    first, second = skeleton[:, before], skeleton[:, after]
    between = first * (1 - share) + second * share
    nearer = np.where(share < 0.5, first, second)
    both = seen[:, before] & seen[:, after]
    return np.where(both, between, nearer).astype(np.float32)


def cut_middle(skeleton: Skeleton, frames: int) -> Float32[np.ndarray, "M L V C"]:
    """At most `frames` frames about the middle."""
    start = max(0, (skeleton.shape[1] - frames) // 2)
    return skeleton[:, start : start + frames]


def pad_frames(
    skeleton: Skeleton, frames: int, loop: bool = False
) -> Float32[np.ndarray, "M L V C"]:
    """At least `frames` frames: zeros after the end, or the clip once more."""
    given = skeleton.shape[1]
    if loop and given < frames:
        return skeleton[:, np.arange(frames) % given]
    return np.pad(skeleton, ((0, 0), (0, max(0, frames - given)), (0, 0), (0, 0)))


def fit_persons(skeleton: Skeleton, persons: int) -> Float32[np.ndarray, "{persons} T V C"]:
    """Exactly `persons`: the first ones, and zeros for the absent.

    (`mode="loop"` of pyskl's FormatGCNInput fills with zeros too: its copying never happens.)
    """
    absent = max(0, persons - len(skeleton))
    return np.pad(skeleton[:persons], ((0, absent), (0, 0), (0, 0), (0, 0)))
