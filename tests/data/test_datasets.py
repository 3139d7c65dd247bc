"""Interviews as batches: masks, crops, and features that do not match."""

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.data.datasets import (
    Interview,
    InterviewDataset,
    collate,
    load_features,
    overlapping_crops,
)
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.store import open_features
from imigue_lab.errors import DataError


def load(root):
    index = read_index(root)
    streams = [open_features(str(root / stream), "", index) for stream in ("context", "face")]
    return load_features(*streams, index.videos.video_id.tolist()), index.videos


def rewrite(root, stream, video_id, change):
    path = root / stream / f"{video_id}.npy"
    np.save(path, change(np.load(path)))


def test_own_features_of_any_width_are_read_by_id(plain):
    root = plain(context_dim=11, face_dim=2)
    features, _ = load(root)
    assert features.widths == (11, 2)
    stored = np.load(root / "face" / "v3.npy")
    torch.testing.assert_close(features.face["v3"], torch.from_numpy(stored))


def test_a_batch_is_padded_with_zeros_that_both_masks_exclude(plain):
    root = plain()
    for stream in ("context", "face"):
        rewrite(root, stream, "v1", lambda a: a[:2])
    features, videos = load(root)
    dataset = InterviewDataset(features, videos)
    batch = collate([dataset[0], dataset[1]])
    assert batch.video_ids == ["v0", "v1"]
    assert batch.context_mask.sum(dim=1).tolist() == [6, 2]
    assert (batch.context[1, 2:] == 0).all()
    assert batch.outcome.tolist() == [1, 0]


def test_a_row_of_zeros_is_missing_in_its_stream_only(plain):
    def hide(array):
        array[3] = 0
        return array

    root = plain()
    rewrite(root, "face", "v0", hide)
    features, videos = load(root)
    batch = collate([InterviewDataset(features, videos)[0]])
    assert batch.face_mask[0].tolist() == [True, True, True, False, True, True]
    assert batch.context_mask.all()


def test_a_crop_is_contiguous_keeps_its_window_numbers_and_depends_on_the_epoch(plain):
    features, videos = load(plain(windows=40))
    dataset = InterviewDataset(features, videos, max_windows=5, seed=1)
    starts = set()
    for epoch in range(8):
        dataset.epoch = epoch
        item = dataset[0]
        first = int(item.window[0])
        assert item.window.tolist() == list(range(first, first + 5))
        torch.testing.assert_close(item.context, features.context["v0"][first : first + 5].float())
        starts.add(first)
    assert len(starts) > 3
    assert dataset[0].window[0] == item.window[0]
    assert set(dataset.lengths) == {5}


def nan(array):
    array[4, 1] = np.nan
    return array


@pytest.mark.parametrize(
    ("stream", "change", "complaint"),
    [
        (
            "face",
            lambda a: a[:-1],
            "v2: expected the same .*, got 6 for context and 5 for face",
        ),
        ("context", nan, r"context/v2 \(context\): NaN or infinity in window 4"),
        ("face", lambda a: a[:, :2], r"v2 \(face\): expected width 3 as in the others, got 2"),
        ("context", lambda a: a[0], r"expected floats \(windows, width\)"),
        ("context", lambda a: a.astype(int), r"got int64"),
    ],
)
def test_features_that_do_not_match_are_refused_by_video(plain, stream, change, complaint):
    root = plain()
    rewrite(root, stream, "v2", change)
    with pytest.raises(DataError, match=complaint):
        load(root)


def test_a_video_of_the_csv_without_features_is_refused(plain):
    root = plain()
    (root / "face" / "v5.npy").unlink()
    with pytest.raises(DataError, match=r"v5\.npy: no such file; add it, or remove v5"):
        load(root)


def test_a_video_with_nothing_in_either_stream_is_refused(plain):
    root = plain()
    for stream in ("context", "face"):
        rewrite(root, stream, "v2", np.zeros_like)
    with pytest.raises(DataError, match="v2: every window is zero in both streams"):
        load(root)


def test_the_digest_depends_on_every_number(plain):
    root = plain()
    before, _ = load(root)
    assert load(root)[0].digest == before.digest
    rewrite(root, "face", "v7", lambda a: a * 1.0001)
    assert load(root)[0].digest != before.digest


def test_an_unlabelled_test_interview_has_no_outcome(plain):
    features, videos = load(plain())
    videos = videos.assign(outcome=pd.array([pd.NA] * len(videos), dtype="Int64"))
    assert InterviewDataset(features, videos)[0].outcome == -1


def test_overlapping_crops_cover_an_interview_and_leave_out_what_holds_no_feature():
    rows = torch.ones(19, 2)
    rows[8:16] = 0
    interview = Interview("a", rows, rows.clone(), torch.arange(19), 1)
    crops = overlapping_crops(interview, 8)
    assert [crop.window[0].item() for crop in crops] == [0, 4, 11]  # that of 8 to 15 is empty
    assert {len(crop.context) for crop in crops} == {8}
    (whole,) = overlapping_crops(interview, 19)
    assert torch.equal(whole.window, interview.window)
    (longer,) = overlapping_crops(interview, 30)
    assert torch.equal(longer.context, rows)
