"""Augmentations that keep a gesture's class: scaling, rotation, and swapping left and right.

Letters in shapes: M persons, T frames, V joints, C channels. Missing joints are 0 and stay 0.
Random numbers come from a `numpy.random.RandomState` argument.

Source: pyskl's RandomScale, RandomRot and Flip.
"""

from typing import Literal

import numpy as np
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
    angles = rng.uniform(-theta, theta, size=3)
    (a, b, c), (p, q, r) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, a, p], [0, -p, a]])
    about_y = np.array([[b, 0, -q], [0, 1, 0], [q, 0, b]])
    about_z = np.array([[c, r, 0], [-r, c, 0], [0, 0, 1]])
    return with_places(skeleton, skeleton[..., :3] @ (about_z @ about_y @ about_x).T)


def flip(skeleton: Skeleton, layout: Layout, width: int | float = 0) -> Skeleton:
    """Mirrors x in a picture of `width` pixels (0: about 0), and swaps left and right joints."""
    flipped = skeleton[:, :, layout.mirrored]
    x = flipped[..., 0]
    flipped[..., 0] = np.where(x != 0, width - x, 0)
    return flipped
