"""Extraction: its plan, a trial that times it, and the run.

The plan lists the pending items by file without decoding; a trial encodes two windows and stores
nothing. The run decodes each video once and passes its windows to all streams that need them.

An item is written atomically as soon as its last result has arrived, and is not computed again. A
killed run therefore resumes, and several processes share the work by taking every n-th file.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from imigue_lab.data.index import Index
from imigue_lab.data.store import EncoderStore, create_store, store_folder
from imigue_lab.data.videos.video import Video, plan_windows, probe, segment_centres, window_frames
from imigue_lab.data.workspace import progress, write_atomically
from imigue_lab.errors import DataError, LabError, some
from imigue_lab.features.flow import prefetch
from imigue_lab.features.streams import Collector, Stream, Window

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
    return Plan(index.root, store_folder(store, index), stores, jobs, finished, without_file, size)


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


SMALLEST = 16  # pixels of a picture's shorter side; smaller videos are refused
# Keys of the windows of a whole file, and of all its frames, shared by its items of the unit.
SHARED = {"video": "", "frames": "frames"}


@dataclass
class Report:
    """The outcome of an extraction."""

    stores: list[EncoderStore]
    extracted: int = 0  # items written
    windows: int = 0
    seconds: float = 0
    failed: dict[tuple[str, str], str] = field(default_factory=dict)  # (encoder, item) -> error

    def fail(self, pending: Pending, error: LabError) -> None:
        """Records the first error of an item, here and, if possible, in the store."""
        key = pending.store.encoding.name, pending.item
        if key in self.failed:
            return
        self.failed[key] = str(error)
        with suppress(LabError):  # a store that is not writable takes no record either
            pending.store.fail(pending.item, str(error))

    def __str__(self) -> str:
        rate = self.windows / self.seconds if self.seconds else 0
        lines = [
            f"extracted {self.extracted} items: {self.windows} windows in {self.seconds:.0f} s,"
            f" {rate:.1f} windows/s"
        ]
        if self.failed:
            lines.append(f"failed: {len(self.failed)} items")
        return "\n".join([*lines, *(f"  {why}" for why in dict.fromkeys(self.failed.values()))])


@dataclass
class Item:
    """An item in progress, with the frame indices of its windows that are not added yet."""

    name: str  # of its windows, which other items of the file may share
    pending: Pending
    job: Job
    collector: Collector
    windows: dict[int, list[int]]


def run_extraction(plan: Plan, process: tuple[int, int] = (0, 1)) -> Report:
    """Extracts all pending items; a file that cannot be read is recorded and the others continue.

    `process` is a rank and the number of processes, such as (0, 2). Each takes every n-th file of
    the data, so that a process that starts late omits no file and repeats none.
    """
    rank, processes = process
    jobs = [job for job in plan.jobs if job.number % processes == rank]
    report, started = Report(plan.stores), time.perf_counter()
    unwritten: list[Item] = []
    windows = sum(job.windows for job in jobs)
    with progress(total=windows, desc="extract", unit="window", disable=not jobs) as bar:
        for job in jobs:
            unwritten += encode_file(job, report, bar)
            unwritten = write_finished(unwritten, report)
        for item in unwritten:
            item.pending.stream.batches.flush()
        write_finished(unwritten, report)
    report.seconds = time.perf_counter() - started
    for store in plan.stores if jobs else []:
        written = None  # again if another process has added items meanwhile
        while (found := store.manifest().to_csv(index=False)) != written:
            write_atomically(store.folder / "manifest.csv", found)
            written = found
    return report


def encode_file(job: Job, report: Report, bar: tqdm) -> list[Item]:
    """Passes the windows of one file to its items; returns the items that have all of theirs."""
    items: list[Item] = []
    try:
        with Video(job.source) as video:
            check(video)
            items += start_items(job, video, report)
            wanted = {(item.name, n): own for item in items for n, own in item.windows.items()}
            with closing(prefetch(video.clips(wanted))) as clips:
                for (name, number), frames in clips:
                    for item in items:
                        if item.name == name:
                            item.collector.add(Window(number, frames, item.windows.pop(number)))
                    report.windows += 1
                    bar.update()
    except DataError as error:
        complete = [item.pending for item in items if not item.windows]
        for pending in job.pending:
            if pending not in complete:
                report.fail(pending, error)
    return [item for item in items if not item.windows]


def start_items(job: Job, video: Video, report: Report) -> Iterator[Item]:
    """The items of a file; a clip that ends after the last frame is recorded as failed."""
    for pending in job.pending:
        try:
            windows = dict(enumerate(frames_of(pending, video)))
        except DataError as error:
            report.fail(pending, error)
        else:
            name = SHARED.get(pending.stream.unit, pending.item)
            yield Item(name, pending, job, pending.stream.start(len(video)), windows)


def frames_of(pending: Pending, video: Video) -> list[list[int]]:
    """Frame indices of each window of an item.

    Raises DataError for a video too short for a window, or a clip outside of its file.
    """
    if pending.stream.unit == "video":
        if windows := window_frames(len(video)):
            return windows
        what = "at least 8 frames for a window"
        raise DataError.expected(video.path, what, len(video), "leave it out")
    if pending.stream.unit == "frames":
        starts = range(0, len(video), 16)
        return [list(range(first, min(first + 16, len(video)))) for first in starts]
    start, end = pending.span or (0, len(video) - 1)
    if start > end:
        raise DataError(
            f"{video.path}: clip {pending.item} ends before it starts; correct its range"
        )
    video.check_range(start, end)
    return [segment_centres(start, end)]


def check(video: Video) -> None:
    """Raises DataError for files whose features would not be those of the interview."""
    info, header = probe(video.path), video.table.header
    if header not in (0, len(video)):
        raise DataError(
            f"{video.path}: expected {header} frames by the header, got {len(video)}; the file is"
            " truncated or damaged: copy it again"
        )
    if info.fps <= 0:
        raise DataError(f"{video.path}: its frame rate is 0; write the file anew with its rate")
    if min(info.width, info.height) < SMALLEST:
        what = f"pictures of at least {SMALLEST} pixels a side"
        raise DataError.expected(video.path, what, f"{info.width} x {info.height}", "copy it again")


def write_finished(items: list[Item], report: Report) -> list[Item]:
    """Writes items whose results have all arrived; returns the others."""
    unfinished = []
    for item in items:
        if item.collector.waiting:
            unfinished.append(item)
            continue
        features, facts = item.collector.features()
        try:
            item.pending.store.write(item.pending.item, features, item.job.source, facts)
            report.extracted += 1
        except LabError as error:
            report.fail(item.pending, error)
    return unfinished
