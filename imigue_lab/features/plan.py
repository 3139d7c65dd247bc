"""What an extraction will do, told before it begins: items due, by the file they come from.

How long an extraction will take, from two windows of its first file; nothing is stored.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


class Due(NamedTuple):
    """One item that is to be made.

    Attributes:
        span: first and last frame of a clip inside a longer file; None takes the whole file.
    """

    stream: Stream
    store: EncoderStore
    item: str
    span: Span | None


@dataclass(frozen=True)
class Job:
    """One file and what is due of it.

    Attributes:
        place: the file's number among all files of the data, those with nothing due among them; so
            it is the same whatever was made in the meantime.
        windows: 16-frame windows to look at, as far as the file's header says.
    """

    place: int
    source: Path
    dues: list[Due]
    windows: int


@dataclass(frozen=True)
class Plan:
    """All jobs of an extraction.

    Attributes:
        fresh: items that are in the store already.
        fileless: videos and clips that have no file to be made from.
        size: bytes that will be written, about.
    """

    root: Path
    place: Path
    stores: list[EncoderStore]
    jobs: list[Job]
    fresh: int
    fileless: list[str]
    size: int

    def __str__(self) -> str:
        encodings = [store.encoding for store in self.stores]
        lines = [f"features of {self.root}, into {self.place}"]
        lines += [f"  {e.name}{f' ({e.note})' if e.note else ''}" for e in encodings]
        if self.fileless:
            lines.append(f"  no file to make them from: {some(dict.fromkeys(self.fileless))}")
        return "\n".join([*lines, self.todo()])

    def todo(self) -> str:
        there = f"{self.fresh} items are there already" if self.fresh else ""
        if not self.jobs:
            return f"nothing to do: {there or 'there is no file'}"
        items, windows = sum(len(job.dues) for job in self.jobs), sum(j.windows for j in self.jobs)
        todo = f"to make: {items} items of {len(self.jobs)} files, {windows} windows"
        size = f"about {max(0.1, self.size / 1e6):,.1f} MB"
        return ", ".join([todo, size, *([there] if there else [])])


def plan_extraction(
    index: Index, streams: Sequence[Stream], store: str = "", limit: int = 0
) -> Plan:
    """Looks at what is there already.

    Args:
        limit: the first videos of the index only; 0 takes all.

    Raises:
        LabError: the store cannot be written to.
    """
    videos = index.videos.head(limit) if limit else index.videos
    clips = index.clips[index.clips.video_id.isin(videos.video_id)]
    streams = [s for s in streams if s.unit == "video" or len(clips)]
    stores = [create_store(store, index, stream.encoding) for stream in streams]
    length = dict(zip(videos.video, videos.frames.fillna(0).astype(int), strict=True))
    dues: dict[Path, list[Due]] = {}
    fresh, fileless, size = 0, [], 0
    for stream, kept in zip(streams, stores, strict=True):
        for item, source, span in items_of(stream, videos, clips):
            if source is None:
                fileless.append(item)
                continue
            mine = dues.setdefault(source, [])
            if kept.is_fresh(item, source):
                fresh += 1
            else:
                mine.append(Due(stream, kept, item, span))
                windows = plan_windows(length[source]).windows if stream.unit == "video" else 1
                size += windows * stream.bytes_a_window
    jobs = [
        Job(place, source, mine, windows_of(mine, length.get(source, 0)))
        for place, (source, mine) in enumerate(sorted(dues.items()))
        if mine
    ]
    folder = store_folder(store, index)
    return Plan(index.root, folder, stores, jobs, fresh, fileless, size)


def items_of(
    stream: Stream, videos: pd.DataFrame, clips: pd.DataFrame
) -> Iterator[tuple[str, Path | None, Span | None]]:
    """Id, file and span of every item of a stream; a clip's own file goes before its video's."""
    if stream.unit == "video":
        for video in videos.itertuples():
            yield video.video_id, video.video, None
        return
    whole = dict(zip(videos.video_id, videos.video, strict=True))
    for clip in clips.itertuples():
        if clip.video is not None:
            yield clip.clip_id, clip.video, None
        else:
            yield clip.clip_id, whole[clip.video_id], (clip.start, clip.end)


def windows_of(dues: list[Due], frames: int) -> int:
    """Windows to look at: those of the whole file once, and one a clip."""
    clips = sum(due.stream.unit == "clip" for due in dues)
    return clips + (plan_windows(frames).windows if clips < len(dues) else 0)


class Trial(NamedTuple):
    """What two windows cost; the first is slower by what happens once.

    Attributes:
        seconds: of each window, through all streams.
        windows: of the whole extraction.
    """

    seconds: list[float]
    windows: int

    def __str__(self) -> str:
        each = self.seconds[-1]
        told = " and ".join(f"{seconds:.2f}" for seconds in self.seconds)
        whole = time.strftime("%H:%M:%S", time.gmtime(each * self.windows % 86_400))
        days = int(each * self.windows // 86_400)
        whole = f"{days} days and {whole}" if days else whole
        return f"tried {len(self.seconds)} windows: {told} s; all {self.windows} take about {whole}"


def try_out(plan: Plan, windows: int = 2) -> Trial:
    """Shows the first windows of the first file to every stream that has something to do there.

    Raises:
        DataError: there is nothing to do, or the file is too short or cannot be read.
    """
    if not plan.jobs:
        raise DataError(f"{plan.root}: {plan.todo()}; there is nothing to try")
    job = plan.jobs[0]
    streams = list(dict.fromkeys(due.stream for due in job.dues))
    seconds = []
    with Video(job.source) as video:
        frames = window_frames(len(video))[:windows]
        if not frames:
            raise DataError(f"{job.source}: too short for a window; leave it out")
        gatherings = [stream.begin(len(video)) for stream in streams]
        for number, indices in enumerate(frames):
            started = time.perf_counter()
            window = Window(number, np.stack([video.frame(i) for i in indices]), indices)
            for stream, gathering in zip(streams, gatherings, strict=True):
                gathering.take(window)
                stream.flush()
            seconds.append(time.perf_counter() - started)
    return Trial(seconds, sum(job.windows for job in plan.jobs))
