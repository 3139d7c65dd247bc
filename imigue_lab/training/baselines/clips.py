"""Clips of one part as a network of Table 1 sees them: drawn, put into batches, handed in.

A part's clips are one of the classes below, of `baseline_heatmaps` or `baseline_pictures`; all are
used alike. `draws` gives what the network sees of a clip: in training one draw, changed at random
by the epoch; else as many as the settings say, the same ones whenever they are asked for.

Letters in shapes: B clips, M persons, T frames, V joints, C channels.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from imigue_lab.data.clips import Clip, ClipDataset, collate
from imigue_lab.data.samplers import BalancedSampler
from imigue_lab.data.skeletons.sampling import TEST_SEED, sample_uniform
from imigue_lab.features.flow import ahead
from imigue_lab.training.gesture_clips import UNLABELLED, GestureClips, GestureData
from imigue_lab.training.ranks import ALONE, Piece, Ranks

WHOLE = 2**31  # frames: a clip is not cut before frames are drawn from all of it


class Seen(NamedTuple):
    """A batch.

    Attributes:
        inputs: tensors of B clips, as `Clips.enter` takes them.
        share: of the clip's joints, or pictures, that were there.
    """

    inputs: tuple[Tensor, ...]
    label: Int[Tensor, " B"]
    share: Float[Tensor, " B"]
    clip_ids: list[str]

    def to(self, device: torch.device) -> "Seen":
        inputs = tuple(x.to(device) for x in self.inputs)
        return self._replace(inputs=inputs, label=self.label.to(device))


@runtime_checkable
class Clips(Protocol):
    """What training and evaluation need of a part's clips."""

    epoch: int

    @property
    def lengths(self) -> list[int]: ...

    @property
    def labels(self) -> list[int]: ...

    def __len__(self) -> int: ...

    def draws(self, number: int) -> list[Any]: ...

    def collate(self, draws: list[Any]) -> Seen: ...

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        """What the network is called with; on the device of the batch."""
        ...


class EpochBatches:
    """Shuffled batches of like length, classes nearer to equal shares (`BalancedSampler`)."""

    def __init__(self, clips: Clips, batch_size: int, seed: int, balance: float):
        self.clips = clips
        self.sampler = BalancedSampler(clips.lengths, clips.labels, batch_size, seed, balance)

    def __len__(self) -> int:
        return len(self.sampler)

    def steps(self, epoch: int, ranks: Ranks = ALONE) -> Iterator[list[Piece]]:
        """Read in a thread while the network works; what is drawn hangs on the epoch alone."""
        self.clips.epoch = self.sampler.epoch = epoch
        clips = self.clips
        yield from ahead(
            [
                Piece(clips.collate([clips.draws(number)[0] for number in own]), weight)
                for own, weight in ranks.deal(numbers)
            ]
            for numbers in self.sampler
        )


def draws_in_order(clips: Clips, batch_size: int, ranks: Ranks = ALONE) -> Iterator[list[Seen]]:
    """Every clip once over all processes, those of like length together.

    A batch for each draw of the same clips.
    """
    lengths = clips.lengths
    order = sorted(range(len(clips)), key=lambda number: lengths[number])

    def read() -> Iterator[list[Seen]]:
        for start in ranks.share(range(0, len(order), batch_size)):
            own = order[start : start + batch_size]
            draws = zip(*(clips.draws(number) for number in own), strict=True)
            yield [clips.collate(list(draw)) for draw in draws]

    yield from ahead(read())


class Draws:
    """Which frames are drawn of each clip, uniformly.

    Args:
        frames: of a draw, see `sample_uniform`.
        number: of draws in evaluation; 0 in training, where the epoch decides on one.
        seed: with the epoch and a clip's number it fixes a draw of training.
    """

    def __init__(self, frames: int, number: int, seed: int):
        self.frames = frames
        self.number = number
        self.seed = seed

    def __call__(self, given: int, epoch: int, clip: int) -> Int[Tensor, "N L"]:
        """Frame numbers out of so many, a draw a row."""
        if self.number:
            rng = np.random.RandomState(TEST_SEED)
            numbers = sample_uniform(given, self.frames, rng, self.number, spread=True)
        else:
            rng = np.random.RandomState([self.seed, epoch, clip, 1])
            numbers = sample_uniform(given, self.frames, rng)
        return torch.from_numpy(numbers)


class SkeletonClips:
    """Streams of skeletons about the body; resampled, or drawn where there are draws.

    The streams are taken of the whole clip, before frames are drawn from it.
    """

    def __init__(self, clips: GestureClips, drawn: Draws | None = None):
        self.clips = clips
        self.drawn = drawn

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def epoch(self) -> int:
        return self.clips.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.clips.epoch = epoch

    @property
    def lengths(self) -> list[int]:
        return [self.drawn.frames] * len(self) if self.drawn else self.clips.lengths

    @property
    def labels(self) -> list[int]:
        return self.clips.labels

    def draws(self, number: int) -> list[Clip]:
        clip = self.clips[number]
        if self.drawn is None:
            return [clip]
        return take(clip, self.drawn(clip.skeleton.shape[1], self.epoch, number))

    def collate(self, draws: list[Clip]) -> Seen:
        return collate_skeletons(draws)

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        return batch.inputs


def collate_skeletons(draws: list[Clip]) -> Seen:
    """Skeletons padded with zeros, and which frames are a clip's own."""
    batch = collate(draws)
    _, persons, _, joints = batch.present.shape
    seen = batch.present.sum(dim=(1, 2, 3)) / batch.frame_mask.sum(dim=1)
    inputs = batch.skeleton, batch.frame_mask
    return Seen(inputs, batch.label, seen / (persons * joints), batch.clip_ids)


def take(clip: Clip, frames: Int[Tensor, "N L"]) -> list[Clip]:
    """The clip's frames by number, a clip a row."""
    return [
        clip._replace(skeleton=clip.skeleton[:, own], present=clip.present[:, own])
        for own in frames
    ]


def whole_clips(data: GestureData, part: str, frames: int = 0) -> ClipDataset:
    """A part's clips as the files have them, uncut, or resampled to so many frames."""
    sources = data.sources[data.sources.split == part]
    sources = sources.assign(label=sources.label.fillna(UNLABELLED).astype(int))
    axes = data.layout.axes
    return ClipDataset(sources, data.keypoints, frames, data.joints, axes, longest=WHOLE)
