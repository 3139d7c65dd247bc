"""What a network sees of a recording: which of its frames, and augmentations that keep the class.

Letters in shapes: M persons, T frames, V joints, C channels; N clips sampled from one recording, L
frames of each. Missing joints are 0 and stay 0.

Random numbers come from a `numpy.random.RandomState` argument, whose stream is frozen: a draw is
the same in all versions of NumPy, and the same as in published code after ``numpy.random.seed``.

Source: pyskl's RandomScale, RandomRot and Flip, and UniformSample and UniformSampleDecode (Duan et
al., CVPR 2022, PoseConv3D, section 3.2).
"""

from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.random import RandomState

from imigue_lab.data.skeletons.geometry import Skeleton, with_places
from imigue_lab.data.skeletons.keypoints import Layout

Augment = Literal["none", "turn", "mirror"]

SCALE, TURN_2D, TURN_3D = 0.1, 0.15, 0.3  # share of the size; radians


def augmented(
    skeleton: Skeleton, layout: Layout, rng: RandomState, how: Augment, rotation: float = 0.0
) -> Skeleton:
    """A training clip, normalised about 0, after one of three recipes.

    `none`; `turn` scales each axis by up to 10 % and rotates by up to 0.15 radians in the picture,
    0.3 about each axis in space; `mirror` also flips half of the clips. A `rotation` in radians
    takes the place of these angles, and rotates without scaling after `none`.
    """
    if how != "none":
        skeleton = random_scale(skeleton, rng, SCALE, layout.axes)
        rotation = rotation or (TURN_3D if layout.axes == 3 else TURN_2D)
    if rotation and layout.axes == 3:
        skeleton = random_turn_3d(skeleton, rng, rotation)
    elif rotation:
        skeleton = random_turn_2d(skeleton, rng, -rotation, rotation)
    return flip(skeleton, layout) if how == "mirror" and rng.rand() < 0.5 else skeleton


def random_scale(
    skeleton: Skeleton, rng: RandomState, amount: float = 0.2, axes: int = 2
) -> Skeleton:
    """Each of `axes` coordinates times ``1 + amount U(-1, 1)``, drawn once a clip; scores stay."""
    factors = np.ones(skeleton.shape[-1])
    factors[:axes] += rng.uniform(-1, 1, size=axes) * amount
    return (skeleton * factors).astype(np.float32)


def random_turn_2d(
    skeleton: Skeleton, rng: RandomState, low: float = -0.3, high: float = 0.3
) -> Skeleton:
    """Rotates the picture about (0, 0), so normalise first; scores stay.

    The angle is between `low` and `high` in radians. (pyskl: -0.3 to 1.0.)
    """
    if np.isclose(skeleton[..., :2], 0).all():
        return skeleton
    angle = rng.uniform(low, high)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return with_places(skeleton, skeleton[..., :2] @ turn.T)


def random_turn_3d(skeleton: Skeleton, rng: RandomState, theta: float = 0.3) -> Skeleton:
    """``x' = R_z R_y R_x x`` with three clockwise angles within ±`theta` radians."""
    if np.isclose(skeleton, 0).all():
        return skeleton
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", -rng.uniform(-theta, theta, size=3)).as_matrix()
    return with_places(skeleton, skeleton[..., :3] @ turn.T)


def flip(skeleton: Skeleton, layout: Layout, width: int | float = 0) -> Skeleton:
    """Mirrors x in a picture of `width` pixels (0: about 0), and swaps left and right joints."""
    flipped = skeleton[:, :, layout.mirrored]
    x = flipped[..., 0]
    flipped[..., 0] = np.where(x != 0, width - x, 0)
    return flipped


TEST_SEED = 255  # pyskl's evaluation seeds every clip with it


def sample_uniform(
    frames: int,
    length: int,
    rng: np.random.RandomState,
    clips: int = 1,
    spread: bool = False,
    share: tuple[float, float] = (1.0, 1.0),
) -> Int[np.ndarray, "N L"]:
    """`length` frame indices in order, one from each of `length` equal segments.

    A recording shorter than `length` is repeated from its start; one with fewer than two frames a
    segment skips `frames - length` frames at random.

    Args:
        spread: clips of short recordings start at evenly spaced frames, as in pyskl's evaluation
            (`UniformSample` with `RandomState(TEST_SEED)`), instead of random ones.
        share: size of a random contiguous part of the recording to sample from, as a range.
    """
    draws = []
    for clip in range(clips):
        part = int((rng.rand() * (share[1] - share[0]) + share[0]) * frames)
        first = rng.randint(frames - part + 1)
        if part >= length:
            draw = one_of_each(part, length, rng)
        elif spread:
            draw = np.arange(length) + (clip if part < clips else clip * part // clips)
        else:
            draw = np.arange(length) + rng.randint(part)
        draws.append((draw + first) % frames)
    return np.stack(draws)


def one_of_each(frames: int, length: int, rng: np.random.RandomState) -> Int[np.ndarray, " L"]:
    """`length` indices in order out of at least `length` frames."""
    if frames < 2 * length:
        skipped = np.zeros(length + 1, dtype=np.int64)
        skipped[rng.choice(length + 1, frames - length, replace=False)] = 1
        return np.arange(length) + skipped.cumsum()[:-1]
    border = np.arange(length + 1) * frames // length
    return border[:-1] + rng.randint(np.diff(border))


def sample_windows(
    frames: int, length: int, stride: int, clips: int, rng: np.random.RandomState | None
) -> Int[np.ndarray, "N L"]:
    """Every `stride`-th frame from a random start; without `rng`, from evenly spaced ones.

    A shorter recording is repeated from its start.
    """
    starts = max(1, frames - (length - 1) * stride)
    if rng is None:
        first = (2 * np.arange(clips) + 1) * starts // (2 * clips)
    else:
        first = rng.randint(starts, size=clips)
    return (first[:, None] + stride * np.arange(length)) % frames
