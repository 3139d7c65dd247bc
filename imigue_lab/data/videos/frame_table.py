"""The frames of a file by index: their time stamps, and a decoder with few seeks.

Time stamps and keyframes are read from the packets without decoding. Frames are identified by time
stamp, not by counting, so that a damaged frame shifts no other.
"""

from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from jaxtyping import Float64, Int64

from imigue_lab.errors import DataError, advice

STILL = ("mjpeg", "png", "bmp", "gif", "webp", "tiff")  # codecs of pictures beside a film


@dataclass(frozen=True)
class FrameTable:
    """The frames of one file in presentation order.

    Where the packets have no unique time stamps (AVI), frames can only be counted.
    """

    frames: int
    header: int  # number of frames in the header; 0 where it has none
    times: Int64[np.ndarray, " frames"] | None  # ascending, in ticks of the stream
    keys: Int64[np.ndarray, " keys"]  # keyframes, which decode without earlier frames
    seconds: Float64[np.ndarray, " S"]  # at which each frame starts, and the last one ends

    def key_before(self, index: int) -> int:
        """The keyframe from which `index` is decoded; 0 is the start of the file."""
        key = int(np.searchsorted(self.keys, index, side="right")) - 1
        return int(self.keys[key]) if key >= 0 else 0

    def index_of(self, time: int | None) -> int | None:
        """The frame shown at a time stamp."""
        if self.times is None or time is None:
            return None
        index = int(np.searchsorted(self.times, time))
        return index if index < self.frames and self.times[index] == time else None


def open_stream(path: Path) -> tuple[InputContainer, VideoStream]:
    """Opens a file and its default video stream, else its first; pictures beside a film, such as
    covers and thumbnails, are not video.

    Raises DataError for a file that is no video, is truncated before its header, or audio only.
    """
    try:
        container = av.open(str(path))
    except av.FFmpegError as error:
        todo = advice(error, "copy it again")
        raise DataError(f"{path}: not a readable video ({error.strerror}); {todo}") from error
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    moving = [s for s in films if s.codec_context and s.codec_context.name not in STILL]
    films = [s for s in moving if s.frames != 1] or moving or films
    films.sort(key=lambda s: not s.disposition & Disposition.default)
    if not films or films[0].codec_context is None:
        container.close()
        what = "not a readable video (unknown codec)" if films else "contains no video stream"
        raise DataError(f"{path}: {what}; copy it again, or name another file")
    return container, films[0]


def is_steady(stream: VideoStream) -> bool:
    """Whether the header has a table of frames, at a constant rate; else its rate may be wrong."""
    return stream.frames > 0 and stream.base_rate == stream.average_rate


def frame_table(path: Path) -> FrameTable:
    """Lists the frames of a file without decoding (a file without time stamps is decoded once).

    In a truncated mp4 only frames before which none can be missing are counted: where later frames
    are stored before earlier ones, truncation leaves gaps. In Matroska and transport streams a
    truncation cannot be detected: the last few frames before it may be misnumbered.

    Frames that an edit list leaves out, or that need one before the start of a cut, are no frames
    of the file. Second 0 is the container's; transport streams have none: it is their start.

    Raises DataError for a file that is no video, or contains no complete frame.
    """
    container, stream = open_stream(path)
    times, lengths, keys, last_stored = array("q"), array("q"), array("q"), None
    hidden, stamped = 0, True  # packets left out by an edit list
    with container:
        stored = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
        try:
            for packet in container.demux(stream):
                if not packet.size or packet.is_corrupt:
                    continue
                if packet.pts is None and (keys or packet.is_keyframe):
                    stamped = False
                    break
                if packet.pts is None:
                    continue  # before the first keyframe: never decodes
                if packet.is_keyframe:
                    keys.append(packet.pts)
                if packet.is_discard:
                    hidden += 1
                    continue
                times.append(packet.pts)
                lengths.append(packet.duration or 0)
                last_stored = packet.dts
        except av.FFmpegError as error:
            raise DataError(
                f"{path}: truncated after {len(times)} frames ({error.strerror}); copy it again"
            ) from error
        header, size, rate = stream.frames, container.size, stream.average_rate
        tick, start = stream.time_base or Fraction(1), container.start_time or 0
        zero = start / av.time_base if start < 0 or "mpeg" in container.format.name else 0.0
    shown, first = np.unique(np.array(times, dtype=np.int64), return_index=True)
    if not stamped or len(shown) < len(times):
        return counted_table(path, header, rate)
    ends = shown + np.array(lengths, dtype=np.int64)[first]
    if stored > size and last_stored is not None:
        shown = shown[shown <= last_stored]
    before = int((shown < min(keys, default=0)).sum())  # these never decode
    shown = shown[before:]
    if not len(shown):
        raise DataError(f"{path}: contains no complete frame; copy it again")
    end = ends[before + len(shown) - 1]
    if end == shown[-1] or not header:  # a length, where there is no table of them, is a guess
        end = 2 * shown[-1] - shown[-2] if len(shown) > 1 else shown[-1] + 1 / (rate or 25) / tick
    seconds = np.append(shown, float(end)) * tick.numerator / tick.denominator - zero
    own = np.sort([key for key in keys if shown[0] <= key <= shown[-1]])
    return FrameTable(
        len(shown),
        max(0, header - hidden - before),
        shown,
        np.unique(np.searchsorted(shown, np.array(own, dtype=np.int64))),
        seconds,
    )


def seconds_of(path: Path | None, fps: float, frames: int) -> Float64[np.ndarray, " S"]:
    """Seconds at which the frames of a video start and the last one ends, and after it by `fps`.

    By the file's time stamps; without a readable file by the frame rate.
    """
    known = np.zeros(1)
    if path is not None:
        with suppress(DataError):
            known = frame_table(path).seconds[: frames + 1]
    return np.append(known, known[-1] + np.arange(1, frames + 2 - len(known)) / fps)


def counted_table(path: Path, header: int, rate: Fraction | None) -> FrameTable:
    """The table of a file without time stamps, whose frames are all decoded from the start.

    Raises DataError for a damaged frame, which would shift the index of all later frames.
    """
    container, stream = open_stream(path)
    frames, whole = 0, False
    with container, suppress(av.FFmpegError):
        for frame in container.decode(stream):
            if frame.is_corrupt:
                break
            frames += 1
        else:
            whole = True
    if not whole:
        raise DataError(
            f"{path}: frame {frames} is damaged and the file has no time stamps by which to number"
            " later frames; copy it again"
        )
    if not frames:
        raise DataError(f"{path}: contains no complete frame; copy it again")
    seconds = np.arange(frames + 1) / float(rate or 25)
    return FrameTable(frames, header, None, np.zeros(1, dtype=np.int64), seconds)


class Decoder:
    """Moves to a frame: forward by decoding, backward or past a keyframe by a seek.

    `threads` is the number of decoder threads; 0 is one a core.
    """

    def __init__(self, path: Path, table: FrameTable, threads: int):
        self.path = path
        self.table = table
        self.threads = threads
        self.open()

    def open(self) -> None:
        """Starts at the beginning of the file."""
        self.container, self.stream = open_stream(self.path)
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.thread_count = self.threads
        self.frames = self.numbered(from_key=False)
        self.next = 0  # frames from this one on are not decoded yet
        self.target = 0  # frames before this one may be skipped
        self.from_start = True

    def close(self) -> None:
        self.container.close()

    def restart(self) -> None:
        self.close()
        self.open()

    def seek(self, key: int) -> None:
        """Starts at a keyframe."""
        if self.table.times is None or key == 0:
            return self.restart()
        try:
            self.container.seek(int(self.table.times[key]), stream=self.stream)
        except av.FFmpegError:
            return self.restart()
        self.frames = self.numbered(from_key=True)
        self.next, self.from_start = key, False
        return None

    def go_to(self, index: int) -> av.VideoFrame | None:
        """The frame, or None where it does not decode."""
        key = self.table.key_before(index)
        if index < self.next or key > self.next:
            self.seek(key)
        number, frame = self.decode_until(index)
        if number != index and not self.from_start:  # the seek overshot
            self.restart()
            number, frame = self.decode_until(index)
        return frame if number == index else None

    def decode_until(self, index: int) -> tuple[int, av.VideoFrame | None]:
        """The first undamaged frame from `index` on."""
        self.target = index
        for number, frame in self.frames:
            self.next = number + 1
            if number >= index:
                return number, frame
        self.next = self.table.frames
        return self.next, None

    def numbered(self, from_key: bool) -> Iterator[tuple[int, av.VideoFrame]]:
        """Undamaged frames with their index, from the current position of the container."""
        for count, frame in enumerate(self.decoded(from_key)):
            number = count if self.table.times is None else self.table.index_of(frame.pts)
            if number is not None and not frame.is_corrupt:
                yield number, frame

    def decoded(self, from_key: bool) -> Iterator[av.VideoFrame]:
        """Frames in presentation order; a packet that does not decode yields none."""
        started = not from_key
        for packet in self.container.demux(self.stream):
            started = started or packet.is_keyframe or not packet.size
            if not started or packet.is_corrupt:
                continue
            times, pts = self.table.times, packet.pts  # before the target: a reference for others
            early = times is not None and pts is not None and pts < times[self.target]
            self.stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue  # seen as a gap in the indices
