"""A copy of a video at another frame rate, each of its frames the one that was shown then."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Int

from imigue_lab.data.video import Video, probe, write_video
from imigue_lab.data.workspace import atomic_path

ALIKE = 0.01  # relative difference of two rates that changes nothing
FINE = 16  # x264's quality of the copy, hardly to be told from the source


def differ(fps: int | float, rate: int | float) -> bool:
    return abs(fps - rate) > ALIKE * rate


def frames_at(frames: int, fps: int | float, rate: int | float) -> Int[np.ndarray, " F"]:
    """Which frame of a video of `fps` is shown in the middle of each frame of `rate`."""
    count = max(1, round(frames * rate / fps))
    shown = np.floor((np.arange(count) + 0.5) * fps / rate).astype(int)
    return np.minimum(shown, frames - 1)


def resample_video(source: Path, target: Path, rate: int | float) -> None:
    """Writes the copy whole or not at all; a last odd row or column is cut off.

    Raises:
        DataError: the source is no video, or a frame of it is damaged.
    """
    fps = probe(source).fps
    with Video(source, threads=0) as video, atomic_path(target) as path:
        pictures = (video.frame(int(number)) for number in frames_at(len(video), fps, rate))
        even = (shot[: len(shot) // 2 * 2, : shot.shape[1] // 2 * 2] for shot in pictures)
        write_video(path, even, Fraction(rate).limit_denominator(1001), FINE)
