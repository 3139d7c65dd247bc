"""Windows over a video, and what non-maximum suppression leaves of them."""

import json

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.classes import CLASSES
from imigue_lab.data.layout import read_index
from imigue_lab.data.segments import (
    as_segments,
    overlap,
    slide,
    suppress,
    write_clips,
    write_csv,
    write_json,
)
from imigue_lab.errors import DataError


def windows(*rows):
    return pd.DataFrame(rows, columns=["start", "end", "label", "confidence"])


def test_windows_of_each_length_cover_the_whole_video():
    table = slide(103, 25, lengths=(1.0, 2.0))
    assert (table.start.min(), table.end.max()) == (0, 102)
    for size, stride in ((25, 6), (50, 12)):
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


def test_the_surest_window_stays_and_those_over_it_go_whatever_their_class():
    table = windows((0, 24, 3, 0.6), (6, 30, 5, 0.9), (40, 64, 3, 0.7), (28, 52, 3, 0.4))
    kept = suppress(table, 25, threshold=0.5)
    assert kept[["start", "label"]].to_numpy().tolist() == [[6, 5], [40, 3]]
    assert kept.start_s.tolist() == [0.24, 1.6]
    assert kept.end_s.tolist() == [31 / 25, 65 / 25]


def test_what_overlaps_by_no_more_than_allowed_stays():
    table = windows((0, 24, 3, 0.6), (24, 48, 3, 0.9))
    assert len(suppress(table, 25, 0.0, most=0.03)) == 2
    assert len(suppress(table, 25, 0.0, most=0.01)) == 1


def test_no_window_above_the_threshold_is_no_segment():
    assert suppress(windows((0, 24, 3, 0.49)), 25, threshold=0.5).empty


def test_of_two_that_are_as_sure_the_earlier_stays():
    kept = suppress(windows((5, 29, 1, 0.8), (0, 24, 2, 0.8)), 25, 0.5)
    assert kept.start.tolist() == [0]


def test_csv_and_json_name_the_class_and_say_seconds(tmp_path):
    segments = as_segments(windows((10, 34, 31, 0.75), (50, 74, 7, None)), 25)
    write_csv(segments, tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    assert table.columns.tolist()[:4] == ["class", "start_s", "end_s", "confidence"]
    assert table["class"].tolist() == [CLASSES[31], CLASSES[7]]
    assert table.csv_class.tolist() == [99, 8]
    write_json(segments, tmp_path / "s.json", {"fps": 25})
    content = json.loads((tmp_path / "s.json").read_text())
    assert content["fps"] == 25
    first, second = content["segments"]
    assert (first["start_s"], first["end_s"], first["confidence"]) == (0.4, 1.4, 0.75)
    assert second["confidence"] is None


def test_clips_are_read_back_by_the_plain_layout(tmp_path):
    (tmp_path / "videos.csv").write_text("video_id,split\nanna,test\n")
    segments = as_segments(windows((10, 34, 31, 0.75), (50, 74, 7, None)), 25)
    write_clips(segments, "anna", tmp_path / "clips.csv")
    clips = read_index(tmp_path).clips
    assert clips.clip_id.tolist() == ["anna_0", "anna_1"]
    assert clips[["start", "end", "label"]].to_numpy().tolist() == [[10, 34, 31], [50, 74, 7]]
    with pytest.raises(DataError, match="no gesture"):
        write_clips(segments.head(0), "anna", tmp_path / "none.csv")
