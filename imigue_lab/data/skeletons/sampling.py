"""Uniform sampling: which frames of a recording a network sees.

Letters in shapes: N clips sampled from one recording, L frames of each.

Random numbers come from a `numpy.random.RandomState` argument, whose stream is frozen: a draw is
the same in all versions of NumPy, and the same as in published code after ``numpy.random.seed``.

Source: Duan et al., CVPR 2022 (PoseConv3D), section 3.2; pyskl's UniformSample and
UniformSampleDecode.
"""

import numpy as np
from jaxtyping import Int

TEST_SEED = 255  # pyskl's evaluation seeds every clip with it


def sample_uniform(
    frames: int,
    length: int,
    rng: np.random.RandomState,
    clips: int = 1,
    spread: bool = False,
    share: tuple[float, float] = (1.0, 1.0),
) -> Int[np.ndarray, "N L"]:
    """`length` frame indices in order, one from each of `length` equal segments.

    A recording shorter than `length` is repeated from its start; one with fewer than two frames a
    segment skips `frames - length` frames at random.

    Args:
        spread: clips of short recordings start at evenly spaced frames, as in pyskl's evaluation
            (`UniformSample` with `RandomState(TEST_SEED)`), instead of random ones.
        share: size of a random contiguous part of the recording to sample from, as a range.
    """
    draws = []
    for clip in range(clips):
        part = int((rng.rand() * (share[1] - share[0]) + share[0]) * frames)
        first = rng.randint(frames - part + 1)
        if part >= length:
            draw = one_of_each(part, length, rng)
        elif spread:
            draw = np.arange(length) + (clip if part < clips else clip * part // clips)
        else:
            draw = np.arange(length) + rng.randint(part)
        draws.append((draw + first) % frames)
    return np.stack(draws)


def one_of_each(frames: int, length: int, rng: np.random.RandomState) -> Int[np.ndarray, " L"]:
    """`length` indices in order out of at least `length` frames."""
    if frames < 2 * length:
        skipped = np.zeros(length + 1, dtype=np.int64)
        skipped[rng.choice(length + 1, frames - length, replace=False)] = 1
        return np.arange(length) + skipped.cumsum()[:-1]
    border = np.arange(length + 1) * frames // length
    return border[:-1] + rng.randint(np.diff(border))


def sample_windows(
    frames: int, length: int, stride: int, clips: int, rng: np.random.RandomState | None
) -> Int[np.ndarray, "N L"]:
    """Every `stride`-th frame from a random start; without `rng`, from evenly spaced ones.

    A shorter recording is repeated from its start.
    """
    starts = max(1, frames - (length - 1) * stride)
    if rng is None:
        first = (2 * np.arange(clips) + 1) * starts // (2 * clips)
    else:
        first = rng.randint(starts, size=clips)
    return (first[:, None] + stride * np.arange(length)) % frames
