"""Camera views by correlation and tracks by overlap, by hand and on real recordings."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from imigue_lab.data.videos.video import Video
from imigue_lab.features.tracking import Tracks, Views, overlaps


def scene(seed):
    """Twelve by sixteen grey tiles, 240 x 320 pixels."""
    tiles = np.random.default_rng(seed).integers(0, 200, (12, 16, 1))
    return np.broadcast_to(tiles.repeat(20, 0).repeat(20, 1), (240, 320, 3)).astype(np.uint8)


ONE, OTHER = scene(0), scene(1)


def views(*frames):
    seen = Views()
    return [seen.view_of(frame) for frame in frames]


def test_each_scene_is_a_view_and_a_returning_view_is_recognised():
    assert views(ONE, ONE, OTHER, OTHER, ONE, scene(2), OTHER) == [0, 0, 1, 1, 0, 2, 1]


def test_a_flash_a_fade_and_a_moving_camera_are_not_cuts():
    flash = np.minimum(ONE.astype(int) + 55, 255).astype(np.uint8)
    assert views(ONE, flash, ONE // 4, np.roll(ONE, 5, axis=1)) == [0] * 4


def test_a_view_that_has_changed_too_much_is_a_new_view():
    """Correlation 0.5: similar enough within a shot, but not to return to a view."""
    covered = np.where(np.arange(320)[:, None] < 200, OTHER, ONE)
    assert views(ONE, OTHER, covered) == [0, 1, 1]
    assert views(ONE, scene(2), np.where(np.arange(320)[:, None] < 160, OTHER, ONE))[2] == 2


def test_blank_and_tiny_frames_are_accepted():
    blank, pixel = np.zeros((50, 60, 3), np.uint8), np.full((1, 1, 3), 9, np.uint8)
    assert views(ONE, blank)[1] == 1
    assert views(pixel) == [0]


@pytest.mark.shared
def test_the_cuts_of_real_recordings_are_found_and_no_others(shared):
    for name, cuts in (("speaker_on_stage", [20, 82, 211]), ("bikes", [30, 76, 137, 187, 242])):
        with Video(shared / "data" / "video" / f"{name}.mp4") as video:
            found = views(*(video.frame(number) for number in range(len(video))))
        assert np.flatnonzero(np.diff(found)).tolist() == [cut - 1 for cut in cuts]
        assert found[-1] == len(cuts)  # no view returns


def boxes(*corners):
    """Boxes of 20 x 20 pixels from their left top corners."""
    return np.array([(x, y, x + 20, y + 20) for x, y in corners], np.float32).reshape(-1, 4)


def test_overlap_is_intersection_over_union():
    found = overlaps(boxes((0, 0)), boxes((0, 0), (10, 0), (10, 10), (20, 0), (50, 50)))
    assert_allclose(found, [(1, 200 / 600, 100 / 700, 0, 0)], rtol=1e-6)


def test_a_face_that_moves_keeps_its_track():
    tracks = Tracks()
    assert [tracks.update(n, boxes((5 * n, 0))) for n in range(10)] == [[0]] * 10


def test_a_face_that_jumps_starts_a_new_track():
    tracks = Tracks()
    assert tracks.update(0, boxes((0, 0))) == [0]
    assert tracks.update(1, boxes((11, 0))) == [1]  # overlap 180 / 620


def test_the_greatest_overlap_is_matched_first():
    tracks = Tracks()
    assert tracks.update(0, boxes((0, 0), (8, 0))) == [0, 1]
    assert tracks.update(1, boxes((7, 0), (2, 0))) == [1, 0]
    assert tracks.update(2, boxes((4, 0))) == [0]  # 2 pixels from the first, 3 from the second


def test_two_people_crossing_keep_their_tracks():
    """One person is nearer, 60 pixels wide; both boxes are detected while they cross."""
    tracks = Tracks()
    for n in range(40):
        near = (4.0 * n, 0.0, 4.0 * n + 60, 60.0)
        far = (160 - 4.0 * n, 20.0, 180 - 4.0 * n, 40.0)
        order = [near, far] if n % 3 else [far, near]
        joined = tracks.update(n, np.array(order, np.float32))
        assert joined == ([1, 0] if n % 3 else [0, 1])
    assert tracks.count == 2


def test_a_face_may_be_missing_for_eight_frames_and_not_for_nine():
    for missing, track in ((5, 0), (8, 0), (9, 1), (20, 1)):
        tracks = Tracks()
        tracks.update(0, boxes((0, 0)))
        for n in range(1, missing + 1):
            assert tracks.update(n, boxes()) == []
        assert tracks.update(missing + 1, boxes((3, 0))) == [track]


def test_ended_tracks_are_not_kept():
    tracks = Tracks()
    for n in range(200):
        tracks.update(n, boxes((30 * n, 0)))
    assert tracks.count == 200
    assert len(tracks.live) <= 10


def test_a_cut_ends_all_tracks():
    tracks = Tracks()
    tracks.update(0, boxes((0, 0)))
    tracks.end()
    assert tracks.update(1, boxes((0, 0))) == [1]
