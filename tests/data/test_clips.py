"""Gesture clips: no frame lost or gained, no pose from missing joints, padding masked.

In the keypoints of these tests joint v of frame t is at (t, v), so a clip shows where it was cut.
"""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.data.clips import ClipDataset, KeypointFiles, collate, middle
from imigue_lab.data.samplers import BalancedSampler
from imigue_lab.data.skeletons.keypoints import subset
from imigue_lab.data.splits import split_gestures
from imigue_lab.errors import DataError


def numbered(frames, joints=4):
    time, joint = np.meshgrid(np.arange(frames), np.arange(joints), indexing="ij")
    return np.stack([time, joint, np.full_like(time, 0.9, dtype=float)], axis=2).astype(np.float32)


def table(*rows):
    clips = pd.DataFrame(rows, columns=["video_id", "start", "end"])
    clips["clip_id"] = [f"{v}_{n}" for n, v in enumerate(clips.video_id)]
    return clips.assign(label=range(len(clips)))


def dataset(rows, frames=0, arrays=None, **options):
    arrays = arrays or {"a": numbered(300), "b": numbered(20)}
    return ClipDataset(table(*rows), arrays.__getitem__, frames, **options)


def times(clip):
    return clip.skeleton[0, :, 0, 0].tolist()


def test_a_clip_contains_both_ends_of_its_range_and_no_other_frame():
    clips = dataset([("a", 5, 9), ("a", 0, 0), ("b", 0, 19), ("a", 299, 299)])
    assert times(clips[0]) == [5, 6, 7, 8, 9]
    assert times(clips[1]) == [0]
    assert times(clips[2]) == list(range(20))
    assert times(clips[3]) == [299]
    assert clips.lengths == [5, 1, 20, 1]
    assert clips[2].skeleton.shape == (1, 20, 4, 3)
    assert clips[2].skeleton.dtype == torch.float32


def test_a_part_of_a_clip_is_contiguous_and_resampled_as_a_whole_clip_is():
    clips = dataset([("a", 100, 119)])
    assert times(clips.part(0, 0.5)) == list(range(100, 110))
    assert times(clips.part(0, 0.5, 0.999)) == list(range(110, 120))
    assert times(clips.part(0, 0.01)) == [100]
    resampled, half = (dataset([("a", 100, last)], frames=5) for last in (119, 109))
    assert times(resampled.part(0, 0.5)) == times(half[0])
    assert times(resampled.part(0)) == times(resampled[0])


def test_the_first_row_of_a_keypoint_file_with_a_header_is_frame_zero(index):
    clips = index.clips[index.clips.video_id == index.clips.video_id.iloc[0]]
    path = index.videos.set_index("video_id").keypoints[clips.video_id.iloc[0]]
    lines = path.read_text().splitlines()[1:]
    whole = np.array([[float(x) for x in line.split(",")[1:]] for line in lines], np.float32)
    arrays = {clips.video_id.iloc[0]: whole.reshape(len(lines), 35, 3)}
    cut = ClipDataset(clips, arrays.__getitem__, 0, subset("imigue22", "light_hand35"))
    for number, row in enumerate(clips.itertuples()):
        own = lines[row.start : row.end + 1]
        assert cut[number].skeleton.shape == (1, min(len(own), 256), 22, 3)
        if len(own) <= 256:
            nose = [[float(x) for x in line.split(",")[1:3]] for line in (own[0], own[-1])]
            got = cut[number].skeleton[0, [0, -1], 0, :2]
            torch.testing.assert_close(got, torch.tensor(nose))
        assert cut[number].label == row.label and cut[number].clip_id == row.clip_id


def test_a_clip_that_keeps_its_length_is_cut_to_256_about_its_centre():
    clips = dataset([("a", 10, 289), ("a", 10, 265)])
    assert times(clips[0]) == list(range(22, 278))
    assert times(clips[1]) == list(range(10, 266))
    assert clips.lengths == [256, 256]
    assert middle(0, 257, 256) == (0, 256)


def test_resampling_to_the_same_length_changes_nothing():
    assert times(dataset([("a", 100, 163)], frames=64)[0]) == list(range(100, 164))


def test_resampling_is_linear_at_the_middle_of_each_step():
    clips = dataset([("a", 100, 200), ("a", 7, 7), ("a", 3, 4)], frames=64)
    assert clips.lengths == [64, 64, 64]
    middles = (np.arange(64) + 0.5) / 64
    np.testing.assert_allclose(times(clips[0]), 100 + middles * 101 - 0.5, rtol=1e-6)
    assert times(clips[1]) == [7] * 64
    np.testing.assert_allclose(times(clips[2]), np.clip(3 + middles * 2 - 0.5, 3, 4), rtol=1e-6)
    assert (clips[0].skeleton[0, :, 3, 1] == 3).all()


def test_a_missing_joint_is_never_interpolated_into_a_pose():
    array = numbered(9) + np.float32([100, 0, 0])
    array[3:6, 2] = 0
    clip = dataset([("a", 0, 8)], frames=33, arrays={"a": array})[0]
    missing = ~clip.present[0, :, 2]
    assert clip.present[0, :, [0, 1, 3]].all()
    assert (clip.skeleton[0, missing, 2] == 0).all()
    assert (clip.skeleton[0, ~missing, 2, 0] >= 100).all()
    place = np.linspace(0, 8, 33)
    absent = missing.numpy()
    assert absent[(place > 2.51) & (place < 5.49)].all()
    assert not absent[(place < 2.49) | (place > 5.51)].any()
    before_the_gap = clip.skeleton[0, (place > 2) & (place < 2.5), 2, 0]
    assert (before_the_gap == 102).all()


def test_coordinates_of_a_joint_with_score_zero_are_masked():
    array = numbered(10)
    array[4, 1] = (55, 66, 0)
    clip = dataset([("a", 2, 6)], arrays={"a": array})[0]
    assert (clip.skeleton[0, 2, 1] == 0).all()
    assert not clip.present[0, 2, 1]
    assert clip.present.sum() == 5 * 4 - 1
    assert array[4, 1, 0] == 55


def test_a_joint_in_space_is_missing_only_where_all_coordinates_are_zero():
    array = numbered(10)
    array[:, :, 2] = 0
    clip = dataset([("a", 0, 9)], arrays={"a": array}, axes=3)[0]
    assert clip.present[0, 1:].all()
    assert clip.present[0, 0].tolist() == [False, True, True, True]


def test_joints_are_in_the_requested_order():
    clip = dataset([("a", 0, 2)], joints=[3, 1])[0]
    assert clip.skeleton[0, 0, :, 1].tolist() == [3, 1]


def test_a_batch_is_padded_with_zeros_that_both_masks_exclude():
    two = np.stack([numbered(12), numbered(12)])
    clips = dataset([("a", 5, 9), ("p", 0, 2)], arrays={"a": numbered(30), "p": two})
    batch = collate([clips[0], clips[1]])
    assert batch.skeleton.shape == (2, 2, 5, 4, 3)
    assert batch.frame_mask.sum(dim=1).tolist() == [5, 3]
    assert batch.present.sum(dim=(2, 3)).tolist() == [[20, 0], [12, 12]]
    assert (batch.skeleton[~batch.present] == 0).all()
    assert batch.clip_ids == ["a_0", "p_1"]
    assert batch.label.tolist() == [0, 1]


def test_a_clip_without_any_joint_keeps_its_frames():
    batch = collate([dataset([("e", 0, 4)], arrays={"e": numbered(9) * 0})[0]])
    assert batch.frame_mask.all() and not batch.present.any()


@pytest.mark.parametrize("frames", [0, 64])
def test_a_batch_of_one_equals_the_batch(frames):
    clips = dataset([("a", 5, 90), ("b", 0, 10), ("a", 0, 299)], frames=frames)
    batch = collate([clips[n] for n in range(3)])
    for number in range(3):
        alone = collate([clips[number]])
        length = clips.lengths[number]
        torch.testing.assert_close(batch.skeleton[number, :, :length], alone.skeleton[0])
        assert torch.equal(batch.present[number, :, :length], alone.present[0])
        assert not batch.frame_mask[number, length:].any()
        assert batch.label[number] == alone.label[0]


def test_clips_read_from_mapped_files_equal_those_from_arrays(tmp_path):
    arrays = {"a": numbered(300), "b": numbered(20)}
    for video_id, array in arrays.items():
        np.save(tmp_path / f"{video_id}.npy", array)
    files = KeypointFiles({video_id: tmp_path / f"{video_id}.npy" for video_id in arrays})
    rows = [("a", 50, 70), ("b", 3, 19)]
    mapped, loaded = ClipDataset(table(*rows), files), dataset(rows, frames=64)
    for number in range(2):
        torch.testing.assert_close(mapped[number].skeleton, loaded[number].skeleton)


def test_memory_of_an_epoch_does_not_grow_with_the_number_of_clips(tmp_path):
    np.save(tmp_path / "a.npy", numbered(5000, joints=35))
    files = KeypointFiles({"a": tmp_path / "a.npy"})
    peaks = []
    for count in (100, 1000):
        starts = np.random.default_rng(0).integers(0, 4900, count).tolist()
        clips = ClipDataset(table(*(("a", s, s + 60) for s in starts)), files)
        tracemalloc.start()
        for number in range(count):
            collate([clips[number]])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    returned = 900 * 64 * 35 * 3 * 4  # bytes of the clips that the second epoch adds
    assert peaks[1] - peaks[0] < returned / 50
    assert peaks[0] < 5000 * 35 * 3 * 4


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (
            [("a", 0, 5), ("b", 15, 20)],
            r"end after the last frame .* \(1: b_1 ends at 20 of 20\); correct the range",
        ),
        ([("b", 9, 8)], "b_0: expected a range .*, got 9 to 8"),
        ([("b", -1, 8)], "b_0: expected a range .*, got -1 to 8"),
        ([("z", 0, 1), ("z", 0, 2)], "z: has 2 clips and no keypoints; add them"),
    ],
)
def test_a_clip_outside_its_keypoints_is_refused_by_id(rows, complaint):
    with pytest.raises(DataError, match=complaint):
        dataset(rows)


def test_keypoints_of_a_wrong_shape_are_refused_by_video():
    with pytest.raises(DataError, match=r"v: expected keypoints .*, got float32 \(9, 12\)"):
        dataset([("v", 0, 5)], arrays={"v": numbered(9).reshape(9, 12)})
    with pytest.raises(DataError, match="v: expected more than 21 joints, got 4"):
        dataset([("v", 0, 5)], arrays={"v": numbered(9)}, joints=range(22))


def test_a_joint_that_is_not_finite_is_refused_by_clip_and_frame():
    array = numbered(300)
    array[150, 2, 0] = np.nan
    for frames in (0, 64):
        clips = dataset([("a", 0, 299)], frames=frames, arrays={"a": array})
        with pytest.raises(DataError, match="a_0: NaN or infinity at a joint in frame 150 of"):
            clips[0]


def test_a_resumed_epoch_gives_the_same_batches(index):
    arrays = {v: numbered(4000, joints=2) for v in index.videos.video_id}
    train = split_gestures(index, fold=0, seed=0).part("train")

    def epoch(number):
        clips = ClipDataset(train, arrays.__getitem__, frames=0)
        sampler = BalancedSampler(clips.lengths, clips.labels, batch_size=8, seed=5)
        sampler.epoch = number
        return [collate([clips[n] for n in numbers]) for numbers in sampler]

    for batch, again in zip(epoch(3), epoch(3), strict=True):
        assert batch.clip_ids == again.clip_ids
        assert torch.equal(batch.skeleton, again.skeleton)
