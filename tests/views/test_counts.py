"""Counts in figures and tables equal the index; published counts are shown for real data only."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.checks.tables import OFFICIAL, OFFICIAL_TRAIN
from imigue_lab.views.contents import (
    PUBLISHED,
    class_counts,
    clip_lengths,
    split_counts,
    whole_frame_edges,
)
from tests.views.texts import text_of


def as_real(index, tmp_path):
    """The same tables under a root that is not marked as synthetic."""
    return replace(index, root=tmp_path)


def test_the_table_of_splits_counts_every_video_clip_and_outcome_once(index):
    table = split_counts(index)
    assert table.videos.sum() == len(index.videos)
    assert table.clips.sum() == len(index.clips)
    assert table[["lose", "win", "outcome unknown"]].sum().sum() == len(index.videos)
    train = index.videos[index.videos.split == "train"]
    assert table.subjects["train"] == train.subject.nunique()
    assert not [column for column in table if column.startswith("published")]


def test_unknown_outcomes_and_classes_are_counted_separately(index):
    videos = index.videos.assign(outcome=pd.array([pd.NA] * len(index.videos), dtype="Int64"))
    clips = index.clips.assign(label=index.clips.label.where(index.clips.split != "test"))
    table = split_counts(replace(index, videos=videos, clips=clips))
    assert table["outcome unknown"].tolist() == table.videos.tolist()
    assert table["clips without class"].tolist() == [0, 0, table.clips["test"]]


def test_an_absent_split_has_counts_of_zero(index):
    videos = index.videos[index.videos.split == "train"]
    clips = index.clips[index.clips.split == "train"]
    assert split_counts(replace(index, videos=videos, clips=clips)).loc["test"].eq(0).all()


def test_real_data_are_compared_with_the_published_counts(index, tmp_path):
    table = split_counts(as_real(index, tmp_path))
    assert table["published clips"].tolist() == [counts.clips for counts in OFFICIAL.values()]
    assert table["published subjects"].tolist() == [38, 5, 36]


def test_class_marks_equal_the_index_and_an_absent_class_is_at_0(index):
    figure = class_counts(index)
    assert [trace.name for trace in figure.data] == ["train", "validation", "test"]
    for trace in figure.data:
        clips = index.clips[index.clips.split == trace.name]
        for name, count, place in zip(trace.y[1], trace.customdata, trace.x, strict=True):
            assert count == (clips.label == index.vocabulary.place(name.split()[0])).sum()
            assert place == (count or 0.5)
    assert figure.layout.xaxis.ticktext[0] == "0"


def test_published_counts_of_train_are_rings(index, tmp_path):
    figure = class_counts(as_real(index, tmp_path))
    ring = figure.data[0]
    assert ring.name == PUBLISHED
    labels = [index.vocabulary.place(name.split()[0]) for name in ring.y[1]]
    assert list(ring.customdata) == [OFFICIAL_TRAIN[label] for label in labels]
    assert sum(ring.customdata) == OFFICIAL["train"].clips


def test_every_clip_is_counted_once_in_the_histogram_of_lengths(index):
    videos = index.videos.assign(fps=25.0)
    figure = clip_lengths(replace(index, videos=videos))
    assert figure.layout.xaxis.title.text == "clip length in seconds"
    assert figure.layout.xaxis.type == "log"  # on which the bins are about as wide
    for trace in figure.data:
        split = trace.name.partition(":")[0]
        clips = index.clips[index.clips.split == split]
        assert sum(trace.customdata[:-1]) == len(clips)  # the last one closes the line
        widths = np.diff(np.log(trace.x))  # of the bars, which are areas
        assert sum(trace.y[:-1] * widths) / np.median(widths) == pytest.approx(100)
        seconds = (clips.end - clips.start + 1) / 25
        assert f"median {seconds.median():.3g}," in trace.name
        assert trace.x[0] < seconds.min() <= seconds.max() < trace.x[-1]


def test_lengths_are_in_frames_without_frame_rates_and_excluded_clips_are_counted(index):
    unknown = clip_lengths(replace(index, videos=index.videos.assign(fps=np.nan)))
    assert unknown.layout.xaxis.title.text == "clip length in frames"
    rates = np.where(index.videos.video_id == "0001", np.nan, 25.0)
    some = clip_lengths(replace(index, videos=index.videos.assign(fps=rates)))
    out = (index.clips.video_id == "0001").sum()
    assert f"{out} clips are excluded" in text_of(some)
    assert sum(sum(trace.customdata[:-1]) for trace in some.data) == len(index.clips) - out


def test_without_clips_the_figure_states_why_it_is_empty(index):
    figure = clip_lengths(replace(index, clips=index.clips.iloc[:0]))
    assert figure.layout.annotations[0].text == "No clips are labelled under this root."


def test_edges_are_between_whole_frames_and_include_the_shortest_and_the_longest():
    for shortest, longest in ((1.0, 1.0), (4.0, 3700.0), (26.0, 50.0)):
        edges = whole_frame_edges(shortest, longest)
        assert edges[0] == shortest - 0.5
        assert edges[-1] == longest + 0.5
        assert ((edges + 0.5) % 1 == 0).all()
        assert (np.diff(edges) > 0).all()


def test_lengths_that_are_uniform_on_the_axis_have_a_flat_histogram(index):
    """Also where bins are a few frames."""
    length = np.exp(np.linspace(np.log(3.5), np.log(3700.5), 40_000)[1:-1]).round().astype(int)
    clips = pd.DataFrame({"split": "train", "video_id": "0001", "start": 0, "end": length - 1})
    videos = index.videos.assign(fps=np.nan)
    (line,) = clip_lengths(replace(index, videos=videos, clips=clips)).data
    assert (line.x[0], line.x[-1], len(line.x)) == (
        3.5,
        3700.5,
        len(whole_frame_edges(4.0, 3700.0)),
    )
    assert max(line.y) < 1.02 * min(line.y)


def test_figures_of_synthetic_data_are_marked_and_those_of_real_data_are_not(index, tmp_path):
    for draw in (class_counts, clip_lengths):
        assert "are synthetic" in draw(index).layout.title.text
        assert "synthetic" not in text_of(draw(as_real(index, tmp_path)))


def test_lengths_in_a_video_of_variable_rate_are_by_its_time_stamps(index, tmp_path):
    stamps = [0, *range(500, 2500, 100)]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp in stamps:
            frame = av.VideoFrame(32, 32, "yuv420p")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    clips = index.clips.head(1).assign(start=0, end=1, video_id="0001")
    videos = index.videos.assign(fps=25.0, video=None).astype({"video": object})
    videos.at[0, "video"] = tmp_path / "a.mkv"
    figure = clip_lengths(replace(index, videos=videos, clips=clips))
    assert "median 0.6," in figure.data[0].name
