"""Tracks by overlap, by hand."""

import numpy as np
from numpy.testing import assert_allclose

from imigue_lab.features.following import Tracker, overlaps


def boxes(*corners):
    """Boxes of 20 x 20 pixels from their left top corners."""
    return np.array([(x, y, x + 20, y + 20) for x, y in corners], np.float32).reshape(-1, 4)


def test_overlap_is_the_common_part_of_what_both_cover():
    found = overlaps(boxes((0, 0)), boxes((0, 0), (10, 0), (10, 10), (20, 0), (50, 50)))
    assert_allclose(found, [(1, 200 / 600, 100 / 700, 0, 0)], rtol=1e-6)


def test_a_face_that_moves_keeps_its_track():
    tracker = Tracker()
    assert [tracker.follow(n, boxes((5 * n, 0))) for n in range(10)] == [[0]] * 10


def test_a_face_that_jumps_begins_a_track():
    tracker = Tracker()
    assert tracker.follow(0, boxes((0, 0))) == [0]
    assert tracker.follow(1, boxes((11, 0))) == [1]  # overlap 180 / 620


def test_the_greatest_overlap_is_joined_first():
    tracker = Tracker()
    assert tracker.follow(0, boxes((0, 0), (8, 0))) == [0, 1]
    assert tracker.follow(1, boxes((7, 0), (2, 0))) == [1, 0]
    assert tracker.follow(2, boxes((4, 0))) == [0]  # 2 pixels from the one, 3 from the other


def test_two_people_crossing_keep_their_tracks():
    """One is nearer: 60 pixels wide, at her turn in the middle she hides nobody's box."""
    tracker = Tracker()
    for n in range(40):
        near = (4.0 * n, 0.0, 4.0 * n + 60, 60.0)
        far = (160 - 4.0 * n, 20.0, 180 - 4.0 * n, 40.0)
        order = [near, far] if n % 3 else [far, near]
        tracks = tracker.follow(n, np.array(order, np.float32))
        assert tracks == ([1, 0] if n % 3 else [0, 1])
    assert tracker.tracks == 2


def test_a_face_may_be_missing_for_eight_frames_and_not_for_nine():
    for missing, track in ((5, 0), (8, 0), (9, 1), (20, 1)):
        tracker = Tracker()
        tracker.follow(0, boxes((0, 0)))
        for n in range(1, missing + 1):
            assert tracker.follow(n, boxes()) == []
        assert tracker.follow(missing + 1, boxes((3, 0))) == [track]


def test_nothing_is_held_of_tracks_long_gone():
    tracker = Tracker()
    for n in range(200):
        tracker.follow(n, boxes((30 * n, 0)))
    assert tracker.tracks == 200
    assert len(tracker.live) <= 10


def test_a_cut_ends_all_tracks():
    tracker = Tracker()
    tracker.follow(0, boxes((0, 0)))
    tracker.end()
    assert tracker.follow(1, boxes((0, 0))) == [1]
