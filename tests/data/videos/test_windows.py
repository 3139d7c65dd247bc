"""The frames of windows and segments."""

import pytest

from imigue_lab.data.videos.video import plan_windows, segment_centres


@pytest.mark.parametrize(
    ("frames", "windows", "dropped"),
    [(0, 0, 0), (7, 0, 7), (8, 1, 0), (16, 1, 0), (23, 1, 7), (24, 2, 0), (32, 2, 0)],
)
def test_a_last_window_needs_half_of_its_frames_and_the_dropped_are_counted(
    frames, windows, dropped
):
    assert plan_windows(frames) == (windows, dropped)


def test_a_window_of_odd_size_needs_more_than_half_of_its_frames():
    assert plan_windows(2, size=5) == (0, 2)
    assert plan_windows(3, size=5) == (1, 0)


def test_segment_centres_of_sixteen_frames_are_those_frames():
    assert segment_centres(5, 20) == list(range(5, 21))


def test_segment_centres_of_a_long_clip_are_the_middle_of_each_sixteenth():
    assert segment_centres(100, 100 + 16 * 5 - 1) == [100 + 5 * k + 2 for k in range(16)]


def test_a_short_clip_repeats_frames_and_stays_within_its_range():
    assert segment_centres(7, 7) == [7] * 16
    assert segment_centres(7, 8) == [7] * 8 + [8] * 8
    for length in range(1, 200):
        centres = segment_centres(3, 2 + length)
        assert len(centres) == 16
        assert centres == sorted(centres)
        assert min(centres) >= 3 and max(centres) <= 2 + length
        mirrored = [2 * 3 + length - 1 - c for c in reversed(centres)]
        assert all(abs(a - b) <= 1 for a, b in zip(centres, mirrored, strict=True))
