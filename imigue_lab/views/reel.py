"""The pictures of one film as a page shows them, each within a tenth of a second.

A file whose keyframes lie far apart answers a jump only when all between is decoded. The first
picture that takes too long starts small prints of the whole span, made in the background.
"""

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
SLOW = 0.1  # seconds that a picture may take before prints are made
Paint = Callable[[int, Frame], Frame]  # frame number and picture -> the picture with more on it


class Film(NamedTuple):
    """A file of pictures: what it holds, and the frame of the video that it begins with."""

    path: Path
    first: int
    frames: int
    size: tuple[int, int]  # width, height

    def open(self) -> Video:
        """The file, its pictures as small as they are shown."""
        return Video(self.path, short_side=min(SHORT_SIDE, *self.size))


class Reel:
    """Reads the pictures of a film; the file stays open between calls.

    Args:
        span: first and last frame that somebody may ask for again; None where one look is all.

    Attributes:
        paint: draws on each picture, of the size in which it is shown.
    """

    def __init__(self, film: Film, span: tuple[int, int] | None = None, paint: Paint | None = None):
        self.film, self.span, self.paint = film, span, paint
        self.video: Video | None = None
        self.prints: Prints | None = None

    def picture(self, frame: int) -> Frame:
        """A frame of the video.

        Raises:
            DataError: it is not there, or damaged.
        """
        printed = self.printed(frame)
        picture = np.array(Image.open(io.BytesIO(printed))) if printed else self.decode(frame)
        return picture if self.paint is None else self.paint(frame, picture)

    def jpeg(self, frame: int) -> bytes:
        """A frame of the video as a page shows it; see `picture`."""
        printed = self.printed(frame) if self.paint is None else None
        return printed or as_jpeg(self.picture(frame))

    def printed(self, frame: int) -> bytes | None:
        return self.prints.jpeg(frame) if self.prints else None

    def decode(self, frame: int) -> Frame:
        """From the file itself."""
        if self.video is None:
            self.video = self.film.open()
        began = time.perf_counter()
        picture = self.video.frame(frame - self.film.first)
        if self.span and self.prints is None and time.perf_counter() - began > SLOW:
            self.prints = Prints(self.film, *self.span)
        return picture

    def close(self) -> None:
        if self.prints:
            self.prints.close()
        if self.video is not None:
            self.video.__exit__()
            self.video = None


class Prints:
    """JPEGs of a film's frames `first` to `last`, in a file that goes when it is closed.

    A damaged frame has none, and on a full disk no more are made: the film still answers.
    """

    def __init__(self, film: Film, first: int, last: int):
        self.film, self.frames = film, range(first, last + 1)
        self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (open until `close`)
        self.places: dict[int, tuple[int, int]] = {}  # of each frame: length, first byte
        self.turn = Lock()
        self.thread = Thread(target=self.make, daemon=True)
        self.thread.start()

    def make(self) -> None:
        """Goes once through the span."""
        end = 0
        with self.film.open() as video:
            for frame in self.frames:
                try:
                    content = as_jpeg(video.frame(frame - self.film.first))
                except DataError:
                    continue
                with self.turn:
                    if self.file.closed:
                        return
                    try:
                        self.file.write(content)
                    except OSError:
                        return
                self.places[frame] = len(content), end
                end += len(content)

    def jpeg(self, frame: int) -> bytes | None:
        """None where it is not made yet."""
        if frame not in self.places:
            return None
        return os.pread(self.file.fileno(), *self.places[frame])

    def close(self) -> None:
        with self.turn:
            self.file.close()


def as_jpeg(picture: Frame) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=82)
    return content.getvalue()
