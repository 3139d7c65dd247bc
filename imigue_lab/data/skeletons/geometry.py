"""Skeleton arrays: which joints were found, normalisation by the body, resampling in time.

Letters in shapes: M persons, T frames, V joints, C channels: x, y, score, or x, y, z in space.
A missing joint has score 0 (in space: all zeros), and is never normalised into a pose.

Source: resampling as in the published code of CTR-GCN (Chen et al., ICCV 2021).
"""

import numpy as np
from jaxtyping import Bool, Float, Float32

from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.errors import DataError

SHOULDERS = ("right_shoulder", "left_shoulder")
Skeleton = Float32[np.ndarray, "M T V C"]


def with_places(skeleton: Skeleton, places: Float[np.ndarray, "M T V axes"]) -> Skeleton:
    """The skeleton with other coordinates; scores stay."""
    others = skeleton[..., places.shape[-1] :]
    return np.concatenate([places.astype(np.float32), others], axis=-1)


def present(skeleton: Skeleton, axes: int = 2) -> Bool[np.ndarray, "M T V"]:
    """True where a joint was found: a positive score, or without scores a nonzero coordinate.

    `axes` are 2 for x and y (a third channel is a score), 3 in space.
    """
    if skeleton.shape[-1] > axes:
        return skeleton[..., axes] > 0
    return (skeleton != 0).any(axis=-1)


def normalise_body(skeleton: Skeleton, layout: Layout) -> Skeleton:
    """Coordinates relative to the midpoint of the shoulders, in units of the shoulder width.

    Midpoint and width are medians over the frames of a person's clip, so that movement is kept and
    neither the camera nor a hidden hand changes the other joints. Missing joints become 0; a person
    whose shoulders never appear in the same frame keeps the coordinates. Raises DataError for a
    layout without shoulders.
    """
    sides = [index for index, joint in enumerate(layout.joints) if joint in SHOULDERS]
    if len(sides) != 2:
        raise DataError(
            f"{layout.name} has no shoulders, by which a body is normalised; choose a body layout"
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
    both = seen[:, before] & seen[:, after]
    return np.where(both, between, nearer).astype(np.float32)
