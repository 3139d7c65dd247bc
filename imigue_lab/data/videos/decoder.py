"""Decodes single frames of a file by index, with few seeks and little decoding.

Frames are identified by time stamp, not by counting, so that a damaged frame shifts no other.
"""

from collections.abc import Iterator
from pathlib import Path

import av

from imigue_lab.data.videos.frame_table import FrameTable, open_stream


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
            self.stream.codec_context.skip_frame = "NONREF" if self.may_skip(packet) else "DEFAULT"
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue  # seen as a gap in the indices

    def may_skip(self, packet: av.Packet) -> bool:
        """Whether a packet is before the target, and so decoded only as a reference for others."""
        if self.table.times is None or packet.pts is None:
            return False
        return packet.pts < int(self.table.times[self.target])
