"""Cuts are told from motion and light, and a view that comes back is known."""

import numpy as np
import pytest

from imigue_lab.data.videos.video import Video
from imigue_lab.features.following import Views


def scene(seed):
    """Twelve by sixteen grey tiles, 240 x 320 pixels."""
    tiles = np.random.default_rng(seed).integers(0, 200, (12, 16, 1))
    return np.broadcast_to(tiles.repeat(20, 0).repeat(20, 1), (240, 320, 3)).astype(np.uint8)


ONE, OTHER = scene(0), scene(1)


def views(*frames):
    seen = Views()
    return [seen.of(frame) for frame in frames]


def test_each_other_scene_is_a_view_and_one_that_comes_back_is_known():
    assert views(ONE, ONE, OTHER, OTHER, ONE, scene(2), OTHER) == [0, 0, 1, 1, 0, 2, 1]


def test_a_flash_a_fade_and_a_moving_camera_are_no_cut():
    flash = np.minimum(ONE.astype(int) + 55, 255).astype(np.uint8)
    assert views(ONE, flash, ONE // 4, np.roll(ONE, 5, axis=1)) == [0] * 4


def test_a_view_that_has_changed_too_much_is_another():
    """A quarter as light and two thirds covered: correlation 0.5, alike within a shot alone."""
    covered = np.where(np.arange(320)[:, None] < 200, OTHER, ONE)
    assert views(ONE, OTHER, covered) == [0, 1, 1]
    assert views(ONE, scene(2), np.where(np.arange(320)[:, None] < 160, OTHER, ONE))[2] == 2


def test_blank_and_tiny_frames_are_no_error():
    blank, pixel = np.zeros((50, 60, 3), np.uint8), np.full((1, 1, 3), 9, np.uint8)
    assert views(ONE, blank)[1] == 1
    assert views(pixel) == [0]


@pytest.mark.shared
def test_the_cuts_of_real_recordings_are_found_and_no_others(shared):
    for name, cuts in (("speaker_on_stage", [20, 82, 211]), ("bikes", [30, 76, 137, 187, 242])):
        with Video(shared / "data" / "video" / f"{name}.mp4") as video:
            found = views(*(video.frame(number) for number in range(len(video))))
        assert np.flatnonzero(np.diff(found)).tolist() == [cut - 1 for cut in cuts]
        assert found[-1] == len(cuts)  # none comes back
