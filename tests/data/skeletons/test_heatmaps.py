"""Heatmaps: joints and limbs by hand, pyskl's pixels, the device and dtype of the input."""

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from imigue_lab.data.skeletons.augment import TEST_SEED, sample_uniform
from imigue_lab.data.skeletons.geometry import crop, person_box, resize
from imigue_lab.data.skeletons.heatmaps import joint_heatmaps, limb_heatmaps, limbs
from imigue_lab.data.skeletons.keypoints import LAYOUTS

COCO = LAYOUTS["coco17"]


def posed(*joints, frames=1):
    """One person of a few joints (x, y, score), the same in all frames."""
    return torch.tensor(joints, dtype=torch.float32).expand(1, frames, -1, -1)


def test_a_joint_is_a_gaussian_scaled_by_its_score():
    maps = joint_heatmaps(posed((3, 5, 0.8), (0, 0, 0)), (8, 10), sigma=1.0)
    assert maps.shape == (2, 1, 8, 10)
    assert maps[0, 0, 5, 3].item() == pytest.approx(0.8)
    assert maps[0, 0, 5, 5].item() == pytest.approx(0.8 * np.exp(-2))
    assert maps[0, 0, 4, 2].item() == pytest.approx(0.8 * np.exp(-1))
    assert not maps[0, 0, 5, 7:].any() and not maps[0, 0, 1].any()  # beyond 3 sigma
    assert not maps[1].any()  # a missing joint


def test_a_limb_connects_its_ends_with_the_lower_of_both_scores():
    maps = limb_heatmaps(posed((2, 4, 0.9), (7, 4, 0.5), (0, 0, 0)), ((0, 1), (1, 2)), (9, 10))
    assert maps.shape == (2, 1, 9, 10)
    assert_close(maps[0, 0, 4, 2:8], torch.full((6,), 0.5))
    beside = 0.5 * np.exp(-1 / (2 * 0.6**2))
    assert_close(maps[0, 0, 3, 2:8], torch.full((6,), beside, dtype=torch.float32))
    assert maps[0, 0, 4, 1].item() == pytest.approx(beside)
    assert not maps[1].any()  # towards a missing joint


def test_mmgesture36_has_the_published_limbs_which_exchange_sides_as_published():
    layout = LAYOUTS["mmgesture36"]
    pairs = limbs(layout)
    assert len(pairs) == 36 and pairs[:2] == ((0, 1), (0, 8)) and pairs[-1] == (0, 19)
    assert {joint for pair in pairs for joint in pair} == set(range(36))
    other = [frozenset(layout.mirrored[joint] for joint in pair) for pair in pairs]
    exchanged = {(n, [frozenset(own) for own in pairs].index(to)) for n, to in enumerate(other)}
    swaps = [(1, 3), (2, 4), (5, 6), (7, 10), (8, 11), (9, 12), (13, 14), (16, 15), (17, 20)]
    swaps += [(18, 21), (19, 22), *zip(range(23, 29), range(29, 35), strict=True)]
    stay = {(0, 0), (35, 35)}
    assert exchanged == stay | set(swaps) | {(right, left) for left, right in swaps}


def test_a_limb_shorter_than_a_pixel_is_drawn_as_its_first_joint():
    pair = posed((4, 4, 0.9), (4.5, 4.5, 0.4))
    assert_close(limb_heatmaps(pair, ((0, 1),), (9, 9)), joint_heatmaps(pair, (9, 9))[:1])


def test_two_persons_are_combined_by_the_maximum():
    both = torch.cat([posed((3, 3, 0.4)), posed((3, 3, 0.7))])
    two, *single = (joint_heatmaps(persons, (6, 6)) for persons in (both, both[:1], both[1:]))
    assert_close(two, torch.maximum(*single))
    assert two.max().item() == pytest.approx(0.7)


def test_leading_axes_and_the_dtype_of_the_input_are_kept():
    torch.manual_seed(0)
    clips = torch.rand(2, 3, 1, 4, 17, 3, dtype=torch.float64)
    clips[..., :2] *= 16
    joints, strokes = joint_heatmaps(clips, (16, 12)), limb_heatmaps(clips, limbs(COCO), (16, 12))
    assert joints.shape == strokes.shape == (2, 3, 17, 4, 16, 12)
    assert joints.dtype == strokes.dtype == torch.float64
    assert_close(joints[1, 2], joint_heatmaps(clips[1, 2], (16, 12)))
    assert_close(strokes[1, 2], limb_heatmaps(clips[1, 2], limbs(COCO), (16, 12)))


def test_maps_are_drawn_on_the_device_of_the_skeletons():
    skeletons = torch.zeros(2, 1, 4, 17, 3, device="meta")
    assert joint_heatmaps(skeletons, (8, 8)).device.type == "meta"
    assert limb_heatmaps(skeletons, limbs(COCO), (8, 8)).device.type == "meta"


def published(shared):
    folder = shared / "fixtures" / "skeleton"
    with np.load(folder / "transform_heatmap.npz") as arrays:
        arrays = dict(arrays)
    return arrays, json.loads((folder / "transform_heatmap.json").read_text())["cases"]


def skeleton_of(case, arrays, use_score=True):
    given = case["inputs"]
    skeleton = arrays[given["keypoint"]["npz"]]
    if use_score and "keypoint_score" in given:
        score = arrays[given["keypoint_score"]["npz"]]
        skeleton = np.concatenate([skeleton, score[..., None]], axis=-1)
    return skeleton


@pytest.mark.shared
def test_every_pixel_equals_pyskls(shared):
    arrays, cases = published(shared)
    for case in cases:
        drawing = next(options for name, options in case["steps"] if name == "GeneratePoseTarget")
        skeleton = skeleton_of(case, arrays, drawing.get("use_score", True))
        size = tuple(case["inputs"]["img_shape"]["value"])
        clips = skeleton[None]
        if case["name"].startswith("pipeline"):
            rng = np.random.RandomState(TEST_SEED)
            draws = sample_uniform(skeleton.shape[1], 4, rng, clips=2, spread=True)
            # cropped and resized once for all clips, as published
            frames = skeleton[:, draws.ravel()]
            box = person_box(frames, size)
            frames = resize(crop(frames, box), box[2:], (20, 20))
            clips, size = np.stack([frames[:, :4], frames[:, 4:]]), (20, 20)
        scale = drawing.get("scaling", 1)
        clips = torch.from_numpy(clips * np.float32([scale, scale, 1][: clips.shape[-1]]))
        size = tuple(int(side * scale + 0.5) for side in size)
        if drawing.get("with_limb"):
            pairs = tuple(map(tuple, drawing.get("skeletons", DEFAULT)))
            assert "skeletons" not in drawing or pairs == limbs(COCO)
            ours = limb_heatmaps(clips, pairs, size, drawing.get("sigma", 0.6))
        else:
            ours = joint_heatmaps(clips, size, drawing.get("sigma", 0.6))
        expected = torch.from_numpy(arrays[case["outputs"]["imgs"]["npz"]])
        if not case["name"].startswith("pipeline"):
            ours = ours.permute(0, 2, 1, 3, 4).flatten(0, 1)
        if drawing.get("double"):
            expected = expected[: len(ours)]  # without the mirrored copy
        assert_close(ours, expected, rtol=1e-5, atol=1e-6, msg=lambda m, c=case: c["name"] + m)
    assert len(cases) == 11


# pyskl's order where a configuration names none
DEFAULT = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (5, 7), (7, 9), (0, 6), (6, 8), (8, 10)),
    *((5, 11), (11, 13), (13, 15), (6, 12), (12, 14), (14, 16), (11, 12)),
)
