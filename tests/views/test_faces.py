"""The contact sheet shows the selected face, or the dimmed frame, over the whole video."""

import numpy as np
import pytest

from imigue_lab.data.videos.video import write_video
from imigue_lab.views.faces import CAPTION, DIM, TILE, contact_sheet


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
