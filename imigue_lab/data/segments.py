"""Gestures in time: windows over a whole video, the segments found in them, and their files.

Segments are a table: label (place of the class), start and end (frames from 0, end inclusive),
start_s and end_s (seconds; end_s is the end of the last frame), confidence (0 to 1, null for
annotations by people). Seconds are those of the video's frame table: `times` has the second at
which each frame starts, and that at which the last one ends.
Letters in shapes: N, M segments; F frames of a video, S = F + 1 times, C classes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from jaxtyping import Float, Float64

from imigue_lab.data.index import Index, clips_table
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.data.workspace import write_atomically
from imigue_lab.errors import DataError, some

SEGMENTS = pa.DataFrameSchema(
    {
        "label": pa.Column(int, pa.Check.ge(0)),
        "start": pa.Column(int, pa.Check.ge(0)),
        "end": pa.Column(int, pa.Check.ge(0)),
        "start_s": pa.Column(float),
        "end_s": pa.Column(float),
        "confidence": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
    },
    strict=True,
)
Times = Float64[np.ndarray, " S"]  # seconds
LENGTHS = (1.0, 2.0)  # seconds; most gestures of iMiGUE take 0.7 to 3 s
STEP = 0.5  # seconds between the starts of two windows
SHORTEST = 0.5  # seconds of a segment; windows of one second do not resolve less


def slide(
    frames: int, fps: int | float, lengths: Sequence[float] = LENGTHS, step: float = STEP
) -> pd.DataFrame:
    """Windows of several lengths over a whole video: start and end in frames, end inclusive.

    Lengths, and the step between the starts of two windows, are in seconds. The last window of a
    length ends with the video; a shorter video is one window.
    """
    ranges = set()
    for length in lengths:
        size = min(frames, max(1, round(length * fps)))
        stride = max(1, round(step * fps))
        starts = [*range(0, frames - size, stride), frames - size]
        ranges |= {(start, start + size - 1) for start in starts}
    return pd.DataFrame(sorted(ranges), columns=["start", "end"])


def with_windows(index: Index, windows: Mapping[str, pd.DataFrame]) -> Index:
    """The same videos with windows or segments (start and end in frames, any label) as clips."""
    rows = [
        {"clip_id": f"{video}_{row['start']}_{row['end']}", "video_id": video, **row}
        for video, own in windows.items()
        for row in own[[c for c in ("start", "end", "label") if c in own]].to_dict("records")
    ]
    return replace(index, clips=clips_table(rows, index.videos, len(index.vocabulary)))


def as_segments(rows: pd.DataFrame, times: Times) -> pd.DataFrame:
    """Checks label, start, end and confidence, and adds the seconds."""
    table = rows[["label", "start", "end"]].astype(int)
    table["start_s"] = times[table.start]
    table["end_s"] = times[table.end + 1]
    table["confidence"] = rows.confidence.astype(float)
    return SEGMENTS.validate(table.reset_index(drop=True))


def overlap(
    first: Float[np.ndarray, "N 2"], second: Float[np.ndarray, "M 2"]
) -> Float[np.ndarray, "N M"]:
    """Intersection over union of ranges (start, end), the end exclusive."""
    begin = np.maximum(first[:, None, 0], second[None, :, 0])
    end = np.minimum(first[:, None, 1], second[None, :, 1])
    both = np.maximum(end - begin, 0)
    length, other = (span[:, 1] - span[:, 0] for span in (first, second))
    return both / (length[:, None] + other[None, :] - both)


def by_frame(windows: pd.DataFrame) -> Float[np.ndarray, "F C"]:
    """The probability of each class at each frame: the mean over the windows that contain it.

    `windows` has start, end (inclusive) and p0 ... of the classes; together they cover the video.
    """
    probabilities = windows.filter(regex=r"^p\d+$").to_numpy(dtype=float)
    total = np.zeros((windows.end.max() + 1, probabilities.shape[1]))
    count = np.zeros((len(total), 1))
    for start, end, probability in zip(windows.start, windows.end, probabilities, strict=True):
        total[start : end + 1] += probability
        count[start : end + 1] += 1
    return total / count


def find_segments(
    curves: Float[np.ndarray, "F C"], times: Times, threshold: float, shortest: float = SHORTEST
) -> pd.DataFrame:
    """Runs of frames of one class, in temporal order.

    Non-maximum suppression per frame: the most probable class is kept where it reaches the
    threshold, since one person makes one gesture at a time. Runs shorter than `shortest` are
    dropped. The confidence of a segment is the mean over its frames. `curves` are of `by_frame`.
    """
    confidence = curves.max(axis=1)
    label = np.where(confidence >= threshold, curves.argmax(axis=1), -1)
    edges = np.flatnonzero(np.diff(label, prepend=-2, append=-2))
    rows = [
        (label[start], start, stop - 1, confidence[start:stop].mean())
        for start, stop in pairwise(edges.tolist())
        if label[start] >= 0 and times[stop] - times[start] >= shortest - 1e-6
    ]
    return as_segments(pd.DataFrame(rows, columns=["label", "start", "end", "confidence"]), times)


def describe_changes(before: pd.DataFrame, after: pd.DataFrame, vocabulary: Vocabulary) -> str:
    """How corrected segments differ from those before: a count and the first few of each kind."""
    old, new = ([*table.itertuples(index=False)] for table in (before, after))
    changes: dict[str, list[str]] = {"unchanged": [], "relabelled": [], "moved": []}
    tests: list[Callable[[Any, Any], bool]] = [
        lambda a, b: a[:3] == b[:3],
        lambda a, b: a[1:3] == b[1:3],
        lambda a, b: a.label == b.label and a.start <= b.end and b.start <= a.end,
    ]

    def shown(row: Any) -> str:
        return f"{vocabulary.label(row.label)} at {row.start_s:.2f} to {row.end_s:.2f} s"

    for kind, alike in zip([*changes], tests, strict=True):
        for own in [*new]:
            if other := next((row for row in old if alike(row, own)), None):
                old.remove(other)
                new.remove(own)
                changes[kind].append(f"{shown(other)}, now {shown(own)}")
    del changes["unchanged"]
    changes |= {"removed": [*map(shown, old)], "added": [*map(shown, new)]}
    counts = [f"{len(own)} {kind} ({some(own, 3)})" for kind, own in changes.items() if own]
    return f"corrected: {'; '.join(counts) or 'no gesture was changed'}"


def write_csv(segments: pd.DataFrame, path: Path, vocabulary: Vocabulary) -> None:
    """class,start_s,end_s,confidence, then the frames and the id of the class."""
    ids = segments.label.map(dict(enumerate(vocabulary.ids)))
    write_atomically(path, named(segments, vocabulary).assign(csv_class=ids).to_csv(index=False))


def write_json(
    segments: pd.DataFrame, path: Path, facts: dict[str, object], vocabulary: Vocabulary
) -> None:
    """The same as a list, after facts on the video and the run."""
    rows = named(segments, vocabulary).astype(object).replace({np.nan: None}).to_dict("records")
    write_atomically(path, json.dumps({**facts, "segments": rows}, indent=2))


def named(segments: pd.DataFrame, vocabulary: Vocabulary) -> pd.DataFrame:
    columns = ["start_s", "end_s", "confidence", "start", "end"]
    names = segments.label.map(dict(enumerate(vocabulary.classes))).rename("class")
    return pd.concat([names, segments[columns]], axis=1)


def write_clips(segments: pd.DataFrame, video_id: str, path: Path, vocabulary: Vocabulary) -> None:
    """`clips.csv` of the plain layout, with `classes.csv` beside it; DataError without any."""
    if segments.empty:
        raise DataError(f"{path}: expected at least one gesture, got none; annotate one first")
    ids = segments.label.map(dict(enumerate(vocabulary.ids)))
    table = segments[["start", "end"]].assign(**{"class": ids})
    table.insert(0, "clip_id", [f"{video_id}_{number}" for number in range(len(table))])
    table.insert(1, "video_id", video_id)
    write_atomically(path.with_name("classes.csv"), vocabulary.to_csv())
    write_atomically(path, table.to_csv(index=False))
