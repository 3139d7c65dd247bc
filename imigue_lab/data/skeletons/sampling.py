"""Which frames of a clip a network sees.

Letters in shapes: N clips drawn from one recording, L frames of each, M persons, T frames, V
joints, C channels.

Random numbers come from the `numpy.random.RandomState` that is handed in. Its stream is frozen, so
that a draw is the same in all versions of NumPy, and the same as in published code after
``numpy.random.seed``.

Source: uniform sampling, Duan et al., CVPR 2022 (PoseConv3D), section 3.2; pyskl's UniformSample
and UniformSampleDecode. Crops: CTR-GCN (Chen et al., ICCV 2021), its feeder.
"""

import numpy as np
from einops import rearrange
from jaxtyping import Float32, Int

from imigue_lab.data.skeletons.geometry import Skeleton

TEST_SEED = 255  # of every clip in pyskl's evaluation


def sample_uniform(
    frames: int,
    length: int,
    rng: np.random.RandomState,
    clips: int = 1,
    spread: bool = False,
    share: tuple[float, float] = (1.0, 1.0),
) -> Int[np.ndarray, "N L"]:
    """`length` frame numbers in order, one out of each of as many equal parts.

    A recording shorter than `length` runs on from its start; one of less than two frames a part
    skips `frames - length` at random.

    Args:
        clips: how often to draw, N.
        spread: short recordings start at evenly spaced frames, as in pyskl's evaluation
            (`UniformSample` with `RandomState(TEST_SEED)`), not at random ones.
        share: draw from a random contiguous part of the recording, between these shares of it.
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
    """`length` of at least as many frames, in order."""
    if frames < 2 * length:
        skipped = np.zeros(length + 1, dtype=np.int64)
        skipped[rng.choice(length + 1, frames - length, replace=False)] = 1
        return np.arange(length) + skipped.cumsum()[:-1]
    border = np.arange(length + 1) * frames // length
    return border[:-1] + rng.randint(np.diff(border))


def take_clips(
    skeleton: Skeleton, frames: Int[np.ndarray, "N L"]
) -> Float32[np.ndarray, "N M L V C"]:
    """The sampled frames of a recording, a clip a row of `frames`."""
    return rearrange(skeleton[:, frames], "m n l v c -> n m l v c")


def crop_centre(skeleton: Skeleton, share: float = 0.95) -> Float32[np.ndarray, "M L V C"]:
    """The middle `share` of the frames; resampled afterwards (CTR-GCN in evaluation)."""
    aside = int((1 - share) * skeleton.shape[1] / 2)
    return skeleton[:, aside : skeleton.shape[1] - aside]


def crop_random(
    skeleton: Skeleton,
    rng: np.random.RandomState,
    share: tuple[float, float] = (0.5, 1.0),
    least: int = 64,  # frames
) -> Float32[np.ndarray, "M L V C"]:
    """A contiguous part between two shares of the frames, not below `least` (CTR-GCN training)."""
    given = skeleton.shape[1]
    wanted = int(given * (rng.rand() * (share[1] - share[0]) + share[0]))
    kept = min(max(wanted, least), given)
    start = rng.randint(given - kept + 1)
    return skeleton[:, start : start + kept]
