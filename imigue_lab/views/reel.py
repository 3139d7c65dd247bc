"""Frames of one video file as JPEGs for a page, each within a tenth of a second.

In a file with sparse keyframes a jump has to decode every frame in between. The first frame that
takes too long starts a background thread which caches small JPEGs of the whole span.
"""

import base64
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread
from typing import NamedTuple

import numpy as np
from PIL import Image

from imigue_lab.data.videos.video import Frame, Video
from imigue_lab.errors import DataError

SHORT_SIDE = 360  # pixels of a picture as it is shown, at most
SLOW = 0.1  # seconds to decode a frame, above which the cache is started
Paint = Callable[[int, Frame], Frame]  # frame number and picture -> painted picture


class Film(NamedTuple):
    """A video file: its number of frames, and the number of its first frame in the video."""

    path: Path
    first: int
    frames: int
    size: tuple[int, int]  # width, height

    @property
    def last(self) -> int:
        return self.first + self.frames - 1

    def open(self) -> Video:
        """Opens the file, scaled down to the displayed size."""
        return Video(self.path, short_side=min(SHORT_SIDE, *self.size))


class Reel:
    """Reads frames of a film; the file stays open between calls.

    `span` is the first and last frame to cache when decoding is slow (None: no cache); `paint`
    draws on each picture, at its displayed size.
    """

    def __init__(self, film: Film, span: tuple[int, int] | None = None, paint: Paint | None = None):
        self.film, self.span, self.paint = film, span, paint
        self.video: Video | None = None
        self.prints: Prints | None = None

    def picture(self, frame: int) -> Frame:
        """A frame of the video; DataError where it does not exist, or is damaged."""
        printed = self.printed(frame)
        picture = np.array(Image.open(io.BytesIO(printed))) if printed else self.decode(frame)
        return picture if self.paint is None else self.paint(frame, picture)

    def jpeg(self, frame: int) -> bytes:
        """The same as a JPEG; see `picture`."""
        printed = self.printed(frame) if self.paint is None else None
        return printed or as_jpeg(self.picture(frame))

    def printed(self, frame: int) -> bytes | None:
        return self.prints.jpeg(frame) if self.prints else None

    def decode(self, frame: int) -> Frame:
        """A frame from the file itself."""
        if self.video is None:
            self.video = self.film.open()
        start = time.perf_counter()
        picture = self.video.frame(frame - self.film.first)
        if self.span and self.prints is None and time.perf_counter() - start > SLOW:
            self.prints = Prints(self.film, *self.span)
        return picture

    def close(self) -> None:
        if self.prints:
            self.prints.close()
        if self.video is not None:
            self.video.__exit__()
            self.video = None


class Prints:
    """JPEGs of a film's frames `first` to `last`, in a temporary file.

    Damaged frames are left out, and a full disk ends the caching: the film still decodes them.
    """

    def __init__(self, film: Film, first: int, last: int):
        self.film, self.frames = film, range(first, last + 1)
        self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (open until `close`)
        self.places: dict[int, tuple[int, int]] = {}  # by frame: length, first byte
        self.lock = Lock()
        self.thread = Thread(target=self.encode, daemon=True)
        self.thread.start()

    def encode(self) -> None:
        """Encodes the span once, in order."""
        end = 0
        with self.film.open() as video:
            for frame in self.frames:
                try:
                    content = as_jpeg(video.frame(frame - self.film.first))
                except DataError:
                    continue
                with self.lock:
                    if self.file.closed:
                        return
                    try:
                        self.file.write(content)
                    except OSError:
                        return
                self.places[frame] = len(content), end
                end += len(content)

    def jpeg(self, frame: int) -> bytes | None:
        """None where it is not cached yet."""
        if frame not in self.places:
            return None
        return os.pread(self.file.fileno(), *self.places[frame])

    def close(self) -> None:
        with self.lock:
            self.file.close()


def as_jpeg(picture: Frame) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=82)
    return content.getvalue()


def as_base64(picture: Frame) -> str:
    return base64.b64encode(as_jpeg(picture)).decode()


def as_source(picture: Frame) -> str:
    """A picture as the URL of an image in a page or figure."""
    return f"data:image/jpeg;base64,{as_base64(picture)}"
