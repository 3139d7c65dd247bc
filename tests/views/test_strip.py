"""Strips show the middle frames of their windows, and the faces that were selected there."""

import numpy as np
import pytest

from imigue_lab.data.store import Encoding, create_store
from imigue_lab.data.videos.video import Video
from imigue_lab.features.alignment import square
from imigue_lab.views.faces import SIDE, face_strip, frame_strip, spread


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
