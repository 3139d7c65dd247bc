"""Augmentations: by hand, what they leave unchanged, and the numbers of published code."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.skeletons.augment import (
    augmented,
    flip,
    random_scale,
    random_turn_2d,
    random_turn_3d,
)
from imigue_lab.data.skeletons.keypoints import LAYOUTS

COCO = LAYOUTS["coco17"]


def seeded(seed=0):
    return np.random.RandomState(seed)


@pytest.fixture
def clip():
    """Both wrists of a person whose other joints are missing, normalised."""
    skeleton = np.zeros((1, 2, 17, 3), np.float32)
    skeleton[0, :, COCO.joints.index("right_wrist")] = (0.3, 0.4, 0.9)
    skeleton[0, :, COCO.joints.index("left_wrist")] = (-0.1, 0.2, 0.5)
    return skeleton


CHANGES = {
    "scale": lambda x, rng: random_scale(x, rng),
    "turn": lambda x, rng: random_turn_2d(x, rng),
    "mirror": lambda x, rng: augmented(x, COCO, rng, "mirror"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_scores_and_missing_joints_stay(clip, change):
    for seed in range(5):
        changed = change(clip, seeded(seed))
        assert sorted(changed[..., 2].ravel()) == sorted(clip[..., 2].ravel())
        assert not changed[changed[..., 2] == 0].any()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_draw_is_repeatable_and_leaves_the_global_generator_and_the_clip_unchanged(clip, change):
    state, before = np.random.get_state()[1].copy(), clip.copy()
    assert_array_equal(change(clip, seeded(7)), change(clip, seeded(7)))
    assert_array_equal(np.random.get_state()[1], state)
    assert_array_equal(clip, before)


def test_rotations_keep_the_distance_from_the_origin(clip):
    turned = random_turn_2d(clip, seeded())
    assert not np.allclose(turned, clip)
    lengths = np.linalg.norm(turned[..., :2], axis=-1)
    assert_allclose(lengths, np.linalg.norm(clip[..., :2], axis=-1), atol=1e-6)
    body = seeded().normal(size=(1, 2, 25, 3)).astype(np.float32)
    lengths = np.linalg.norm(random_turn_3d(body, seeded()), axis=-1)
    assert_allclose(lengths, np.linalg.norm(body, axis=-1), rtol=1e-5)


def test_a_rotation_takes_the_place_of_the_angles_and_needs_no_other_augmentation(clip):
    assert_array_equal(augmented(clip, COCO, seeded(), "none"), clip)
    wide = random_turn_2d(clip, seeded(3), -0.6, 0.6)
    assert_array_equal(augmented(clip, COCO, seeded(3), "none", 0.6), wide)
    for angle, given in ((0.15, {}), (0.6, {"rotation": 0.6})):
        rng = seeded(3)
        expected = random_turn_2d(random_scale(clip, rng, 0.1), rng, -angle, angle)
        assert_array_equal(augmented(clip, COCO, seeded(3), "turn", **given), expected)
    body = seeded().normal(size=(1, 2, 20, 3)).astype(np.float32)
    turned = augmented(body, LAYOUTS["kinect20"], seeded(3), "none", 0.6)
    assert_array_equal(turned, random_turn_3d(body, seeded(3), 0.6))


def test_no_angle_is_drawn_for_an_empty_clip(clip):
    source = seeded()
    random_turn_2d(np.zeros_like(clip), source)
    random_turn_3d(np.zeros_like(clip), source)
    assert source.rand() == seeded().rand()


def test_each_axis_has_its_own_scale(clip):
    scaled = random_scale(clip, seeded(), amount=0.5)
    factors = scaled[..., :2][clip[..., 2] > 0] / clip[..., :2][clip[..., 2] > 0]
    assert_allclose(factors, np.broadcast_to(factors[0], factors.shape), rtol=1e-6)
    assert factors[0, 0] != factors[0, 1]


def test_flipping_swaps_the_right_and_the_left_wrist(clip):
    flipped = flip(clip, COCO)[0, 0]
    assert_allclose(flipped[COCO.joints.index("left_wrist")], (-0.3, 0.4, 0.9))
    assert_allclose(flipped[COCO.joints.index("right_wrist")], (0.1, 0.2, 0.5))


def test_two_flips_cancel_out(clip):
    assert_array_equal(flip(flip(clip, COCO), COCO), clip)
    pixels = clip * np.float32([100, 100, 1])
    assert_allclose(flip(flip(pixels, COCO, 640), COCO, 640), pixels, rtol=1e-5)


def test_half_of_the_clips_are_mirrored(clip):
    source, left = seeded(), COCO.joints.index("left_wrist")
    scores = [augmented(clip, COCO, source, "mirror")[0, 0, left, 2] for _ in range(400)]
    mirrored = np.isclose(scores, 0.9)
    assert 160 < mirrored.sum() < 240 and np.isclose(scores, 0.5)[~mirrored].all()


@pytest.fixture
def published(shared):
    folder = shared / "fixtures" / "skeleton"
    cases = json.loads((folder / "transform_augment.json").read_text())["cases"]
    with np.load(folder / "transform_augment.npz") as arrays:
        return dict(arrays), {case["name"]: case for case in cases}


def assert_near(ours, expected):
    assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("seed", [0, 1])
def test_draws_equal_pyskls(published, seed):
    arrays, _ = published
    for name, change in {
        "rot3d_default": lambda x, rng: random_turn_3d(x, rng),
        "rot3d_02": lambda x, rng: random_turn_3d(x, rng, 0.2),
        "rot2d": lambda x, rng: random_turn_2d(x, rng, -0.3, 1.0),
        "scale01": lambda x, rng: random_scale(x, rng, 0.1, axes=3),
        "scale_default2d": lambda x, rng: random_scale(x, rng),
    }.items():
        skeleton = arrays[f"{name}_s{seed}/in/keypoint"]
        assert_near(change(skeleton, seeded(seed)), arrays[f"{name}_s{seed}/out/keypoint"])


@pytest.mark.shared
def test_flipping_equals_pyskls(published):
    arrays, _ = published
    joined = {
        side: np.concatenate(
            [
                arrays[f"flip_always/{side}/keypoint"],
                arrays[f"flip_always/{side}/keypoint_score"][..., None],
            ],
            axis=-1,
        )
        for side in ("in", "out")
    }
    assert_near(flip(joined["in"], COCO, width=640), joined["out"])
