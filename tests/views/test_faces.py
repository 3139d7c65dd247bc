"""Strips of frames and selected faces along an interview, and the contact sheet of a video."""

import numpy as np
import pytest

from imigue_lab.data.store import Encoding, create_store
from imigue_lab.data.videos.video import Video, write_video
from imigue_lab.features.alignment import square
from imigue_lab.views.faces import (
    CAPTION,
    DIM,
    SIDE,
    TILE,
    contact_sheet,
    face_strip,
    frame_strip,
    spread,
)


@pytest.mark.parametrize(
    ("windows", "count", "chosen"),
    [
        (4, 12, [0, 1, 2, 3]),
        (19, 12, [1, 3, 5, 7, 9, 11, 13, 15, 17]),
        (550, 11, None),
        (1, 5, [0]),
    ],
)
def test_windows_are_evenly_spaced(windows, count, chosen):
    found = spread(windows, count)
    assert len(found) <= count and found[0] >= 0 and found[-1] < windows
    assert len(set(np.diff(found))) <= 1
    assert chosen is None or found == chosen


def test_frames_are_the_middle_frames_of_their_windows(filmed):
    strip = frame_strip(filmed, "0001", windows=10, count=5)
    assert list(strip.pictures) == [1, 3, 5, 7, 9]
    with Video(filmed.videos.video[0], short_side=SIDE) as video:
        np.testing.assert_array_equal(strip.pictures[3], video.frame(3 * 16 + 7))


def test_faces_are_cropped_where_one_was_selected(filmed, tmp_path):
    store = create_store(str(tmp_path), filmed, Encoding("face-some", "a rule", ""))
    boxes = np.full((200, 5), np.nan, np.float32)
    boxes[3 * 16 + 7] = (60, 20, 100, 70, 0.9)
    arrays = {"face": np.ones((10, 3), np.float16), "face_boxes": boxes}
    store.write("0001", arrays, filmed.videos.video[0])
    strip = face_strip(filmed, store, "0001", windows=10, count=5)
    assert list(strip.pictures) == [3]
    with Video(filmed.videos.video[0]) as video:
        expected = square(video.frame(3 * 16 + 7), np.array([60, 20, 100, 70], np.float32), SIDE)
    np.testing.assert_array_equal(strip.pictures[3], expected)


def test_missing_videos_and_boxes_are_reported(index, filmed, tmp_path):
    assert frame_strip(index, "0001", 10).absent == "the video of 0001 is not under this root"
    store = create_store(str(tmp_path), filmed, Encoding("face-some", "a rule", ""))
    store.write("0001", {"face": np.ones((10, 3), np.float16)}, filmed.videos.video[0])
    strip = face_strip(filmed, store, "0001", 10)
    assert strip.absent == "these features contain no face boxes"


@pytest.fixture
def video(tmp_path):
    """Two seconds: grey, with a white face at (40, 30) of 60 x 60 pixels."""
    frame = np.full((120, 160, 3), 120, np.uint8)
    frame[30:90, 40:100] = 250
    write_video(tmp_path / "talk.mp4", [frame] * 50, fps=25)
    return tmp_path / "talk.mp4"


def tile(sheet, number, columns):
    left, top = number % columns * TILE, number // columns * (TILE + CAPTION)
    picture = np.asarray(sheet).astype(float)[top : top + TILE + CAPTION, left : left + TILE]
    return picture[:TILE], picture[TILE:]


def test_a_tile_is_the_selected_face_with_its_caption(video):
    boxes = np.full((50, 5), np.nan, np.float32)
    boxes[:30] = 40, 30, 100, 90, 0.9
    sheet = contact_sheet(video, boxes, tiles=6, columns=4)
    assert sheet.size == (4 * TILE, 2 * (TILE + CAPTION))
    face, line = tile(sheet, 0, 4)
    assert face[TILE // 2, TILE // 2].min() > 235  # white in the middle
    assert np.abs(face[4, TILE // 2] - 120).max() < 15  # 1.2 times the box: its margin is grey
    assert (line.mean(axis=2) < 60).any()


def test_without_a_selected_face_the_whole_picture_is_dimmed(video):
    sheet = contact_sheet(video, np.full((50, 5), np.nan, np.float32), tiles=3, columns=3)
    for number in range(3):
        picture, line = tile(sheet, number, 3)
        assert np.abs(picture[TILE // 2, TILE // 2] - DIM * 250).max() < 10
        assert not picture[2].any()  # 160 x 120 in a square: black above
        assert (line.mean(axis=2) < 60).any()


def test_a_short_video_has_one_tile_per_frame(video):
    sheet = contact_sheet(video, np.full((5, 5), np.nan, np.float32), tiles=48, columns=8)
    assert sheet.size == (8 * TILE, TILE + CAPTION)
    assert np.asarray(sheet)[:, 5 * TILE :].min() == 255
