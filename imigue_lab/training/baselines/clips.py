"""Clips of one split as a network of Table 1 sees them: sampled, collated, converted to its input.

The clips of a split are a `SkeletonClips`, or of a class in `heatmaps` or `pictures`, with the
same interface. `draws` samples frames of a clip: once in training, at random by the epoch and
how often the clip came before in it; else as often as the settings say, always the same ones.

Letters in shapes: B clips, M persons, T frames, V joints, C channels; N draws of L frames.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from imigue_lab.data.clips import Clip, collate
from imigue_lab.data.samplers import BalancedSampler, Draw
from imigue_lab.data.skeletons.sampling import TEST_SEED, sample_uniform
from imigue_lab.features.flow import prefetch
from imigue_lab.training.gesture_clips import GestureClips
from imigue_lab.training.loop import EpochBatches
from imigue_lab.training.ranks import ALONE, Piece, Ranks

WHOLE = 2**31  # frames: no limit, since frames are sampled from the whole clip


class Seen(NamedTuple):
    """A batch.

    Attributes:
        inputs: tensors of B clips, the argument of `Clips.enter`.
        share: of the clip's joints that are visible; 1 for pictures.
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
    """The clips of one split, as training and evaluation use them."""

    epoch: int

    @property
    def lengths(self) -> list[int]: ...

    @property
    def labels(self) -> list[int]: ...

    def __len__(self) -> int: ...

    def draws(self, number: int, ordinal: int = 0) -> list[Any]: ...

    def collate(self, draws: list[Any]) -> Seen: ...

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        """The arguments of the network, on the device of the batch."""
        ...


class BatchesAhead(EpochBatches):
    """Read in a thread while the network computes."""

    def steps(self, epoch: int, ranks: Ranks = ALONE) -> Iterator[list[Piece]]:
        yield from prefetch(super().steps(epoch, ranks))


def training_batches(clips: Clips, batch_size: int, seed: int, balance: float) -> EpochBatches:
    """Shuffled batches of similar length, classes nearer to equal shares (`BalancedSampler`)."""
    sampler = BalancedSampler(clips.lengths, clips.labels, batch_size, seed, balance)

    def read(own: list[Draw]) -> Seen:
        return clips.collate([clips.draws(*draw)[0] for draw in own])

    return BatchesAhead(sampler, read, clips)


def draws_in_order(clips: Clips, batch_size: int, ranks: Ranks = ALONE) -> Iterator[list[Seen]]:
    """Every clip once over all processes; for each batch of clips, a batch per draw."""
    yield from prefetch(
        [
            clips.collate(list(draw))
            for draw in zip(*(clips.draws(number) for number in numbers), strict=True)
        ]
        for numbers in ranks.batches_by_length(clips.lengths, batch_size)
    )


class Draws:
    """Samples frames of each clip uniformly.

    Args:
        frames: per draw, see `sample_uniform`.
        number: of draws in evaluation; 0 in training, where one depends on the epoch.
        seed: with the epoch, a clip's number and its ordinal it determines a draw of training.
    """

    def __init__(self, frames: int, number: int, seed: int):
        self.frames = frames
        self.number = number
        self.seed = seed

    def __call__(self, length: int, epoch: int, clip: int, ordinal: int) -> Int[Tensor, "N L"]:
        """Frame numbers within a clip of this length, one row per draw."""
        if self.number:
            rng = np.random.RandomState(TEST_SEED)
            numbers = sample_uniform(length, self.frames, rng, self.number, spread=True)
        else:
            rng = np.random.RandomState([self.seed, epoch, clip, 1, ordinal])
            numbers = sample_uniform(length, self.frames, rng)
        return torch.from_numpy(numbers)


class SkeletonClips:
    """Streams of skeletons normalised to the body; frames resampled, or sampled by `drawn`.

    The streams are computed on the whole clip, before frames are sampled from it.
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

    def draws(self, number: int, ordinal: int = 0) -> list[Clip]:
        clip = self.clips.draw(number, ordinal)
        if self.drawn is None:
            return [clip]
        return take(clip, self.drawn(clip.skeleton.shape[1], self.epoch, number, ordinal))

    def collate(self, draws: list[Clip]) -> Seen:
        return collate_skeletons(draws)

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        return batch.inputs


def collate_skeletons(draws: list[Clip]) -> Seen:
    """Skeletons padded with zeros, and a mask of the frames that are not padding."""
    batch = collate(draws)
    _, persons, _, joints = batch.present.shape
    seen = batch.present.sum(dim=(1, 2, 3)) / batch.frame_mask.sum(dim=1)
    inputs = batch.skeleton, batch.frame_mask
    return Seen(inputs, batch.label, seen / (persons * joints), batch.clip_ids)


def take(clip: Clip, frames: Int[Tensor, "N L"]) -> list[Clip]:
    """The selected frames, one clip per row of numbers."""
    return [
        clip._replace(skeleton=clip.skeleton[:, own], present=clip.present[:, own])
        for own in frames
    ]
