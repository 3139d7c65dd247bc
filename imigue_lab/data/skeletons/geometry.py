"""Skeleton arrays: which joints were found, normalisation by the body, resampling in time.

Letters in shapes: M persons, T frames, V joints, C channels: x, y, score, or x, y, z in space.
A missing joint has score 0 (in space: all zeros), and is never normalised into a pose.

Source: resampling as in the published code of CTR-GCN (Chen et al., ICCV 2021).
"""

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
    others = skeleton[..., places.shape[-1] :]
    return np.concatenate([places.astype(np.float32), others], axis=-1)


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
    both = np.asarray(present(pair, axes)).all(axis=-1, keepdims=True)
    return mean * both


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
    both = seen[:, before] & seen[:, after]
    return np.where(both, between, nearer).astype(np.float32)


def extent(person: Float32[np.ndarray, "V 3"]) -> float:
    """Diagonal of the box around the detected joints, in pixels."""
    seen = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(np.ptp(seen, axis=0))) if len(seen) > 1 else 0.0


def distance(person: Float32[np.ndarray, "V 3"], other: Float32[np.ndarray, "V 3"]) -> float:
    """Mean distance of the joints detected in both, in pixels; infinite if there are none."""
    both = (person[:, 2] > 0) & (other[:, 2] > 0)
    apart = np.linalg.norm((person - other)[both, :2], axis=1)
    return float(apart.mean()) if both.any() else np.inf
