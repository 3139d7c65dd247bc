"""The plan of an extraction: pending items by file, its size, and a trial run that times it.

Nothing is decoded to plan; a trial encodes two windows and stores nothing.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.store import EncoderStore, create_store, store_folder
from imigue_lab.data.videos.video import Video, plan_windows, window_frames
from imigue_lab.errors import DataError, some
from imigue_lab.features.streams import Stream, Window

Span = tuple[int, int]


class Pending(NamedTuple):
    """An item to extract."""

    stream: Stream
    store: EncoderStore
    item: str
    span: Span | None  # first and last frame of a clip; None for the whole file


@dataclass(frozen=True)
class Job:
    """One file and its pending items.

    It is numbered among all files of the data, including finished ones, so that the number does
    not depend on what has been extracted meanwhile.
    """

    number: int
    source: Path
    pending: list[Pending]
    windows: int  # 16-frame windows to encode, according to the file's header


@dataclass(frozen=True)
class Plan:
    """All jobs of an extraction."""

    root: Path
    folder: Path
    stores: list[EncoderStore]
    jobs: list[Job]
    finished: int  # items already in the store
    without_file: list[str]  # videos and clips
    size: int  # approximate number of bytes to be written

    def __str__(self) -> str:
        encodings = [store.encoding for store in self.stores]
        lines = [f"features of {self.root}, stored in {self.folder}"]
        lines += [f"  {e.name}{f' ({e.note})' if e.note else ''}" for e in encodings]
        if self.without_file:
            lines.append(f"  without a video file: {some(dict.fromkeys(self.without_file))}")
        return "\n".join([*lines, self.summary()])

    def summary(self) -> str:
        finished = f"{self.finished} items already extracted" if self.finished else ""
        if not self.jobs:
            return f"nothing to do: {finished or 'no video files'}"
        items = sum(len(job.pending) for job in self.jobs)
        windows = sum(job.windows for job in self.jobs)
        todo = f"to extract: {items} items of {len(self.jobs)} files, {windows} windows"
        size = f"about {max(0.1, self.size / 1e6):,.1f} MB"
        return ", ".join(filter(None, [todo, size, finished]))


def plan_extraction(
    index: Index, streams: Sequence[Stream], store: str = "", limit: int = 0
) -> Plan:
    """Plans the extraction of all items that are not in the store or whose file has changed.

    `limit` takes the first videos of the index only; 0 is all. Raises LabError for a store that
    cannot be written to.
    """
    videos = index.videos.head(limit) if limit else index.videos
    clips = index.clips[index.clips.video_id.isin(videos.video_id)]
    streams = [s for s in streams if s.unit != "clip" or len(clips)]
    stores = [create_store(store, index, stream.encoding) for stream in streams]
    length = dict(zip(videos.video, videos.frames.fillna(0).astype(int), strict=True))
    by_file: dict[Path, list[Pending]] = {}
    finished, without_file, size = 0, [], 0
    for stream, encoder_store in zip(streams, stores, strict=True):
        for item, source, span in items_of(stream, videos, clips):
            if source is None:
                without_file.append(item)
                continue
            pending = by_file.setdefault(source, [])
            if encoder_store.is_fresh(item, source):
                finished += 1
            else:
                pending.append(Pending(stream, encoder_store, item, span))
                windows = plan_windows(length[source]).windows if stream.unit != "clip" else 1
                size += windows * stream.bytes_a_window
    jobs = [
        Job(number, source, pending, windows_to_encode(pending, length.get(source, 0)))
        for number, (source, pending) in enumerate(sorted(by_file.items()))
        if pending
    ]
    folder = store_folder(store, index)
    return Plan(index.root, folder, stores, jobs, finished, without_file, size)


def items_of(
    stream: Stream, videos: pd.DataFrame, clips: pd.DataFrame
) -> Iterator[tuple[str, Path | None, Span | None]]:
    """Id, file and span of each item of a stream; a clip's own file is preferred to its video's."""
    if stream.unit != "clip":
        for video in videos.itertuples():
            yield video.video_id, video.video, None
        return
    whole = dict(zip(videos.video_id, videos.video, strict=True))
    for clip in clips.itertuples():
        if clip.video is not None:
            yield clip.clip_id, clip.video, None
        else:
            yield clip.clip_id, whole[clip.video_id], (clip.start, clip.end)


def windows_to_encode(pending: list[Pending], frames: int) -> int:
    """Windows to encode: those of the whole file once, all its frames once, and one a clip."""
    units = [item.stream.unit for item in pending]
    whole = plan_windows(frames).windows * ("video" in units)
    return units.count("clip") + whole + -(-frames // 16) * ("frames" in units)


class Trial(NamedTuple):
    """The time of a few windows; the first includes one-time costs."""

    seconds: list[float]  # of each window, for all streams together
    windows: int  # of the whole extraction

    def __str__(self) -> str:
        estimate = timedelta(seconds=int(self.seconds[-1] * self.windows))
        measured = " and ".join(f"{seconds:.2f}" for seconds in self.seconds)
        took = f"{len(self.seconds)} windows took {measured} s"
        return f"{took}; all {self.windows} take about {estimate}"


def run_trial(plan: Plan, windows: int = 2) -> Trial:
    """Encodes the first windows of the first pending file by all of its streams.

    Raises DataError if nothing is pending, or the file is too short or cannot be read.
    """
    if not plan.jobs:
        raise DataError(f"{plan.root}: {plan.summary()}; no trial is needed")
    job = plan.jobs[0]
    streams = list(dict.fromkeys(item.stream for item in job.pending))
    seconds = []
    with Video(job.source) as video:
        frames = window_frames(len(video))[:windows]
        if not frames:
            raise DataError(f"{job.source}: too short for a window; leave it out")
        collectors = [stream.start(len(video)) for stream in streams]
        for number, indices in enumerate(frames):
            started = time.perf_counter()
            window = Window(number, np.stack([video.frame(i) for i in indices]), indices)
            for stream, collector in zip(streams, collectors, strict=True):
                collector.add(window)
                stream.batches.flush()
            seconds.append(time.perf_counter() - started)
    return Trial(seconds, sum(job.windows for job in plan.jobs))
