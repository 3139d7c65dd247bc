"""Clips as DSCNet sees them: dense frames, and sparse skeletons of joints and bones, joined by id.

Its authors crop the pictures around the skeleton; here they are squares as of the other networks.

Letters in shapes: B clips, M persons, C channels, T frames, V joints.
"""

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from imigue_lab.data.clips import Clip
from imigue_lab.models.baselines.dscnet import SHARES
from imigue_lab.training.baselines.clips import Seen, SkeletonClips
from imigue_lab.training.baselines.pictures import Picture, PictureClips

BESIDE = 1  # frames before and after the centre of a segment: three consecutive ones
Pair = tuple[Picture, Clip, Clip]


class DenseSparseClips:
    """Clips that have both pictures and skeletons."""

    def __init__(self, pictures: PictureClips, joints: SkeletonClips, bones: SkeletonClips):
        self.pictures, self.joints, self.bones = pictures, joints, bones
        ids = pictures.clips.clip_id.tolist()
        place = {clip_id: number for number, clip_id in enumerate(joints.clips.clips.clip_ids)}
        self.pairs = [(n, place[clip_id]) for n, clip_id in enumerate(ids) if clip_id in place]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def epoch(self) -> int:
        return self.pictures.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.pictures.epoch = self.joints.epoch = self.bones.epoch = epoch

    @property
    def lengths(self) -> list[int]:
        return [1] * len(self)

    @property
    def labels(self) -> list[int]:
        return [self.pictures.labels[number] for number, _ in self.pairs]

    def draws(self, number: int) -> list[Pair]:
        picture, skeleton = self.pairs[number]
        (frames,) = self.pictures.draws(picture)
        (joint,), (bone,) = self.joints.draws(skeleton), self.bones.draws(skeleton)
        return [(frames, joint, bone)]

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
    """The sum of each stream's cross-entropy: each learns as if it were trained alone.

    Args:
        model: a `DSCNet`, or what Fabric made of one.
    """
    streams: Any = model.streams
    logits = [streams[name](x) for name, x in zip(SHARES, inputs, strict=True)]
    losses = [F.cross_entropy(y.float(), label, label_smoothing=smoothing) for y in logits]
    return torch.stack(losses).sum()
