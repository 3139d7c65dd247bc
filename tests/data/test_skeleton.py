"""Skeletons: what is missing stays missing, places by hand, and the numbers of published code."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.skeletons.geometry import (
    cut_middle,
    fit_persons,
    normalise_3d,
    normalise_body,
    normalise_box,
    normalise_picture,
    pad_frames,
    present,
    resample,
    turn_to,
)
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


def test_the_middle_of_the_picture_is_zero_and_its_corner_one(clip):
    places = normalise_picture(clip, size=(480, 640))
    assert_allclose(places[0, 0, 0], (0, 0, 0.9))
    assert_allclose(places[0, 0, 1], (1, 1, 0.5))


@pytest.mark.parametrize("normalise", [normalise_picture, normalise_box])
def test_a_missing_joint_is_never_normalised_into_a_pose(clip, normalise):
    assert not normalise(clip)[0, [0, 1, 3], 2].any()
    assert not normalise(np.zeros_like(clip)).any()


def test_the_box_spans_from_minus_one_to_one(clip):
    places = normalise_box(clip)[..., :2][present(clip)]
    assert_allclose([places.min(axis=0), places.max(axis=0)], [(-1, -1), (1, 1)])


def test_a_clip_keeps_what_it_was_given(clip):
    before = clip.copy()
    for change in (normalise_picture, normalise_box, lambda x: resample(x, 7)):
        change(clip)
    assert_array_equal(clip, before)


def test_resampling_to_as_many_frames_changes_nothing(clip):
    assert_array_equal(resample(clip, 4), clip)


def test_resampling_is_linear_in_time(clip):
    assert_allclose(resample(clip, 2)[0, :, 0, 0], (340, 420))
    assert_allclose(resample(clip, 8)[0, :, 0, 0], (320, 330, 350, 370, 390, 410, 430, 440))


def test_resampling_draws_no_joint_out_to_nothing(clip):
    joint = resample(clip, 8)[0, :, 2]
    assert_allclose(joint[present(resample(clip, 8))[0, :, 2]], [(100, 100, 0.8)] * 2)


def test_resampling_no_frames_is_refused():
    with pytest.raises(DataError, match="no frames"):
        resample(np.zeros((1, 0, 3, 3), np.float32), 4)


def test_scores_say_what_is_there_and_without_them_the_places(clip):
    assert present(clip)[0].sum(axis=0).tolist() == [4, 4, 1]
    assert present(np.ascontiguousarray(clip[..., :2]))[0].sum(axis=0).tolist() == [4, 4, 1]
    clip[0, 0, 0, 2] = 0
    assert not present(clip)[0, 0, 0]
    assert present(clip, axes=3)[0, 0, 0]


def test_a_body_is_moved_to_its_centre_turned_upright_and_to_the_front():
    body = np.zeros((1, 1, 25, 3), np.float32)
    body[0, 0, 0], body[0, 0, 1] = (5, 5, 5), (5, 7, 5)  # lies along y
    body[0, 0, 8], body[0, 0, 4] = (5, 7, 8), (5, 7, 2)
    placed = normalise_3d(body)
    assert_allclose(placed.centre, (5, 7, 5))
    assert_allclose(placed.skeleton[0, 0, 0], (0, 0, -2), atol=1e-6)
    assert_allclose(placed.skeleton[0, 0, [8, 4]], [(3, 0, 0), (-3, 0, 0)], atol=1e-6)
    assert not placed.skeleton[0, 0, 2].any()  # missing before, missing now


def test_of_two_persons_the_one_seen_longer_comes_first():
    bodies = np.ones((2, 4, 25, 3), np.float32)
    bodies[:, :, 1] = 5
    bodies[0, :2] = 0
    bodies[1, 3] = 0
    placed = normalise_3d(bodies, align_spine=False)
    assert placed.frames.tolist() == [0, 1, 2]
    assert present(placed.skeleton, axes=3)[:, :, 0].sum(axis=1).tolist() == [3, 1]


def test_a_crowd_is_refused():
    with pytest.raises(DataError, match="3 persons, expected 1 or 2"):
        normalise_3d(np.ones((3, 4, 25, 3), np.float32))


def test_an_empty_clip_stays_empty():
    assert not normalise_3d(np.zeros((2, 4, 25, 3), np.float32)).skeleton.any()


def test_turns_take_a_direction_to_its_goal():
    direction = np.array([1.0, 2.0, -2.0])
    assert_allclose(turn_to(direction, [0, 0, 1]) @ direction, (0, 0, 3), atol=1e-12)
    assert_array_equal(turn_to(np.zeros(3), [1, 0, 0]), np.eye(3))


def test_clips_are_cut_about_the_middle_and_padded_at_the_end(clip):
    assert_array_equal(cut_middle(clip, 2), clip[:, 1:3])
    assert_array_equal(cut_middle(clip, 9), clip)
    padded = pad_frames(clip, 6)
    assert_array_equal(padded[:, :4], clip)
    assert not padded[:, 4:].any()
    assert_array_equal(pad_frames(clip, 6, loop=True)[:, 4:], clip[:, :2])


def test_persons_are_cut_or_filled_to_a_number(clip):
    assert fit_persons(np.concatenate([clip] * 3), 2).shape == (2, 4, 3, 3)
    assert not fit_persons(clip, 2)[1].any()


def cases(shared, name):
    folder = shared / "fixtures" / "skeleton"
    with np.load(folder / f"transform_{name}.npz") as arrays:
        arrays = dict(arrays)
    return arrays, json.loads((folder / f"transform_{name}.json").read_text())["cases"]


@pytest.mark.shared
def test_normalised_pictures_equal_pyskls(shared):
    arrays, all_cases = cases(shared, "prenormalize")
    for case in (case for case in all_cases if case["steps"][0][0] == "PreNormalize2D"):
        options, given = case["steps"][0][1], case["inputs"]
        skeleton = arrays[given["keypoint"]["npz"]].astype(np.float32)
        if "keypoint_score" in given:
            score = arrays[given["keypoint_score"]["npz"]].astype(np.float32)
            skeleton = np.concatenate([skeleton, score[..., None]], axis=-1)
        threshold = options.get("threshold", 0.01)
        if options.get("mode") == "auto":
            ours = normalise_box(skeleton, threshold)
        else:
            size = tuple(given.get("img_shape", {"value": (1080, 1920)})["value"])
            ours = normalise_picture(skeleton, size, threshold)
        published = arrays[case["outputs"]["keypoint"]["npz"]]
        assert_allclose(ours, published, rtol=1e-5, atol=1e-6, err_msg=case["name"])


@pytest.mark.shared
def test_normalised_bodies_equal_pyskls(shared):
    arrays, all_cases = cases(shared, "prenormalize")
    for case in (case for case in all_cases if case["steps"][0][0] == "PreNormalize3D"):
        skeleton = arrays[case["inputs"]["keypoint"]["npz"]]
        centre = 1 if skeleton.shape[2] == 25 else skeleton.shape[2] - 1
        ours = normalise_3d(
            skeleton, centre, align_spine=case["steps"][0][1].get("align_spine", True)
        )
        published = {
            name: arrays[made["npz"]] if "npz" in made else made["value"]
            for name, made in case["outputs"].items()
        }
        near = {"rtol": 1e-5, "atol": 1e-6, "err_msg": case["name"]}
        assert_allclose(ours.skeleton, published["keypoint"], **near)
        assert len(ours.frames) == published["total_frames"]
        if "body_center" in published:
            assert_allclose(ours.centre, published["body_center"], **near)


@pytest.mark.shared
def test_padding_and_persons_equal_pyskls(shared):
    arrays, all_cases = cases(shared, "sampling")
    for case in (case for case in all_cases if case["name"].startswith(("format_", "padto_"))):
        options = case["steps"][0][1]
        skeleton = arrays[case["inputs"]["keypoint"]["npz"]]
        loop = options.get("mode") == "loop"
        if "length" in options:
            ours = pad_frames(skeleton, options["length"], loop)
        else:
            ours = fit_persons(skeleton, options["num_person"])[None]
        assert_array_equal(ours, arrays[case["outputs"]["keypoint"]["npz"]], case["name"])


@pytest.mark.shared
def test_frames_that_a_depth_camera_lost_are_dropped_or_stay_empty(shared):
    with np.load(shared / "data" / "skeleton" / "msraction3d.npz") as data:
        clips = [x[None, :length] for x, length in zip(data["x"], data["lengths"], strict=True)]
    lost = [clip for clip in clips if not present(clip, axes=3).any(axis=2).all()]
    assert len(lost) == 13
    for clip in lost:
        seen = present(clip, axes=3).any(axis=2)[0]
        placed = normalise_3d(clip, centre=6, spine=(6, 3), shoulders=(1, 0))
        assert placed.frames.tolist() == np.flatnonzero(seen).tolist()
        longer = resample(clip, 64, axes=3)
        there = present(longer, axes=3)
        assert not there.all()
        # Never nearer to the camera than the person was: nothing is drawn out to (0, 0, 0).
        assert longer[there][:, 2].min() >= clip[:, seen][..., 2].min() - 1e-4


def test_a_body_is_placed_by_its_shoulders_and_what_moves_still_moves():
    rng = np.random.default_rng(0)
    skeleton = rng.uniform(0, 100, (1, 9, 22, 3)).astype(np.float32)
    skeleton[..., 2] = 0.8
    skeleton[0, :, 2, :2], skeleton[0, :, 5, :2] = (40, 50), (80, 50)
    skeleton[0, 3, 2, :2] = 0, 0  # one bad frame does not count
    skeleton[0, :, 9] = (7, 7, 0)
    placed = normalise_body(skeleton, LAYOUTS["imigue22"])
    assert placed[0, 0, 2, :2].tolist() == [-0.5, 0] and placed[0, 0, 5, :2].tolist() == [0.5, 0]
    assert_allclose(placed[0, :, 4, :2], (skeleton[0, :, 4, :2] - (60, 50)) / 40, rtol=1e-5)
    assert not placed[0, :, 9].any()
    assert_allclose(placed[0, :, 4, 2], 0.8)
    moved = normalise_body(
        skeleton * np.float32([3, 3, 1]) + np.float32([5, 9, 0]), LAYOUTS["imigue22"]
    )
    keep = [v for v in range(22) if v not in (2, 9)]
    assert_allclose(moved[:, :, keep], placed[:, :, keep], atol=1e-5)


def test_a_body_without_shoulders_keeps_its_places():
    skeleton = np.ones((1, 4, 22, 3), np.float32)
    skeleton[:, :, 2] = 0
    assert_array_equal(normalise_body(skeleton, LAYOUTS["imigue22"]), skeleton)
    with pytest.raises(DataError, match="right_hand21 has no shoulders"):
        normalise_body(np.ones((1, 4, 21, 3), np.float32), LAYOUTS["right_hand21"])
