"""A copy at another frame rate shows at each moment the frame that the source shows."""

import numpy as np
import pytest

from imigue_lab.data.videos.video import (
    Video,
    differ,
    frames_at,
    probe,
    resample_video,
    write_video,
)


@pytest.mark.parametrize(
    ("frames", "fps", "rate", "expected"),
    [
        (6, 30, 15, [1, 3, 5]),
        (3, 15, 30, [0, 0, 1, 1, 2, 2]),
        (6, 30, 25, [0, 1, 3, 4, 5]),  # midpoints at 0.6, 1.8, 3.0, 4.2, 5.4 frames
        (1, 30, 10, [0]),
    ],
)
def test_each_frame_is_the_one_shown_at_its_midpoint(frames, fps, rate, expected):
    assert frames_at(np.arange(frames + 1) / fps, rate).tolist() == expected


def test_nearly_equal_rates_count_as_equal():
    assert not differ(25.02, 25) and not differ(30000 / 1001, 30)
    assert differ(29.97, 25) and differ(24, 25)


def test_a_copy_contains_those_frames_at_its_rate(tmp_path):
    levels = np.arange(30, 230, 10)  # a brightness a frame
    pictures = np.broadcast_to(levels[:, None, None, None], (20, 32, 48, 3)).astype(np.uint8)
    write_video(tmp_path / "a.mp4", pictures, 30)
    resample_video(tmp_path / "a.mp4", tmp_path / "b.mp4", 25)
    assert probe(tmp_path / "b.mp4").fps == 25
    with Video(tmp_path / "b.mp4") as copy:
        seen = [copy.frame(number).mean() for number in range(len(copy))]
    np.testing.assert_allclose(seen, levels[frames_at(np.arange(21) / 30, 25)], atol=3)
