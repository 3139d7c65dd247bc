"""Some frames of one clip as small pictures, or a sentence where there are none."""

from typing import NamedTuple

from imigue_lab.data.index import Index
from imigue_lab.data.video import Frame, Video
from imigue_lab.data.videos.windows import segment_centres
from imigue_lab.errors import DataError
from imigue_lab.views.footage import open_film
from imigue_lab.views.player.moment import Moment

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
