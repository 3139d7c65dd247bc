"""Sampling: ordered frames, one per segment, repeatable draws, and the published numbers."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imigue_lab.data.skeletons.augment import TEST_SEED, sample_uniform


def seeded(seed=0):
    return np.random.RandomState(seed)


@pytest.mark.parametrize("frames", [1, 5, 15, 16, 17, 31, 32, 33, 500])
def test_frames_exist_and_are_in_order_unless_the_recording_is_repeated(frames):
    drawn = sample_uniform(frames, 16, seeded(), clips=3)
    assert drawn.shape == (3, 16)
    assert drawn.min() >= 0 and drawn.max() < frames
    if frames >= 16:
        assert (np.diff(drawn) > 0).all()


def test_each_segment_gives_one_frame():
    assert_array_equal(sample_uniform(40, 4, seeded())[0] // 10, range(4))


def test_a_short_recording_is_repeated_from_its_start():
    assert sample_uniform(3, 5, seeded(), spread=True).tolist() == [[0, 1, 2, 0, 1]]
    starts = sample_uniform(10, 12, seeded(), clips=5, spread=True)[:, 0]
    assert starts.tolist() == [0, 2, 4, 6, 8]


def test_a_share_samples_from_one_part_of_the_recording():
    drawn = sample_uniform(100, 10, seeded(), clips=50, share=(0.5, 0.5))
    assert (drawn.max(axis=1) - drawn.min(axis=1) < 50).all()
    assert drawn.min() < 10 and drawn.max() > 90


def test_draws_depend_on_the_generator_alone_and_leave_the_global_one_unchanged():
    before = np.random.get_state()[1].copy()
    first, again = (sample_uniform(50, 20, seeded(3)) for _ in range(2))
    assert_array_equal(first, again)
    assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.shared
def test_every_frame_number_equals_pyskls(shared):
    folder = shared / "fixtures" / "skeleton"
    arrays = np.load(folder / "transform_sampling.npz")
    cases = json.loads((folder / "transform_sampling.json").read_text())["cases"]
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
        sampled = arrays[given["keypoint"]["npz"]][:, drawn]  # M N L V C
        expected = arrays[case["outputs"]["keypoint"]["npz"]]
        if case["name"] == "us_decode_format":  # N M L V C, absent persons filled with zeros
            assert_array_equal(expected[:, : len(sampled)], sampled.swapaxes(0, 1), case["name"])
        else:
            assert_array_equal(sampled.reshape(expected.shape), expected, case["name"])
    assert count > 100
