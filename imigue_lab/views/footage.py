"""Pictures and skeleton of one moment's video or clip, in whichever files the layout keeps them.

Frame numbers always refer to the whole video, also where a file contains a single clip. A page gets
each frame as a JPEG within a tenth of a second. In a file with sparse keyframes a jump has to
decode every frame in between: the first frame that takes too long starts a background thread which
caches small JPEGs of the whole span.
"""

import base64
import io
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import NamedTuple

import numpy as np
from PIL import Image

from imigue_lab.data.index import Index
from imigue_lab.data.videos.video import Frame, Video, segment_centres
from imigue_lab.errors import DataError
from imigue_lab.views.player.lanes import RATE, Moment, around, class_name
from imigue_lab.views.skeletons import Skeleton, read_skeleton
from imigue_lab.views.style import notes_on

SHOWN_SIDE = 360  # pixels of a picture as it is shown, at most
SLOW = 0.1  # seconds to decode a frame, above which the cache is started
Paint = Callable[[int, Frame], Frame]  # frame number and picture -> painted picture
EMPTY = (244, 244, 246)  # background of a skeleton without pictures
SHORT_SIDE = 144  # pixels


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
        return Video(self.path, short_side=min(SHOWN_SIDE, *self.size))


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


def as_source(picture: Frame) -> str:
    """A picture as the URL of an image in a page or figure."""
    return f"data:image/jpeg;base64,{base64.b64encode(as_jpeg(picture)).decode()}"


@dataclass(frozen=True)
class Footage:
    """What can be shown of one video, or of one clip with a second before and after it."""

    title: str
    first: int  # and last frame that can be shown
    last: int
    marked: tuple[int, int] | None  # first and last frame of the clip; None for a whole video
    times: list[float]  # seconds at which the frames start, from `first` on, and the last one ends
    size: tuple[int, int]  # width and height of the picture that the skeleton's places refer to
    skeleton: Skeleton | None
    film: Film | None  # None where only a skeleton is available
    notes: list[str]  # what is missing, and what else a viewer should know


def find_footage(moment: Moment) -> Footage:
    """Opens the files of the index; each one that is absent or unusable is reported in `notes`."""
    notes = notes_on(moment.index)
    fps = moment.fps
    if not moment.video.fps > 0:
        notes.append(f"the frame rate is unknown: played at {RATE:g} frames a second")
    film, skeleton = None, None
    try:
        film = open_film(moment)
    except DataError as error:
        notes.append(f"no pictures: {error}")
    try:
        skeleton = read_skeleton(moment)
    except DataError as error:
        notes.append(f"no skeleton: {error}")
    size = film.size if film else (4, 3)
    if skeleton and not film:
        skeleton, size = skeleton.framed()
    elif skeleton and skeleton.in_space:
        notes.append("the skeleton is in depth-camera coordinates and is not drawn on the picture")
        skeleton = None
    parts = [part for part in (film, skeleton) if part]
    first = min((part.first for part in parts), default=0)
    last = max((part.last for part in parts), default=0)
    marked = None
    if moment.clip is not None:
        marked = int(moment.clip.start), int(moment.clip.end)
        first, last = max(first, marked[0] - around(fps)), min(last, marked[1] + around(fps))
        last = max(first, last)
    times = moment.times(last + 1)[first:].round(4).tolist()
    return Footage(title_of(moment), first, last, marked, times, size, skeleton, film, notes)


def open_film(moment: Moment) -> Film:
    """The clip's own file if it has one, else the video's; DataError where it cannot be read."""
    clip = moment.clip
    path, first = moment.video.video, 0
    if clip is not None and clip.video is not None:
        path, first = clip.video, int(clip.start)
    if path is None:
        raise DataError(f"video {moment.video_id} is not under this root")
    with Video(path) as pictures:
        height, width, _ = pictures.frame(0).shape
        return Film(path, first, len(pictures), (width, height))


def title_of(moment: Moment) -> str:
    clip = moment.clip
    if clip is None:
        return f"Video {moment.video_id}"
    return f"Clip {moment.clip_id}: {class_name(moment.index, clip)}"


def still(footage: Footage, frame: int, width=480, paint: Paint | None = None) -> Image.Image:
    """One frame with its skeleton, for pages that cannot play the video."""
    scale = width / footage.size[0]
    size = width, max(1, round(footage.size[1] * scale))
    picture = Image.new("RGB", size, EMPTY)
    if footage.film:
        reel = Reel(footage.film, paint=paint)
        with closing(reel), suppress(DataError):  # the background stays empty, as in the player
            picture = Image.fromarray(reel.picture(frame)).resize(size)
    if footage.skeleton:
        footage.skeleton.draw(picture, frame, scale)
    return picture


class Pictures(NamedTuple):
    """Frames of a clip as pictures."""

    frames: list[int]  # numbers in the whole video
    pictures: list[Frame]  # one a frame; empty where no video is available
    size: tuple[int, int] | None  # width, height of the full-size picture in pixels, if known
    absent: str = ""  # why there are no pictures


def clip_pictures(
    index: Index,
    clip_id: str,
    count: int,
    size: tuple[int, int] | None = None,
    short_side: int = SHORT_SIDE,
) -> Pictures:
    """The middle frames of `count` equal segments of a clip.

    `size` is that where there is no video, `short_side` of the pictures in pixels; 0: as filmed.
    """
    moment = Moment(index, clip_id=clip_id)
    clip = moment.clip
    assert clip is not None
    frames = segment_centres(int(clip.start), int(clip.end), count)
    try:
        film = open_film(moment)
        with Video(film.path, short_side=min(short_side, *film.size)) as video:
            pictures = [video.frame(frame - film.first) for frame in frames]
    except DataError as error:
        return Pictures(frames, [], size, str(error))
    return Pictures(frames, pictures, film.size)
