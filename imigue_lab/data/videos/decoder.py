"""Decodes one file to a frame given by index, with as few seeks and as little decoding as it can.

A frame is told by its time stamp, not by counting what comes out: a damaged one moves no other.
"""

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from imigue_lab.data.videos.frame_table import FrameTable, open_stream


class Decoder:
    """Goes to a frame: forward by decoding on, back or over a keyframe by a seek.

    Args:
        threads: decoder threads; 0 is one a core.
    """

    def __init__(self, path: Path, table: FrameTable, threads: int):
        self.path = path
        self.table = table
        self.threads = threads
        self.container: InputContainer
        self.stream: VideoStream
        self.open()

    def open(self) -> None:
        """Begins at the start of the file."""
        self.container, self.stream = open_stream(self.path)
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.thread_count = self.threads
        self.coming = self.numbered(from_key=False)
        self.next = 0  # all frames from this one on are still to come
        self.wanted = 0  # frames before this one may be left out
        self.from_start = True

    def close(self) -> None:
        self.container.close()

    def restart(self) -> None:
        self.close()
        self.open()

    def seek(self, key: int) -> None:
        """Begins at a frame that decodes without any before it."""
        if self.table.times is None or key == 0:
            return self.restart()
        try:
            self.container.seek(int(self.table.times[key]), stream=self.stream)
        except av.FFmpegError:
            return self.restart()
        self.coming = self.numbered(from_key=True)
        self.next, self.from_start = key, False
        return None

    def go_to(self, index: int) -> av.VideoFrame | None:
        """The frame, or None where it does not decode."""
        key = self.table.key_before(index)
        if index < self.next or key > self.next:
            self.seek(key)
        self.wanted = index
        number, frame = self.decode_until(index)
        if number != index and not self.from_start:  # the seek came down behind the frame
            self.restart()
            self.wanted = index
            number, frame = self.decode_until(index)
        return frame if number == index else None

    def decode_until(self, index: int) -> tuple[int, av.VideoFrame | None]:
        """The first sound frame from `index` on."""
        for number, frame in self.coming:
            self.next = number + 1
            if number >= index:
                return number, frame
        self.next = self.table.frames
        return self.next, None

    def numbered(self, from_key: bool) -> Iterator[tuple[int, av.VideoFrame]]:
        """Sound frames with their index, from where the container stands."""
        for count, frame in enumerate(self.decoded(from_key)):
            number = count if self.table.times is None else self.table.index_of(frame.pts)
            if number is not None and not frame.is_corrupt:
                yield number, frame

    def decoded(self, from_key: bool) -> Iterator[av.VideoFrame]:
        """Frames in presentation order; a packet that does not decode gives none."""
        begun = not from_key
        for packet in self.container.demux(self.stream):
            begun = begun or packet.is_keyframe or not packet.size
            if not begun or packet.is_corrupt:
                continue
            self.stream.codec_context.skip_frame = "NONREF" if self.may_skip(packet) else "DEFAULT"
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue  # the gap in the numbers shows it

    def may_skip(self, packet: av.Packet) -> bool:
        """Whether it is passed on the way only; then it is decoded if others are made from it."""
        if self.table.times is None or packet.pts is None:
            return False
        return packet.pts < int(self.table.times[self.wanted])
