"""The cache contains the frames of the film, is started only if decoding is slow, and is closed."""

import io
from threading import Event

import numpy as np
import pytest
from PIL import Image

from imigue_lab.data.videos.video import Video, write_video
from imigue_lab.errors import DataError
from imigue_lab.views import footage
from imigue_lab.views.footage import Film, Prints, Reel, as_jpeg

FRAMES, FIRST = 60, 100
SPAN = (FIRST + 20, FIRST + 49)


def grey(frame):
    return np.full((64, 96, 3), 4 * frame, np.uint8)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Its frames get lighter; it starts at frame 100 of the video and has one keyframe."""
    path = tmp_path_factory.mktemp("film") / "one_key.mp4"
    write_video(path, map(grey, range(FRAMES)), 25)
    with Video(path) as video:
        assert video.table.keys.tolist() == [0]
    return Film(path, FIRST, FRAMES, (96, 64))


def lightness(content):
    return np.asarray(Image.open(io.BytesIO(content))).mean() / 4


def test_a_slow_frame_starts_the_cache_of_exactly_the_span(film, monkeypatch):
    monkeypatch.setattr(footage, "SLOW", 0.0)
    reel = Reel(film, SPAN)
    own = reel.jpeg(FIRST + 55)
    assert reel.prints
    reel.prints.thread.join()
    assert sorted(reel.prints.places) == list(range(SPAN[0], SPAN[1] + 1))
    monkeypatch.setattr(Reel, "decode", lambda *_: pytest.fail("decoded again"))
    for frame in (SPAN[1], SPAN[0], FIRST + 33):
        assert lightness(reel.jpeg(frame)) == pytest.approx(frame - FIRST, abs=0.6)
        assert reel.picture(frame).mean() / 4 == pytest.approx(frame - FIRST, abs=0.6)
    assert lightness(own) == pytest.approx(55, abs=0.6)
    reel.close()


def test_cache_and_film_return_the_same_bytes(film):
    reel = Reel(film)
    prints = Prints(film, *SPAN)
    prints.thread.join()
    for frame in (SPAN[0], SPAN[1]):
        assert prints.jpeg(frame) == reel.jpeg(frame)
    assert prints.jpeg(SPAN[1] + 1) is None
    prints.close()
    reel.close()


def test_a_fast_frame_does_not_start_the_cache(film, monkeypatch):
    monkeypatch.setattr(footage, "SLOW", 60.0)
    reel = Reel(film, SPAN)
    reel.jpeg(SPAN[0])
    assert reel.prints is None
    reel.close()


def test_paint_is_drawn_on_cached_frames_as_on_the_film(film, monkeypatch):
    monkeypatch.setattr(footage, "SLOW", 0.0)
    reel = Reel(film, SPAN)
    reel.jpeg(SPAN[0])
    reel.prints.thread.join()
    reel.paint = lambda frame, picture: 255 - picture
    assert lightness(reel.jpeg(SPAN[0])) == pytest.approx((255 - 4 * 20) / 4, abs=0.6)
    reel.close()


def test_a_damaged_frame_is_not_cached_and_the_film_reports_why(film, monkeypatch):
    whole = Video.frame

    def frame(video, index):
        if index == 30:
            raise DataError("frame 30 is damaged")
        return whole(video, index)

    monkeypatch.setattr(Video, "frame", frame)
    monkeypatch.setattr(footage, "SLOW", 0.0)
    reel = Reel(film, SPAN)
    reel.jpeg(SPAN[0])
    reel.prints.thread.join()
    assert FIRST + 30 not in reel.prints.places and FIRST + 31 in reel.prints.places
    with pytest.raises(DataError, match="frame 30 is damaged"):
        reel.jpeg(FIRST + 30)
    reel.close()


@pytest.mark.parametrize("way", ["closed", "disk full"])
def test_caching_stops_when_the_reel_is_closed_or_the_disk_is_full(film, monkeypatch, way):
    started, resume = Event(), Event()

    def slowly(picture):
        started.set()
        resume.wait(10)
        return as_jpeg(picture)

    monkeypatch.setattr(footage, "as_jpeg", slowly)
    prints = Prints(film, *SPAN)
    started.wait(10)
    if way == "closed":
        prints.close()
    else:
        prints.file.close()
        prints.file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    resume.set()
    prints.thread.join(10)
    assert not prints.thread.is_alive() and not prints.places
    prints.close()
