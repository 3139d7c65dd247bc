"""Clips as video networks see them: square frames of a strip, and for DSCNet skeletons as well.

Strips are created by `strips`. DSCNet's authors crop the pictures around the skeleton; here they
are the same squares as for the other networks.

Letters in shapes: B clips, M persons, C channels, T frames, V joints, S side of a strip, H x W
pixels of what the network sees.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from imigue_lab.data.clips import Clip
from imigue_lab.data.datasets import UNLABELLED
from imigue_lab.data.skeletons.augment import Augment
from imigue_lab.data.workspace import short_hash
from imigue_lab.training.baselines.clips import Clips, Seen, SkeletonClips

SIDES = {"small": 64, "paper": 224}  # pixels of what the network sees
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of R, G, B
KINETICS = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
BESIDE = 1  # DSCNet: frames before and after the centre of a segment

Colours = tuple[tuple[float, ...], tuple[float, ...]]


class Picture(NamedTuple):
    """What the network sees of one clip."""

    clip_id: str
    frames: UInt8[Tensor, "T 3 H W"]
    label: int


@dataclass(frozen=True)
class ClipPictures:
    """Strips of frames by clip id.

    Attributes:
        clips: clip_id, split, subject, label, `strip` (file), `made_of` (digest of its sources).
        side: S in pixels; networks see 7/8 of it.
        notes: what was left out.
    """

    clips: pd.DataFrame
    side: int
    notes: list[str]

    def identity(self) -> dict[str, Any]:
        """Identifies videos, ranges, labels and split, independent of their location."""
        clips = self.clips[["clip_id", "split", "subject", "label", "made_of"]]
        return {"digest": short_hash(clips.to_csv(index=False))}

    @property
    def training_clips(self) -> dict[str, str]:
        """See `training.leaks`."""
        train = self.clips[self.clips.split == "train"]
        columns = zip(train.clip_id, train.made_of, train.label, strict=True)
        return {clip_id: short_hash(made_of, label) for clip_id, made_of, label in columns}

    def read(self, path: Path) -> UInt8[np.ndarray, "T S S 3"]:
        """The frames of one strip, RGB."""
        with Image.open(path) as strip:
            return rearrange(np.array(strip), "(t s) w c -> t s w c", s=self.side)

    def middle(self, path: Path, crop: int) -> UInt8[Tensor, "T 3 H W"]:
        """The central square of side `crop` of each frame."""
        start = (self.side - crop) // 2
        return cut(self.read(path), start, start, crop)


class PictureClips(Clips):
    """Clips of one split as uint8 frames, which `enter` normalises on the device.

    Args:
        crop: side of what the network sees: the centre, or a random square with augmentation.
        stacked: frames as channels, (B, 3 T, H, W), else (B, 3, T, H, W).
        colours: mean and deviation of R, G, B between 0 and 1.
        augment: `turn` crops at random, `mirror` also mirrors half of the clips.
    """

    def __init__(
        self,
        pictures: ClipPictures,
        split: str,
        crop: int,
        stacked: bool,
        colours: Colours,
        augment: Augment,
        seed: int,
    ):
        self.pictures, self.crop, self.augment = pictures, crop, augment
        self.clips = pictures.clips[pictures.clips.split == split].reset_index(drop=True)
        self.stacked, self.colours = stacked, colours
        labels = self.clips.label.fillna(UNLABELLED).astype(int).tolist()
        super().__init__(labels, [1] * len(labels), seed)

    def draws(self, number: int, ordinal: int = 0) -> list[Picture]:
        clip = self.clips.iloc[number]
        if self.augment == "none":
            seen = self.pictures.middle(clip.strip, self.crop)
        else:
            frames = self.pictures.read(clip.strip)
            rng = self.rng(number, ordinal)
            top, left = rng.randint(self.pictures.side - self.crop + 1, size=2).tolist()
            if self.augment == "mirror" and rng.rand() < 0.5:
                frames = frames[:, :, ::-1]
            seen = cut(frames, top, left, self.crop)
        return [Picture(clip.clip_id, seen, self.labels[number])]

    def collate(self, draws: list[Picture]) -> Seen:
        frames = torch.stack([draw.frames for draw in draws])
        label = torch.tensor([draw.label for draw in draws])
        ids = [draw.clip_id for draw in draws]
        return Seen((frames,), label, torch.ones(len(draws)), ids)

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        return (self.normalised(batch.inputs[0]),)

    def normalised(self, frames: UInt8[Tensor, "B T 3 H W"]) -> Tensor:
        form = "b t c h w -> b (t c) h w" if self.stacked else "b t c h w -> b c t h w"
        return rearrange(normalise(frames, self.colours), form).contiguous()


def normalise(frames: UInt8[Tensor, "B T 3 H W"], colours: Colours) -> Float[Tensor, "B T 3 H W"]:
    """``(x / 255 - mean) / deviation`` of R, G and B."""
    mean, deviation = (torch.tensor(c, device=frames.device)[:, None, None] for c in colours)
    return (frames / 255 - mean) / deviation


def cut(
    frames: UInt8[np.ndarray, "T S S 3"], top: int, left: int, crop: int
) -> UInt8[Tensor, "T 3 H W"]:
    """A square of each frame, channels first."""
    square = frames[:, top : top + crop, left : left + crop]
    return torch.from_numpy(np.ascontiguousarray(rearrange(square, "t h w c -> t c h w")))


Pair = tuple[Picture, Clip, Clip]


class DenseSparseClips(Clips):
    """Clips that have both pictures and skeletons; only pictures are augmented."""

    def __init__(self, pictures: PictureClips, joints: SkeletonClips, bones: SkeletonClips):
        self.pictures, self.joints, self.bones = pictures, joints, bones
        ids = pictures.clips.clip_id.tolist()
        place = {clip_id: number for number, clip_id in enumerate(joints.clips.clip_ids)}
        self.pairs = [(n, place[clip_id]) for n, clip_id in enumerate(ids) if clip_id in place]
        labels = [pictures.labels[number] for number, _ in self.pairs]
        super().__init__(labels, [1] * len(labels), pictures.seed)

    def draws(self, number: int, ordinal: int = 0) -> list[Pair]:
        picture, skeleton = self.pairs[number]
        self.pictures.epoch = self.epoch
        (frames,) = self.pictures.draws(picture, ordinal)
        return [(frames, self.joints[skeleton], self.bones[skeleton])]

    def collate(self, draws: list[Pair]) -> Seen:
        frames, joints, bones = (list(parts) for parts in zip(*draws, strict=True))
        seen = self.pictures.collate(frames)
        skeletons = (self.joints.collate(joints).inputs[0], self.bones.collate(bones).inputs[0])
        return seen._replace(inputs=(*seen.inputs, *skeletons))

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        frames, *skeletons = batch.inputs
        turned = (rearrange(x, "b m t v c -> b m c t v") for x in skeletons)
        return (self.pictures.normalised(frames), *turned)


def losses_apart(
    model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, smoothing: float
) -> Tensor:
    """The sum of the cross-entropies of DSCNet's streams: each is trained independently."""

    streams: Any = model.streams
    logits = [stream(x) for stream, x in zip(streams.values(), inputs, strict=True)]
    losses = [F.cross_entropy(y.float(), label, label_smoothing=smoothing) for y in logits]
    return torch.stack(losses).sum()
