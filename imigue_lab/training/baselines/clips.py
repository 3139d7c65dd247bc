"""Clips of one split as a network of Table 1 sees them: sampled, collated, mixed in pairs.

The clips of a split are a `SkeletonClips`, or of another subclass of `Clips` in `heatmaps` or
`pictures`. `draws` samples frames of a clip: once in training, at random by the epoch and how often
the clip came before in it; else as often as the settings say, always the same ones.

In training the clips of a batch, and so their labels, may be mixed in pairs:

    x̃ = λ x + (1 - λ) x'    ỹ = λ y + (1 - λ) y'    λ ~ Beta(α, α), x' the other clip of the pair

Mixup (Zhang et al., ICLR 2018) mixes all values. Cutmix (Yun et al., ICCV 2019) takes a box from
x', the same in all frames; λ is then the share of the pixels outside it. With both, each pair gets
one of them, at random. Pairs are neighbours in the global batch, which `Ranks.deal` keeps together,
and λ is seeded by the first one: neither depends on the number of processes or of passes.

Letters in shapes: B clips, M persons, T frames, V joints, C channels; N draws of L frames; H x W
pixels; in λ, L is the side of its map: a pixel in mixup.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from imigue_lab.data.clips import Clip, ClipDataset, collate
from imigue_lab.data.samplers import BalancedSampler, Draw
from imigue_lab.data.skeletons.augment import (
    TEST_SEED,
    Augment,
    augmented,
    sample_uniform,
    sample_windows,
)
from imigue_lab.data.skeletons.geometry import normalise_body
from imigue_lab.data.skeletons.graphs import Stream, streams
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.features.flow import prefetch
from imigue_lab.training.loop import EpochBatches
from imigue_lab.training.ranks import ALONE, Piece, Ranks

Own = Float[Tensor, "B L L"]  # λ, the weight of the clip's own values


def other(x: Tensor) -> Tensor:
    """The other one of each pair; of a last one without a pair itself."""
    return x[(torch.arange(len(x), device=x.device) ^ 1).clamp(max=len(x) - 1)]


def mix_labels(label: Int[Tensor, " B"], own: Own, classes: int) -> Float[Tensor, "B classes"]:
    y, share = F.one_hot(label, classes), own.mean(dim=2)
    share = share.mean(dim=1, keepdim=True)
    return share * y + (1 - share) * other(y)


def mix_maps(x: Float[Tensor, "B *axes H W"], own: Own) -> Float[Tensor, "B *axes H W"]:
    """Pictures, or heatmaps, in which a joint is then as bright as its share."""
    own = own.view(len(own), *[1] * (x.ndim - 3), *own.shape[1:])
    return own * x + (1 - own) * other(x)


def mix_joints(x: Float[Tensor, "B *axes C"], own: Own, axes: int) -> Float[Tensor, "B *axes C"]:
    """Skeletons: a joint that one clip lacks is where the other clip has it.

    A missing joint is all 0, which is no place: coordinates are the mean of the seen ones, weighted
    by λ and 1 - λ. The score, a third channel of two `axes`, is λ s + (1 - λ) s', less where one
    lacks the joint, and 0 only where both do.
    """
    share = own.view(-1, *[1] * (x.ndim - 1))
    first = share * (x != 0).any(-1, keepdim=True)
    second = (1 - share) * (other(x) != 0).any(-1, keepdim=True)
    mixed = first * x + second * other(x)
    places = mixed[..., :axes] / (first + second).clamp(min=1e-6)
    return torch.cat([places, mixed[..., axes:]], dim=-1)


class Mixing(NamedTuple):
    """How λ is drawn."""

    mixup: float  # its α; 0 is off
    cutmix: float  # its α; 0 is off
    side: int  # of the pictures, in pixels

    def draw(self, rngs: list[np.random.RandomState], clips: int) -> Own:
        """For a batch of so many clips, from a generator for each pair."""
        return torch.from_numpy(np.repeat([self.draw_one(rng) for rng in rngs], 2, axis=0)[:clips])

    def draw_one(self, rng: np.random.RandomState) -> Float[np.ndarray, "L L"]:
        cut = rng.rand() * ((self.mixup > 0) + (self.cutmix > 0)) >= (self.mixup > 0)
        alpha = self.cutmix if cut else self.mixup
        share = rng.beta(alpha, alpha)
        own = np.full([self.side if self.cutmix else 1] * 2, 1 if cut else share, np.float32)
        if cut:
            centre, half = rng.randint(self.side, size=2), int(self.side * (1 - share) ** 0.5 / 2)
            (top, left), (bottom, right) = (centre - half).clip(0), centre + half
            own[top:bottom, left:right] = 0
        return own


class Seen(NamedTuple):
    """A batch."""

    inputs: tuple[Tensor, ...]  # tensors of B clips, the argument of `Clips.enter`
    label: Int[Tensor, " B"]
    share: Float[Tensor, " B"]  # of the clip's joints that are visible; 1 for pictures
    clip_ids: list[str]
    own: Own | None = None  # how clips are mixed in training; None: they are not

    def to(self, device: torch.device) -> "Seen":
        inputs = tuple(x.to(device) for x in self.inputs)
        own = None if self.own is None else self.own.to(device)
        return self._replace(inputs=inputs, label=self.label.to(device), own=own)


class Clips(ABC):
    """The clips of one split, as training and evaluation use them.

    Attributes:
        labels: class of each clip.
        lengths: frames of each clip; a batch is of similar ones.
        seed: with `epoch`, a clip's number and its ordinal in the epoch it determines random draws.
    """

    def __init__(self, clip_ids: list[str], labels: list[int], lengths: list[int], seed: int):
        self.clip_ids, self.labels, self.lengths, self.seed = clip_ids, labels, lengths, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.labels)

    def rng(self, *place: int) -> np.random.RandomState:
        return np.random.RandomState([self.seed, self.epoch, *place])

    @abstractmethod
    def draws(self, number: int, ordinal: int = 0) -> list[Any]:
        """What the network sees of a clip, once per draw."""

    @abstractmethod
    def collate(self, draws: list[Any]) -> Seen:
        """A batch of draws."""

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        """The arguments of the network, on the device of the batch."""
        return batch.inputs

    def mixed(self, inputs: tuple[Tensor, ...], own: Own) -> tuple[Tensor, ...]:
        """The arguments of the network for mixed clips."""
        return tuple(mix_maps(x, own) for x in inputs)

    def mirrored(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The arguments of the network for the same clips in a mirror, of pictures or heatmaps."""
        raise TypeError(f"{type(self).__name__} have no mirror images")


class BatchesAhead(EpochBatches):
    """Read in a thread while the network computes."""

    def steps(self, epoch: int, ranks: Ranks = ALONE) -> Iterator[list[Piece]]:
        yield from prefetch(super().steps(epoch, ranks))


def training_batches(
    clips: Clips, batch_size: int, seed: int, balance: float, mixing: Mixing | None = None
) -> EpochBatches:
    """Shuffled batches of similar length, classes nearer to equal shares (`BalancedSampler`)."""
    sampler = BalancedSampler(clips.lengths, clips.labels, batch_size, seed, balance)

    def read(own: list[Draw]) -> Seen:
        seen = clips.collate([clips.draws(*draw)[0] for draw in own])
        if mixing is None:
            return seen
        rngs = [clips.rng(number, 4, ordinal) for number, ordinal in own[::2]]
        return seen._replace(own=mixing.draw(rngs, len(own)))

    batches = BatchesAhead(sampler, read, clips)
    batches.together = 2 if mixing else 1
    return batches


def draws_in_order(clips: Clips, batch_size: int, ranks: Ranks = ALONE) -> Iterator[list[Seen]]:
    """Every clip once over all processes; for each batch of clips, a batch per draw."""
    yield from prefetch(
        [
            clips.collate(list(draw))
            for draw in zip(*(clips.draws(number) for number in numbers), strict=True)
        ]
        for numbers in ranks.batches_by_length(clips.lengths, batch_size)
    )


class Sampled(NamedTuple):
    """How frames are sampled from whole clips."""

    frames: int  # per draw
    number: int  # of draws in evaluation, always the same; 0 in training, where one is random
    stride: int = 0  # 0 samples the whole clip (`sample_uniform`), else a window (`sample_windows`)

    def choose(self, length: int, rng: np.random.RandomState) -> Int[np.ndarray, "N L"]:
        """The frame numbers of each draw from a clip of so many frames."""
        frames, number, stride = self
        if stride:
            return sample_windows(length, frames, stride, max(1, number), None if number else rng)
        rng = np.random.RandomState(TEST_SEED) if number else rng
        return sample_uniform(length, frames, rng, max(1, number), spread=number > 0)


class How(NamedTuple):
    """How clips are seen: as they are, unless it says otherwise."""

    augment: Augment = "none"  # `turn` (pictures: a random region) or `mirror`: also half flipped
    seed: int = 0  # of all that is random
    sampled: Sampled | None = None  # None: each skeleton as it is, each picture by equal segments
    rotation: float = 0.0  # of skeletons, see `skeletons.augment.augmented`
    crop: float = 1.0  # smallest share of a clip's frames that a random contiguous part keeps
    crops: int = 1  # squares of pictures in evaluation, 1 or 3: from end to end of the longer side
    distort: bool = False  # augmented pictures also by `pictures.distorted`


PLAIN = How()


class SkeletonClips(Clips):
    """Clips normalised to the body, optionally augmented, and converted to streams.

    The streams are computed on the whole clip, before frames are sampled from it; their `names` are
    concatenated in the channels.
    """

    def __init__(self, clips: ClipDataset, layout: Layout, names: list[Stream], how: How):
        lengths = [how.sampled.frames] * len(clips) if how.sampled else clips.lengths
        super().__init__(clips.clip_ids, clips.labels, lengths, how.seed)
        self.clips, self.layout, self.names, self.how = clips, layout, names, how

    def __getitem__(self, number: int) -> Clip:
        return self.whole(number, 0)

    def cut(self, number: int, ordinal: int) -> Clip:
        """A clip, or for its nth draw of the epoch a random part of it (CTR-GCN's feeder)."""
        if (least := self.how.crop) == 1:
            return self.clips[number]
        share, place = self.rng(number, 4, ordinal).rand(2)
        return self.clips.part(number, least + (1 - least) * share, place)

    def whole(self, number: int, ordinal: int) -> Clip:
        """A clip, augmented for its nth draw of the epoch."""
        clip = self.cut(number, ordinal)
        skeleton = normalise_body(clip.skeleton.numpy(), self.layout)
        rng = self.rng(number, ordinal)
        skeleton = augmented(skeleton, self.layout, rng, self.how.augment, self.how.rotation)
        skeleton = streams(skeleton, self.layout, self.names)
        return clip._replace(skeleton=torch.from_numpy(skeleton))

    def draws(self, number: int, ordinal: int = 0) -> list[Clip]:
        return self.sample(self.whole(number, ordinal), number, ordinal)

    def sample(self, clip: Clip, number: int, ordinal: int) -> list[Clip]:
        """The frames of each draw."""
        if self.how.sampled is None:
            return [clip]
        chosen = self.how.sampled.choose(clip.skeleton.shape[1], self.rng(number, 1, ordinal))
        return [
            clip._replace(skeleton=clip.skeleton[:, own], present=clip.present[:, own])
            for own in torch.from_numpy(chosen)
        ]

    def collate(self, draws: list[Clip]) -> Seen:
        """Skeletons padded with zeros, and a mask of the frames that are not padding."""
        batch = collate(draws)
        _, persons, _, joints = batch.present.shape
        seen = batch.present.sum(dim=(1, 2, 3)) / batch.frame_mask.sum(dim=1)
        inputs = batch.skeleton, batch.frame_mask
        return Seen(inputs, batch.label, seen / (persons * joints), batch.clip_ids)

    def mixed(self, inputs: tuple[Tensor, ...], own: Own) -> tuple[Tensor, ...]:
        skeleton, mask = inputs
        return mix_joints(skeleton, own, self.layout.axes), mask | other(mask)
