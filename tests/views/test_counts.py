"""Counts in figures and tables are those of the index, published ones beside real data only."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.vocabulary import CLASSES, OFFICIAL, OFFICIAL_TRAIN
from imigue_lab.views.counts import (
    PUBLISHED,
    class_counts,
    clip_lengths,
    part_counts,
    whole_frame_edges,
)


def as_real(index, tmp_path):
    """The same tables under a root that does not say that it is synthetic."""
    return replace(index, root=tmp_path)


def test_the_table_of_parts_counts_every_video_clip_and_outcome_once(index):
    table = part_counts(index)
    assert table.videos.sum() == len(index.videos)
    assert table.clips.sum() == len(index.clips)
    assert table[["lose", "win", "outcome unknown"]].sum().sum() == len(index.videos)
    train = index.videos[index.videos.split == "train"]
    assert table.subjects["train"] == train.subject.nunique()
    assert not [column for column in table if column.startswith("published")]


def test_unknown_outcomes_and_classes_are_counted_as_such(index):
    videos = index.videos.assign(outcome=pd.array([pd.NA] * len(index.videos), dtype="Int64"))
    clips = index.clips.assign(label=index.clips.label.where(index.clips.split != "test"))
    table = part_counts(replace(index, videos=videos, clips=clips))
    assert table["outcome unknown"].tolist() == table.videos.tolist()
    assert table["clips without class"].tolist() == [0, 0, table.clips["test"]]


def test_a_part_that_is_absent_counts_as_nothing(index):
    videos = index.videos[index.videos.split == "train"]
    clips = index.clips[index.clips.split == "train"]
    assert part_counts(replace(index, videos=videos, clips=clips)).loc["test"].eq(0).all()


def test_real_data_stand_beside_the_published_numbers(index, tmp_path):
    table = part_counts(as_real(index, tmp_path))
    assert table["published clips"].tolist() == [counts.clips for counts in OFFICIAL.values()]
    assert table["published subjects"].tolist() == [38, 5, 36]


def test_class_marks_equal_the_index_and_an_absent_class_stands_at_0(index):
    figure = class_counts(index)
    assert [trace.name for trace in figure.data] == ["train", "validation", "test"]
    for trace in figure.data:
        clips = index.clips[index.clips.split == trace.name]
        for name, count, place in zip(trace.y[1], trace.customdata, trace.x, strict=True):
            title, _, label = name.rpartition(" · ")
            assert CLASSES[int(label)] == title
            assert count == (clips.label == int(label)).sum()
            assert place == (count or 0.5)
    assert figure.layout.xaxis.ticktext[0] == "0"


def test_published_counts_are_rings_around_those_of_train(index, tmp_path):
    figure = class_counts(as_real(index, tmp_path))
    ring = figure.data[0]
    assert ring.name == PUBLISHED
    labels = [int(name.rpartition(" · ")[2]) for name in ring.y[1]]
    assert list(ring.customdata) == [OFFICIAL_TRAIN[label] for label in labels]
    assert sum(ring.customdata) == OFFICIAL["train"].clips


def test_every_clip_is_in_one_bar_of_the_lengths(index):
    videos = index.videos.assign(fps=25.0)
    figure = clip_lengths(replace(index, videos=videos))
    assert figure.layout.xaxis.title.text == "length of a clip in seconds"
    for trace in figure.data:
        split = trace.name.partition(":")[0]
        clips = index.clips[index.clips.split == split]
        assert sum(trace.customdata[:-1]) == len(clips)  # the last one closes the line
        assert sum(trace.y[:-1]) == pytest.approx(100)
        seconds = (clips.end - clips.start + 1) / 25
        assert f"median {seconds.median():.3g}," in trace.name
        assert trace.x[0] < seconds.min() <= seconds.max() < trace.x[-1]


def test_lengths_are_in_frames_where_no_rate_is_known_and_say_how_many_are_left_out(index):
    unknown = clip_lengths(replace(index, videos=index.videos.assign(fps=np.nan)))
    assert unknown.layout.xaxis.title.text == "length of a clip in frames"
    rates = np.where(index.videos.video_id == "0001", np.nan, 25.0)
    some = clip_lengths(replace(index, videos=index.videos.assign(fps=rates)))
    out = (index.clips.video_id == "0001").sum()
    assert f"{out} clips are left out" in some.layout.title.text
    assert sum(sum(trace.customdata[:-1]) for trace in some.data) == len(index.clips) - out


def test_a_root_without_clips_says_so(index):
    figure = clip_lengths(replace(index, clips=index.clips.iloc[:0]))
    assert figure.layout.annotations[0].text == "No clips are labelled under this root."


def test_edges_lie_between_whole_frames_and_hold_the_shortest_and_the_longest():
    for shortest, longest in ((1.0, 1.0), (4.0, 3700.0), (26.0, 50.0)):
        edges = whole_frame_edges(shortest, longest)
        assert edges[0] == shortest - 0.5
        assert edges[-1] == longest + 0.5
        assert ((edges + 0.5) % 1 == 0).all()
        assert (np.diff(edges) > 0).all()


def test_every_figure_says_that_the_data_are_synthetic_and_none_of_real_ones(index, tmp_path):
    for draw in (class_counts, clip_lengths):
        assert "are synthetic" in draw(index).layout.title.text
        assert "synthetic" not in draw(as_real(index, tmp_path)).layout.title.text
