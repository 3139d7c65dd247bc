"""Clips as video networks see them: squares of stored frames, and for DSCNet skeletons as well.

Frames are stored by `frames`. DSCNet's authors crop the pictures around the skeleton; here they
are the same squares as for the other networks.

Letters in shapes: B clips, M persons, C channels, T frames, V joints, S shorter side of a stored
frame and L the longer one, H x W pixels of what the network sees.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from imigue_lab.data.clips import Clip
from imigue_lab.data.datasets import UNLABELLED
from imigue_lab.data.skeletons.geometry import Box, random_part
from imigue_lab.data.videos.video import segment_centres
from imigue_lab.data.workspace import short_hash
from imigue_lab.training.baselines.clips import (
    Clips,
    How,
    Own,
    Seen,
    SkeletonClips,
    mix_joints,
    mix_maps,
)

SIDES = {"small": 64, "paper": 224}  # pixels of what the network sees
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of R, G, B
KINETICS = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
STACKED = ("tsm", "dscnet")  # networks that see frames as channels
BESIDE = 1  # DSCNet: frames before and after the centre of a segment


class Picture(NamedTuple):
    """What the network sees of one clip."""

    clip_id: str
    frames: UInt8[Tensor, "T 3 H W"]
    label: int


@dataclass(frozen=True)
class ClipPictures:
    """Stored frames by clip id."""

    clips: pd.DataFrame  # clip_id, split, subject, label, `file`, `made_of` (digest of its sources)
    side: int  # S in pixels; networks see 7/8 of it
    notes: list[str]  # what was left out
    boxes: dict[str, Box] = field(default_factory=dict)  # of persons in these pixels; seen instead

    @property
    def digest(self) -> str:
        """Identifies videos, ranges, labels and split, independent of their location."""
        clips = self.clips[["clip_id", "split", "subject", "label", "made_of"]]
        boxes = [sorted(self.boxes.items())] * bool(self.boxes)
        return short_hash(clips.to_csv(index=False), *boxes)

    @property
    def contents(self) -> dict[str, str]:
        """A digest of the sources and the label of each clip."""
        columns = zip(self.clips.clip_id, self.clips.made_of, self.clips.label, strict=True)
        return {clip_id: short_hash(made_of, label) for clip_id, made_of, label in columns}

    @property
    def training_clips(self) -> dict[str, str]:
        """See `training.leaks`."""
        train = set(self.clips.clip_id[self.clips.split == "train"])
        return {clip_id: own for clip_id, own in self.contents.items() if clip_id in train}


class StoredClip(ZipFile):
    """The frames of a clip, decoded when they are read."""

    def __len__(self) -> int:
        return len(self.filelist)

    def frames(self, numbers: Iterable[int]) -> UInt8[Tensor, "T 3 S L"]:
        """By number, RGB; one that is asked for twice is decoded once."""
        decoded = {n: np.array(Image.open(self.open(self.filelist[n]))) for n in set(numbers)}
        frames = np.stack([decoded[number] for number in numbers])
        return torch.from_numpy(frames).permute(0, 3, 1, 2)


class PictureClips(Clips):
    """Clips of one split as uint8 frames, which `enter` normalises on the device.

    Args:
        frames: per draw: the centres of equal segments, also for one draw in evaluation of equal
            segments, else as `how.sampled` says.
        crop: side of what the network sees: the centre, or a random region with augmentation; of
            the person's box if there is one.
        model: the network, a row of Table 1; DSCNet also sees the frames `BESIDE` each.
    """

    def __init__(
        self, pictures: ClipPictures, split: str, frames: int, crop: int, model: str, how: How
    ):
        self.frames, self.crop, self.model, self.how = frames, crop, model, how
        self.boxes = pictures.boxes
        self.clips = pictures.clips[pictures.clips.split == split].reset_index(drop=True)
        labels = self.clips.label.fillna(UNLABELLED).astype(int).tolist()
        super().__init__(self.clips.clip_id.tolist(), labels, [1] * len(labels), how.seed)

    def draws(self, number: int, ordinal: int = 0) -> list[Picture]:
        rng = self.rng(number, ordinal)
        drawn = self.frames_of(number, rng)
        box = self.boxes.get(self.clip_ids[number])
        return [self.named(own, number) for frames in drawn for own in self.cuts(frames, rng, box)]

    def named(self, frames: UInt8[Tensor, "T 3 H W"], number: int) -> Picture:
        return Picture(self.clip_ids[number], frames, self.labels[number])

    def frames_of(self, number: int, rng: np.random.RandomState) -> list[UInt8[Tensor, "T 3 S L"]]:
        """The whole frames of each draw."""
        with StoredClip(self.clips.file[number]) as stored:
            last = len(stored) - 1
            sampled = self.how.sampled
            if sampled is None or sampled == (self.frames, 1, 0):
                chosen = np.array([segment_centres(0, last, self.frames)])
            else:
                chosen = sampled.choose(len(stored), rng)
            steps = np.arange(-BESIDE, BESIDE + 1) if self.model == "dscnet" else np.zeros(1, int)
            chosen = (chosen[..., None] + steps).clip(0, last).reshape(len(chosen), -1)
            return [stored.frames(numbers.tolist()) for numbers in chosen]

    def cuts(
        self, frames: UInt8[Tensor, "T 3 S L"], rng: np.random.RandomState, box: Box | None = None
    ) -> list[UInt8[Tensor, "T 3 H W"]]:
        """What the network sees of a draw: a random region in training, else the box or squares."""
        if self.how.augment == "none" and box is None:
            places = [-1, 0, 1] if self.how.crops == 3 else [0]
            return [centre(frames, self.crop, place) for place in places]
        box = box or (0, 0, *frames.shape[2:])
        box = box if self.how.augment == "none" else random_part(box, rng)
        from torchvision.transforms.v2.functional import resized_crop

        frames = resized_crop(frames, *box, [self.crop, self.crop])
        if self.how.distort and self.how.augment != "none":
            frames = distorted(frames, rng)
        return [frames.flip(-1) if self.how.augment == "mirror" and rng.rand() < 0.5 else frames]

    def collate(self, draws: list[Picture]) -> Seen:
        frames = torch.stack([draw.frames for draw in draws])
        label = torch.tensor([draw.label for draw in draws])
        return Seen((frames,), label, torch.ones(len(draws)), [draw.clip_id for draw in draws])

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        return (as_input(batch.inputs[0], self.model),)

    def mirrored(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].flip(-1),)


def distorted(
    frames: UInt8[Tensor, "T 3 H W"], rng: np.random.RandomState
) -> UInt8[Tensor, "T 3 H W"]:
    """RandAugment, and by a chance of 1/4 random erasing, of all frames alike.

    Torchvision's transforms draw from torch's generator, which belongs to the training; here the
    operations, signs and rectangles are drawn from `rng`.
    """
    from torchvision.transforms.v2 import RandAugment
    from torchvision.transforms.v2.functional import erase

    policy, size = RandAugment(), (frames.shape[2], frames.shape[3])
    for name in rng.choice(list(policy._AUGMENTATION_SPACE), policy.num_ops):
        strengths, signed = policy._AUGMENTATION_SPACE[name]
        scale = strengths(policy.num_magnitude_bins, *size)
        strength = 0.0 if scale is None else float(scale[policy.magnitude])
        strength *= -1 if signed and rng.rand() < 0.5 else 1
        how = policy.interpolation, policy._fill
        frames = policy._apply_image_or_video_transform(frames, name, strength, *how)
    if rng.rand() < 0.25:
        box = random_part((0, 0, *size), rng, area=(0.02, 1 / 3))
        frames = erase(frames, *box, torch.zeros(3, 1, 1, dtype=torch.uint8))
    return frames


def as_input(frames: UInt8[Tensor, "B T 3 H W"], model: str) -> Tensor:
    """``(x / 255 - mean) / deviation`` of R, G and B; (B, 3, T, H, W), or (B, 3 T, H, W)."""
    from torchvision.transforms.v2.functional import normalize

    x = normalize(frames / 255, *(KINETICS if model == "mvitv2-s" else IMAGENET))
    form = "b t c h w -> b (t c) h w" if model in STACKED else "b t c h w -> b c t h w"
    return rearrange(x, form).contiguous()


def centre(frames: UInt8[Tensor, "T 3 S L"], crop: int, place: int = 0) -> UInt8[Tensor, "T 3 H W"]:
    """A square of each frame: the central one, or at an end of the longer side (-1, 1)."""
    sides = frames.shape[2:]
    start = [(side - crop) // 2 * (1 + place * (side == max(sides))) for side in sides]
    return frames[:, :, start[0] : start[0] + crop, start[1] : start[1] + crop]


class PairedClips(Clips):
    """Clips that have both pictures and skeletons."""

    def __init__(self, pictures: PictureClips, skeletons: SkeletonClips):
        self.pictures, self.skeletons = pictures, skeletons
        place = {clip_id: number for number, clip_id in enumerate(skeletons.clip_ids)}
        ids = [clip_id for clip_id in pictures.clip_ids if clip_id in place]
        self.pairs = [(n, place[i]) for n, i in enumerate(pictures.clip_ids) if i in place]
        labels = [pictures.labels[number] for number, _ in self.pairs]
        super().__init__(ids, labels, [1] * len(labels), pictures.seed)

    def collate(self, draws: list[tuple[Any, ...]]) -> Seen:
        frames, *others = (list(parts) for parts in zip(*draws, strict=True))
        seen = self.pictures.collate(frames)
        skeletons = [self.skeletons.collate(own) for own in others]
        inputs = (*seen.inputs, *(own.inputs[0] for own in skeletons))
        return seen._replace(inputs=inputs, share=skeletons[0].share)


class DenseSparseClips(PairedClips):
    """Pictures, joints and bones; only pictures are augmented."""

    def __init__(self, pictures: PictureClips, joints: SkeletonClips, bones: SkeletonClips):
        super().__init__(pictures, joints)
        self.bones = bones

    def draws(self, number: int, ordinal: int = 0) -> list[tuple[Picture, Clip, Clip]]:
        picture, skeleton = self.pairs[number]
        self.pictures.epoch = self.epoch
        (frames,) = self.pictures.draws(picture, ordinal)
        return [(frames, self.skeletons[skeleton], self.bones[skeleton])]

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        frames, *skeletons = batch.inputs
        turned = (rearrange(x, "b m t v c -> b m c t v") for x in skeletons)
        return (as_input(frames, self.pictures.model), *turned)

    def mixed(self, inputs: tuple[Tensor, ...], own: Own) -> tuple[Tensor, ...]:
        frames, *turned = inputs
        axes = self.skeletons.layout.axes
        skeletons = (mix_joints(x.movedim(2, -1), own, axes).movedim(-1, 2) for x in turned)
        return (mix_maps(frames, own), *skeletons)
