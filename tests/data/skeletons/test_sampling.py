"""Sampling: frames in order, one of each part, draws that repeat, and the published numbers."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.skeletons.geometry import fit_persons, resample
from imigue_lab.data.skeletons.sampling import (
    TEST_SEED,
    crop_centre,
    crop_random,
    sample_uniform,
    take_clips,
)


def seeded(seed=0):
    return np.random.RandomState(seed)


@pytest.mark.parametrize("frames", [1, 5, 15, 16, 17, 31, 32, 33, 500])
def test_frames_are_there_and_in_order_but_for_one_turn_around(frames):
    drawn = sample_uniform(frames, 16, seeded(), clips=3)
    assert drawn.shape == (3, 16)
    assert drawn.min() >= 0 and drawn.max() < frames
    if frames >= 16:
        assert (np.diff(drawn) > 0).all()


def test_each_part_gives_one_frame():
    assert_array_equal(sample_uniform(40, 4, seeded())[0] // 10, range(4))


def test_a_short_recording_runs_on_from_its_start():
    assert sample_uniform(3, 5, seeded(), spread=True).tolist() == [[0, 1, 2, 0, 1]]
    starts = sample_uniform(10, 12, seeded(), clips=5, spread=True)[:, 0]
    assert starts.tolist() == [0, 2, 4, 6, 8]


def test_a_share_draws_from_one_part_of_the_recording():
    drawn = sample_uniform(100, 10, seeded(), clips=50, share=(0.5, 0.5))
    assert (drawn.max(axis=1) - drawn.min(axis=1) < 50).all()
    assert drawn.min() < 10 and drawn.max() > 90


def test_draws_depend_on_the_source_alone_and_leave_the_global_one():
    before = np.random.get_state()[1].copy()
    first, again = (sample_uniform(50, 20, seeded(3)) for _ in range(2))
    assert_array_equal(first, again)
    assert_array_equal(np.random.get_state()[1], before)


def test_clips_are_taken_frame_by_frame():
    skeleton = np.arange(12, dtype=np.float32).reshape(2, 6, 1, 1)
    clips = take_clips(skeleton, np.array([[0, 5], [1, 2]]))
    assert clips.shape == (2, 2, 2, 1, 1)
    assert clips[..., 0, 0].tolist() == [[[0, 5], [6, 11]], [[1, 2], [7, 8]]]


def test_crops_are_contiguous_and_keep_their_least():
    skeleton = np.arange(100, dtype=np.float32).reshape(1, 100, 1, 1)
    assert_array_equal(crop_centre(skeleton, 0.5).ravel(), range(25, 75))
    for seed in range(20):
        part = crop_random(skeleton, seeded(seed)).ravel()
        assert 64 <= len(part) <= 100
        assert_array_equal(np.diff(part), 1)
    assert crop_random(skeleton[:, :30], seeded()).shape[1] == 30


@pytest.fixture
def published(shared):
    folder = shared / "fixtures" / "skeleton"

    def read(name):
        cases = json.loads((folder / f"transform_{name}.json").read_text())["cases"]
        with np.load(folder / f"transform_{name}.npz") as arrays:
            return dict(arrays), cases

    return read


@pytest.mark.shared
def test_every_frame_number_equals_pyskls(published):
    arrays, cases = published("sampling")
    count = 0
    for case in cases:
        step, options = case["steps"][0]
        if not step.startswith("UniformSample"):
            continue
        count += 1
        given = case["inputs"]
        test = given["test_mode"]["value"]
        drawn = sample_uniform(
            given["total_frames"]["value"],
            options["clip_len"],
            seeded(TEST_SEED if test else case["np_random_seed"]),
            options.get("num_clips", 1),
            spread=test and step != "UniformSampleDecode",
            share=tuple(map(float, options.get("p_interval", (1, 1)))),
        )
        if "frame_inds" in case["outputs"]:
            expected = arrays[case["outputs"]["frame_inds"]["npz"]]
            assert_array_equal(drawn.ravel(), expected, case["name"])
            continue
        clips = take_clips(arrays[given["keypoint"]["npz"]], drawn)
        expected = arrays[case["outputs"]["keypoint"]["npz"]]
        if case["name"] == "us_decode_format":
            clips = np.stack([fit_persons(clip, 2) for clip in clips])
        else:
            clips = clips.transpose(1, 0, 2, 3, 4).reshape(expected.shape)
        assert_array_equal(clips, expected, case["name"])
    assert count > 100


@pytest.mark.shared
def test_cropped_and_resampled_clips_equal_the_ctrgcn_feeders(published):
    arrays, cases = published("ctrgcn_feeder")
    for case in (case for case in cases if case["op"] == "valid_crop_resize"):
        skeleton = np.ascontiguousarray(arrays[f"{case['name']}/in"].transpose(3, 1, 2, 0))
        low, *high = case["p_interval"]
        if high:
            part = crop_random(skeleton, seeded(case["np_random_seed"]), (low, float(high[0])))
        else:
            part = crop_centre(skeleton, low)
        ours = resample(part, case["window"], axes=3).transpose(3, 1, 2, 0)
        expected = arrays[f"{case['name']}/out"]
        assert_allclose(ours, expected, rtol=1e-5, atol=1e-6, err_msg=case["name"])
