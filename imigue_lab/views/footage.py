"""The pictures and the skeleton of one moment's video or clip, wherever the layout keeps them.

Frames are counted in the whole video, also where a file holds one clip alone.

Some frames of one clip as small pictures, or a sentence where there are none.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from imigue_lab.data.index import Index
from imigue_lab.data.videos.video import Frame, Video, segment_centres
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.errors import DataError
from imigue_lab.views.player.lanes import RATE, Moment, around
from imigue_lab.views.reel import Film, Paint, Reel
from imigue_lab.views.skeletons import Skeleton, read_skeleton
from imigue_lab.views.style import notes_on

ALONE = (244, 244, 246)  # the ground that a skeleton without pictures is drawn on


@dataclass(frozen=True)
class Footage:
    """What there is to show of one video, or of one clip and a second around it.

    Attributes:
        first, last: frames that can be shown.
        marked: the clip's own range; None of a whole video.
        size: width and height that the skeleton's places are given in.
        film: None where the skeleton plays alone.
        notes: what is missing, and what else a viewer should know.
    """

    title: str
    first: int
    last: int
    marked: tuple[int, int] | None
    fps: float
    size: tuple[int, int]
    skeleton: Skeleton | None
    film: Film | None
    notes: list[str]


def find_footage(moment: Moment) -> Footage:
    """Opens what the index names; what is absent or cannot be used is a sentence in `notes`."""
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
    if skeleton and film and skeleton.in_space:
        notes.append("the skeleton lies in space and is not drawn over the picture")
        skeleton = None
    spans = [(film.first, film.first + film.frames - 1)] if film else []
    spans += [(skeleton.first, skeleton.last)] if skeleton else []
    first, last = min((s[0] for s in spans), default=0), max((s[1] for s in spans), default=0)
    marked = None
    if moment.clip is not None:
        marked = int(moment.clip.start), int(moment.clip.end)
        first, last = max(first, marked[0] - around(fps)), min(last, marked[1] + around(fps))
        last = max(first, last)
    return Footage(title_of(moment), first, last, marked, fps, size, skeleton, film, notes)


def open_film(moment: Moment) -> Film:
    """The clip's own file where it has one, else the video's.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    clip, video = moment.clip, moment.video
    path, first = video.video, 0
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
    return (
        f"Clip {moment.clip_id}: {'class unknown' if pd.isna(clip.label) else CLASSES[clip.label]}"
    )


def still(
    footage: Footage, frame: int, width: int = 480, paint: Paint | None = None
) -> Image.Image:
    """One frame with its skeleton, for pages on which nothing can be played."""
    scale = width / footage.size[0]
    size = width, max(1, round(footage.size[1] * scale))
    ground = Image.new("RGB", size, ALONE)
    if footage.film:
        reel = Reel(footage.film, paint=paint)
        try:
            ground = Image.fromarray(reel.picture(frame)).resize(size)
        except DataError:
            pass  # the ground stays empty, as in the player
        finally:
            reel.close()
    if footage.skeleton:
        draw_skeleton(ground, footage.skeleton, frame, scale)
    return ground


def draw_skeleton(ground: Image.Image, skeleton: Skeleton, frame: int, scale: float) -> None:
    pen = ImageDraw.Draw(ground)
    points, colours = skeleton.at(frame) * scale, skeleton.colours
    for parent, child in skeleton.bones:
        if not np.isnan(points[[parent, child]]).any():
            ends = [tuple(points[parent].tolist()), tuple(points[child].tolist())]
            pen.line(ends, fill=colours[child], width=2)
    for point, colour in zip(points.tolist(), colours, strict=True):
        if not np.isnan(point).any():
            pen.circle(tuple(point), 3, fill=colour)


SHORT_SIDE = 144  # pixels


class Pictures(NamedTuple):
    """Frames of a clip.

    Attributes:
        frames: numbers in the whole video.
        pictures: of each frame; empty where the clip has no pictures.
        size: width and height of the whole picture, in pixels; None where that is not known.
        absent: why there are none.
    """

    frames: list[int]
    pictures: list[Frame]
    size: tuple[int, int] | None
    absent: str = ""


def clip_pictures(
    index: Index, clip_id: str, count: int, size: tuple[int, int] | None = None
) -> Pictures:
    """The middle frames of `count` equal segments of a clip.

    Args:
        size: of its picture, where the file need not say.
    """
    moment = Moment(index, clip_id=clip_id)
    clip = moment.clip
    assert clip is not None
    frames = segment_centres(int(clip.start), int(clip.end), count)
    try:
        film = open_film(moment)
        with Video(film.path, short_side=min(SHORT_SIDE, *film.size)) as video:
            pictures = [video.frame(frame - film.first) for frame in frames]
    except DataError as error:
        return Pictures(frames, [], size, str(error))
    return Pictures(frames, pictures, film.size)
