"""Which frames a model looks at: windows over a whole video, segment centres of a clip."""

from typing import NamedTuple


class Windows(NamedTuple):
    """How a video falls into windows: how many, and how many last frames are in none."""

    windows: int
    dropped: int


def plan_windows(frames: int, size: int = 16) -> Windows:
    """Windows of `size` frames, not overlapping; a last one needs at least half of its frames."""
    whole, rest = divmod(frames, size)
    return Windows(whole, rest) if 2 * rest < size else Windows(whole + 1, 0)


def window_frames(frames: int, size: int = 16) -> list[list[int]]:
    """The frame indices of each window; a short last one repeats its last frame."""
    return [
        [min(index, frames - 1) for index in range(first, first + size)]
        for first in range(0, plan_windows(frames, size).windows * size, size)
    ]


def segment_centres(start: int, end: int, count: int = 16) -> list[int]:
    """Centre frames of `count` equal segments of [start, end], end inclusive.

    Frames repeat where the range is shorter than `count`.
    """
    length = end - start + 1
    return [start + (2 * segment + 1) * length // (2 * count) for segment in range(count)]
