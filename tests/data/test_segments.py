"""Windows over a video, class probabilities per frame, and the segments found in them."""

import json

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.segments import (
    as_segments,
    by_frame,
    find_segments,
    overlap,
    slide,
    write_clips,
    write_csv,
    write_json,
)
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError

IMIGUE = builtin("imigue")
TIMES = np.arange(101) / 25


def windows(*rows):
    return pd.DataFrame(rows, columns=["start", "end", "label", "confidence"])


def test_windows_of_each_length_cover_the_whole_video():
    table = slide(103, 25, lengths=(1.0, 2.0))
    assert (table.start.min(), table.end.max()) == (0, 102)
    for size, stride in ((25, 12), (50, 12)):  # half a second
        own = table[table.end - table.start + 1 == size]
        assert own.start.tolist() == [*range(0, 103 - size, stride), 103 - size]
    assert not table.duplicated().any()


@pytest.mark.parametrize("frames", [1, 10, 25])
def test_a_video_no_longer_than_a_window_is_one_window(frames):
    table = slide(frames, 25, lengths=(1.0, 2.0))
    assert table.to_numpy().tolist() == [[0, frames - 1]]


def test_overlap_is_intersection_over_union():
    first = np.array([[0.0, 2.0], [5.0, 6.0]])
    second = np.array([[1.0, 3.0], [0.0, 4.0], [6.0, 7.0]])
    np.testing.assert_allclose(overlap(first, second), [[1 / 3, 1 / 2, 0], [0, 0, 0]])


def test_the_probability_of_a_frame_is_the_mean_over_its_windows():
    table = pd.DataFrame({"start": [0, 2, 2], "end": [3, 5, 2], "p0": [1.0, 0.0, 0.5]})
    table["p1"] = 1 - table.p0
    curves = by_frame(table)
    np.testing.assert_allclose(curves[:, 0], [1, 1, 1.5 / 3, 1 / 2, 0, 0])
    np.testing.assert_allclose(curves.sum(axis=1), 1)


def test_windows_that_agree_give_their_probability_at_every_frame():
    table = slide(103, 25).assign(p0=0.25, p1=0.75, label=1, confidence=0.75)
    curves = by_frame(table)
    assert curves.shape == (103, 2)
    np.testing.assert_allclose(curves, np.tile([0.25, 0.75], (103, 1)))


def runs(*spans):
    """Concatenated curves of two classes: (frames, p0, p1)."""
    return np.concatenate([np.tile([p0, p1], (frames, 1)) for frames, p0, p1 in spans])


def test_segments_are_runs_of_one_class_that_reach_the_threshold():
    curves = runs((10, 0.1, 0.2), (20, 0.6, 0.4), (10, 0.8, 0.2), (15, 0.3, 0.7), (5, 0.4, 0.4))
    found = find_segments(curves, TIMES, threshold=0.5)
    assert found[["label", "start", "end"]].to_numpy().tolist() == [[0, 10, 39], [1, 40, 54]]
    assert found.start_s.tolist() == [0.4, 1.6] and found.end_s.tolist() == [1.6, 2.2]
    np.testing.assert_allclose(found.confidence, [(20 * 0.6 + 10 * 0.8) / 30, 0.7])


def test_the_most_probable_class_of_a_frame_is_kept():
    found = find_segments(runs((15, 0.6, 0.9), (15, 0.9, 0.6)), TIMES, threshold=0.5)
    assert found[["label", "start", "end"]].to_numpy().tolist() == [[1, 0, 14], [0, 15, 29]]


def test_runs_shorter_than_half_a_second_are_dropped():
    assert find_segments(runs((30, 0.1, 0.1), (12, 0.9, 0.1)), TIMES, threshold=0.5).empty
    assert len(find_segments(runs((30, 0.1, 0.1), (13, 0.9, 0.1)), TIMES, threshold=0.5)) == 1


def test_frames_below_the_threshold_are_in_no_segment():
    assert find_segments(runs((50, 0.49, 0.2)), TIMES, threshold=0.5).empty
    assert len(find_segments(runs((50, 0.5, 0.2)), TIMES, threshold=0.5)) == 1


def test_csv_and_json_have_class_names_and_seconds(tmp_path):
    segments = as_segments(windows((10, 34, 31, 0.75), (50, 74, 7, None)), TIMES)
    write_csv(segments, tmp_path / "s.csv", IMIGUE)
    table = pd.read_csv(tmp_path / "s.csv")
    assert table.columns.tolist()[:4] == ["class", "start_s", "end_s", "confidence"]
    assert table["class"].tolist() == [IMIGUE.classes[31], IMIGUE.classes[7]]
    assert table.csv_class.tolist() == [99, 8]
    write_json(segments, tmp_path / "s.json", {"fps": 25}, IMIGUE)
    content = json.loads((tmp_path / "s.json").read_text())
    assert content["fps"] == 25
    first, second = content["segments"]
    assert (first["start_s"], first["end_s"], first["confidence"]) == (0.4, 1.4, 0.75)
    assert second["confidence"] is None


def test_clips_are_read_back_by_the_plain_layout(tmp_path):
    (tmp_path / "videos.csv").write_text("video_id,split\nanna,test\n")
    segments = as_segments(windows((10, 34, 31, 0.75), (50, 74, 7, None)), TIMES)
    write_clips(segments, "anna", tmp_path / "clips.csv", IMIGUE)
    clips = read_index(tmp_path).clips
    assert clips.clip_id.tolist() == ["anna_0", "anna_1"]
    assert clips[["start", "end", "label"]].to_numpy().tolist() == [[10, 34, 31], [50, 74, 7]]
    with pytest.raises(DataError, match="expected at least one gesture"):
        write_clips(segments.head(0), "anna", tmp_path / "none.csv", IMIGUE)
