"""Video files by PyAV: properties, frames by exact index, windows, writing, and another frame rate.

A frame's index is its position in presentation order, from 0, at a constant or variable rate.
Models see windows of 16 frames over a whole video, or the segment centres of a clip. Properties of
many videos are read once and cached in the workspace, one JSON file a data root:

<workspace>/probes/<root name>-<hash>.json      path -> size, change time, properties
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from fractions import Fraction
from heapq import heapify, heappop, heappush
from itertools import permutations
from pathlib import Path
from typing import NamedTuple, TypeVar

import av
import numpy as np
from jaxtyping import Float64, Int, UInt8

from imigue_lab.data.index import Problem
from imigue_lab.data.videos.frame_table import Decoder, frame_table, is_steady, open_stream
from imigue_lab.data.workspace import atomic_path, short_hash, workspace, write_atomically
from imigue_lab.errors import DataError, LabError

Frame = UInt8[np.ndarray, "height width 3"]  # RGB
Frames = UInt8[np.ndarray, "T height width 3"]
Name = TypeVar("Name", str, tuple[str, int])


@dataclass(frozen=True)
class VideoInfo:
    """Frames a second on average, picture size in pixels as displayed, number of frames."""

    fps: float
    width: int
    height: int
    frames: int


def probe(path: Path) -> VideoInfo:
    """Reads the header and the first frame, which has the rotation; where the header has no table
    of frames, or the rate varies, the frames are listed: the header's rate may be wrong.

    Raises DataError for a file that is no video, or is truncated.
    """
    container, stream = open_stream(path)
    with container:
        rate, frames = float(stream.average_rate or 0), stream.frames
        steady, base = is_steady(stream), float(stream.base_rate or 0)
        width, height = stream.width, stream.height
        with suppress(av.FFmpegError, StopIteration):
            if next(container.decode(stream)).rotation % 180:
                width, height = height, width
    if not steady:
        table = frame_table(path)
        frames, measured = table.header or table.frames, table.frames / np.ptp(table.seconds)
        rounded = (own for own in (base, rate) if np.isclose(own, measured, rtol=0.003))
        rate = next(rounded, float(measured))
    return VideoInfo(rate, width, height, frames)


VERSION = 2  # increase when `probe` returns something else
FACTS = [field.name for field in fields(VideoInfo)]
THREADS = 8  # opening files is bound by the disk or network
Known = dict[str, tuple[list[int], list]]  # path -> [size in bytes, change time in ns], facts


def probe_all(paths: Sequence[Path], root: Path) -> tuple[dict[Path, VideoInfo], list[Problem]]:
    """Properties by path, and a problem for each file that cannot be opened.

    Only files that are new or have changed since the last call for `root` are read.
    """
    file = workspace() / "probes" / f"{root.name}-{short_hash(root)}.json"
    cached = read_cache(file)
    stamps = {path: stamp(path) for path in paths}
    fresh = (str(path) for path in paths if cached.get(str(path), [None])[0] == stamps[path])
    known = {path: cached[path] for path in fresh}
    problems = []
    new = [path for path in paths if str(path) not in known]
    with ThreadPoolExecutor(THREADS) as pool:
        for path, probed in [(path, pool.submit(probe, path)) for path in new]:
            try:
                info = probed.result()
            except DataError as error:
                what, _, advice = str(error).removeprefix(f"{path}: ").rpartition("; ")
                problems.append(Problem("unreadable", path, None, what, advice))
            else:
                known[str(path)] = stamps[path], [getattr(info, name) for name in FACTS]
    if new:
        with suppress(LabError):  # where the workspace is read-only, they are read again
            content = {"version": VERSION, "facts": FACTS, "videos": known}
            write_atomically(file, json.dumps(content))
    found = {path: VideoInfo(*known[str(path)][1]) for path in paths if str(path) in known}
    return found, problems


def read_cache(file: Path) -> Known:
    """The cached properties; empty where the file is absent, damaged or of another version."""
    try:
        stored = json.loads(file.read_text())
        if (stored["version"], stored["facts"]) != (VERSION, FACTS):
            return {}
        return {path: (list(s), list(facts)) for path, (s, facts) in stored["videos"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def stamp(path: Path) -> list[int]:
    """Size in bytes and change time in nanoseconds; empty for a broken link."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


class Windows(NamedTuple):
    """The number of windows of a video, and of frames at its end that belong to none."""

    windows: int
    dropped: int


def plan_windows(frames: int, size: int = 16) -> Windows:
    """Non-overlapping windows of `size` frames; the last one needs at least half of its frames."""
    whole, rest = divmod(frames, size)
    return Windows(whole, rest) if 2 * rest < size else Windows(whole + 1, 0)


def window_frames(frames: int, size: int = 16) -> list[list[int]]:
    """The frame indices of each window; a short last one repeats its last frame."""
    return [
        [min(index, frames - 1) for index in range(first, first + size)]
        for first in range(0, plan_windows(frames, size).windows * size, size)
    ]


def segment_centres(start: int, end: int, count: int = 16) -> list[int]:
    """Centre frames of `count` equal segments of [start, end], end inclusive.

    Frames repeat where the range is shorter than `count`.
    """
    length = end - start + 1
    return [start + (2 * segment + 1) * length // (2 * count) for segment in range(count)]


class Video:
    """RGB frames of a video file by index; a context manager.

    Args:
        short_side: the shorter side is resized to this number of pixels; 0 keeps the size.
        threads: decoder threads; 0 is one a core, for one pass over a long file.

    Raises DataError for a file that is no video, or contains no complete frame.
    """

    def __init__(self, path: Path, short_side: int = 0, threads: int = 1):
        self.path = path
        self.short_side = short_side
        self.table = frame_table(path)
        self.decoder = Decoder(path, self.table, threads)
        self.size = self.decoder.stream.width, self.decoder.stream.height

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self.decoder.close()

    def __len__(self) -> int:
        return self.table.frames

    def frame(self, index: int) -> Frame:
        """One frame; fast for increasing indices, a seek otherwise.

        Raises DataError for a frame past the end, or damaged.
        """
        self.check_range(index)
        if (found := self.decoder.go_to(index)) is None:
            raise DataError(
                f"{self.path}: frame {index} is damaged and does not decode; copy the file again,"
                " or leave out what needs this frame"
            )
        self.check_size(index, found)
        return picture(found, self.short_side)

    def clips(self, wanted: Mapping[Name, Sequence[int]]) -> Iterator[tuple[Name, Frames]]:
        """Many clips in one forward pass; a frame shared by several clips is decoded once.

        `wanted` are frame indices by clip id, such as ``range(start, end + 1)`` or
        `segment_centres`; clips may overlap and come in any order. Each clip is yielded, with its
        frames in the requested order, as soon as its last frame is decoded; only frames of clips
        that have started and not ended are kept in memory.

        Raises DataError for an empty clip, or a frame that is past the end or damaged.
        """
        for name, indices in wanted.items():
            if not len(indices):
                raise DataError(f"{self.path}: clip {name} contains no frames; correct its range")
            self.check_range(min(indices), max(indices))
        queue = [(min(indices), name) for name, indices in wanted.items()]
        heapify(queue)
        started: dict[Name, tuple[Iterator[int], dict[int, Frame]]] = {}
        while queue:
            index = queue[0][0]
            frame = self.frame(index)
            while queue and queue[0][0] == index:
                _, name = heappop(queue)
                if name not in started:
                    started[name] = iter(sorted(set(wanted[name]))[1:]), {}
                later, frames = started[name]
                frames[index] = frame
                if (next_index := next(later, None)) is not None:
                    heappush(queue, (next_index, name))
                else:
                    del started[name]
                    yield name, np.stack([frames[i] for i in wanted[name]])

    def damaged(self) -> list[int]:
        """Indices of the frames that do not decode; decodes the whole file.

        Raises DataError where the size of the pictures changes.
        """
        self.decoder.restart()
        failed: list[int] = []
        expected = 0
        for number, frame in self.decoder.frames:
            self.check_size(number, frame)
            failed += range(expected, number)
            expected = number + 1
        self.decoder.restart()
        return [*failed, *range(expected, len(self))]

    def check_size(self, index: int, frame: av.VideoFrame) -> None:
        """Raises DataError for a frame of another size than the file's."""
        if (frame.width, frame.height) != self.size:
            raise DataError(
                f"{self.path}: expected pictures of {self.size[0]} x {self.size[1]} pixels, got"
                f" {frame.width} x {frame.height} from frame {index} on; encode it at one size"
            )

    def check_range(self, *indices: int) -> None:
        """Raises DataError for the first index outside of the file."""
        for index in indices:
            if not 0 <= index < len(self):
                header = self.table.header
                claim = "" if header in (0, len(self)) else f", {header} in the header"
                raise DataError(
                    f"{self.path}: expected frame {index}, got {len(self)} frames (0 to"
                    f" {len(self) - 1}{claim}); correct the range, or copy the file again"
                )


def picture(frame: av.VideoFrame, short_side: int) -> Frame:
    """RGB, rotated as a player shows it, with the shorter side resized."""
    width, height = frame.width, frame.height
    if short_side:
        scale = short_side / min(width, height)
        width, height = round(width * scale), round(height * scale)
    rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(rgb, frame.rotation // 90)) if frame.rotation else rgb


def write_video(
    path: Path, frames: Iterable[Frame], fps: int | Fraction, quality: int = 23
) -> None:
    """Writes RGB frames as H.264 in an mp4; sides must be even.

    `quality` is x264's constant rate factor; lower is better and larger.
    """
    options = {"preset": "ultrafast", "crf": str(quality)}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(frames):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


SAME_RATE = 0.01  # relative difference below which two frame rates count as equal
FINE = 16  # x264's rate factor of resampled copies, visually lossless


def differ(fps: int | float, rate: int | float) -> bool:
    """Whether two frame rates differ by more than rounding."""
    return abs(fps - rate) > SAME_RATE * rate


RATES = (25, 30, 50, 60, 15, 24, 12.5, 10)  # frames a second, the most usual first


def rates_of(frames: int, others: int) -> str:
    """Which two usual frame rates explain two numbers of frames of one film; empty where none."""
    for rate, other in permutations(RATES, 2):
        if abs(frames - others * rate / other) <= 1:
            return f" (as at {rate:g} frames a second of {other:g}: made from another copy?)"
    return ""


def varies(seconds: Float64[np.ndarray, " S"]) -> bool:
    """Whether frames are shown more than one frame earlier or later than at a constant rate."""
    even = np.linspace(seconds[0], seconds[-1], len(seconds))
    return bool(np.abs(seconds - even).max() > 1.5 * (even[1] - even[0]))


def frames_at(seconds: Float64[np.ndarray, " S"], rate: int | float) -> Int[np.ndarray, " F"]:
    """For each frame at a constant rate, the frame of a video that is shown at its midpoint.

    `seconds` at which the video's frames start, and the last one ends; see `FrameTable`.
    """
    count = max(1, round(float(np.ptp(seconds)) * rate))
    shown = np.searchsorted(seconds, seconds[0] + (np.arange(count) + 0.5) / rate, side="right")
    return np.clip(shown - 1, 0, len(seconds) - 2)


def resample_video(source: Path, target: Path, rate: int | float) -> None:
    """Writes a copy at a constant frame rate, atomically; an odd last row or column is removed.

    Raises DataError for a source that is no video, or has a damaged frame.
    """
    with Video(source, threads=0) as video, atomic_path(target) as path:
        pictures = (video.frame(int(n)) for n in frames_at(video.table.seconds, rate))
        even = (shot[: len(shot) // 2 * 2, : shot.shape[1] // 2 * 2] for shot in pictures)
        write_video(path, even, Fraction(rate).limit_denominator(1001), FINE)
