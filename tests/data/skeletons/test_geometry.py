"""Skeleton arrays: missing joints, resampling, and normalisation by the body."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.skeletons.geometry import normalise_body, present, resample
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError


@pytest.fixture
def clip():
    """One person, four frames, three joints; the last joint is missing, except in frame 2."""
    skeleton = np.zeros((1, 4, 3, 3), np.float32)
    skeleton[0, :, 0] = [(320 + 40 * t, 240, 0.9) for t in range(4)]
    skeleton[0, :, 1] = (640, 480, 0.5)
    skeleton[0, 2, 2] = (100, 100, 0.8)
    return skeleton


def test_resampling_to_the_same_length_changes_nothing(clip):
    assert_array_equal(resample(clip, 4), clip)


def test_resampling_leaves_the_input_unchanged(clip):
    before = clip.copy()
    resample(clip, 7)
    assert_array_equal(clip, before)


def test_resampling_is_linear_in_time(clip):
    assert_allclose(resample(clip, 2)[0, :, 0, 0], (340, 420))
    assert_allclose(resample(clip, 8)[0, :, 0, 0], (320, 330, 350, 370, 390, 410, 430, 440))


def test_resampling_interpolates_no_joint_towards_a_missing_one(clip):
    joint = resample(clip, 8)[0, :, 2]
    assert_allclose(joint[present(resample(clip, 8))[0, :, 2]], [(100, 100, 0.8)] * 2)


def test_resampling_a_clip_without_frames_is_refused():
    with pytest.raises(DataError, match="a clip has no frames, expected at least 1"):
        resample(np.zeros((1, 0, 3, 3), np.float32), 4)


def test_joints_are_present_by_score_or_without_scores_by_coordinates(clip):
    assert present(clip)[0].sum(axis=0).tolist() == [4, 4, 1]
    assert present(np.ascontiguousarray(clip[..., :2]))[0].sum(axis=0).tolist() == [4, 4, 1]
    clip[0, 0, 0, 2] = 0
    assert not present(clip)[0, 0, 0]
    assert present(clip, axes=3)[0, 0, 0]


@pytest.mark.shared
def test_resampled_clips_equal_the_ctrgcn_feeders(shared):
    folder = shared / "fixtures" / "skeleton"
    arrays = np.load(folder / "transform_ctrgcn_feeder.npz")
    cases = json.loads((folder / "transform_ctrgcn_feeder.json").read_text())["cases"]
    for case in (case for case in cases if case["op"] == "valid_crop_resize"):
        skeleton = np.ascontiguousarray(arrays[f"{case['name']}/in"].transpose(3, 1, 2, 0))
        frames, (low, *high) = skeleton.shape[1], case["p_interval"]
        if high:  # a random part, at least 64 frames
            rng = np.random.RandomState(case["np_random_seed"])
            wanted = int(frames * (rng.rand() * (float(high[0]) - low) + low))
            kept = min(max(wanted, 64), frames)
            start = rng.randint(frames - kept + 1)
            part = skeleton[:, start : start + kept]
        else:  # the centre
            aside = int((1 - low) * frames / 2)
            part = skeleton[:, aside : frames - aside]
        ours = resample(part, case["window"], axes=3).transpose(3, 1, 2, 0)
        expected = arrays[f"{case['name']}/out"]
        assert_allclose(ours, expected, rtol=1e-5, atol=1e-6, err_msg=case["name"])


@pytest.mark.shared
def test_frames_that_a_depth_camera_lost_are_not_interpolated_towards_the_camera(shared):
    with np.load(shared / "data" / "skeleton" / "msraction3d.npz") as data:
        clips = [x[None, :length] for x, length in zip(data["x"], data["lengths"], strict=True)]
    lost = [clip for clip in clips if not present(clip, axes=3).any(axis=2).all()]
    assert len(lost) == 13
    for clip in lost:
        seen = present(clip, axes=3).any(axis=2)[0]
        longer = resample(clip, 64, axes=3)
        found = present(longer, axes=3)
        assert not found.all()
        # Never nearer to the camera than the person was: no joint moves towards (0, 0, 0).
        assert longer[found][:, 2].min() >= clip[:, seen][..., 2].min() - 1e-4


def test_a_body_is_normalised_by_its_shoulders_and_keeps_its_movement():
    rng = np.random.default_rng(0)
    skeleton = rng.uniform(0, 100, (1, 9, 22, 3)).astype(np.float32)
    skeleton[..., 2] = 0.8
    skeleton[0, :, 2, :2], skeleton[0, :, 5, :2] = (40, 50), (80, 50)
    skeleton[0, 3, 2, :2] = 0, 0  # one bad frame does not count
    skeleton[0, :, 9] = (7, 7, 0)
    normalised = normalise_body(skeleton, LAYOUTS["imigue22"])
    assert normalised[0, 0, [2, 5], :2].tolist() == [[-0.5, 0], [0.5, 0]]
    assert_allclose(normalised[0, :, 4, :2], (skeleton[0, :, 4, :2] - (60, 50)) / 40, rtol=1e-5)
    assert not normalised[0, :, 9].any()
    assert_allclose(normalised[0, :, 4, 2], 0.8)
    moved = normalise_body(
        skeleton * np.float32([3, 3, 1]) + np.float32([5, 9, 0]), LAYOUTS["imigue22"]
    )
    keep = [v for v in range(22) if v not in (2, 9)]
    assert_allclose(moved[:, :, keep], normalised[:, :, keep], atol=1e-5)


def test_a_body_without_shoulders_keeps_its_coordinates():
    skeleton = np.ones((1, 4, 22, 3), np.float32)
    skeleton[:, :, 2] = 0
    assert_array_equal(normalise_body(skeleton, LAYOUTS["imigue22"]), skeleton)


def test_a_hand_is_normalised_by_its_root_and_its_mean_bone():
    hand, rng = LAYOUTS["right_hand21"], np.random.default_rng(0)
    skeleton = rng.uniform(1, 2, (1, 4, 21, 3)).astype(np.float32)
    normalised = normalise_body(skeleton, hand)
    moved = normalise_body(skeleton * np.float32([3, 3, 1]) + np.float32([5, 9, 0]), hand)
    assert_allclose(moved, normalised, atol=1e-5)
    assert_allclose(np.median(normalised[0, :, hand.root, :2], axis=0), 0, atol=1e-6)
