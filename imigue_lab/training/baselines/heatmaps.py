"""Clips as PoseConv3D sees them: a heatmap per joint or limb, rendered on the device.

Frames are sampled, joints cropped to the box around the person and resized. Augmentation crops at
random in training, and mirrors half of the clips.

Letters in shapes: M persons, T frames, V joints, C = x, y, score; K joints or limbs.

Source: Duan et al., CVPR 2022 (PoseConv3D), section 3.2; pyskl's pipelines.
"""

import random
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from imigue_lab.data.clips import Clip, ClipDataset
from imigue_lab.data.skeletons.augment import Augment, flip
from imigue_lab.data.skeletons.cropping import compact, random_resized_crop, resize, short_side
from imigue_lab.data.skeletons.geometry import Skeleton, present
from imigue_lab.data.skeletons.heatmaps import joint_heatmaps, limb_heatmaps, limbs
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.errors import DataError
from imigue_lab.training.baselines.clips import Draws, Seen, collate_skeletons, take

Stroke = Literal["joint", "bone"]
SIDES = {"small": (28, 32), "paper": (56, 64)}  # pixels, in training and in evaluation


class HeatmapClips:
    """Skeletons in pixels of their heatmap, which `enter` renders.

    Args:
        whole: whole clips, in pixels of the picture.
        stroke: `joint` renders joints, `bone` limbs.
        augment: `turn` crops at random in training, `mirror` also mirrors half of the clips.
        sides: of the map in training, and in evaluation, which resizes directly to it.
    """

    def __init__(
        self,
        whole: ClipDataset,
        drawn: Draws | None,
        layout: Layout,
        stroke: Stroke,
        augment: Augment,
        sides: tuple[int, int],
        training: bool,
        seed: int,
    ):
        if layout.axes != 2:
            raise DataError(
                f"{layout.name}: expected joints in a picture for heatmaps, got joints in space;"
                " choose a network of skeletons"
            )
        self.whole = whole
        self.drawn = drawn
        self.layout = layout
        self.stroke = stroke
        self.augment = augment
        self.sides = sides
        self.training = training
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def side(self) -> int:
        """Of the heatmaps, in pixels."""
        return self.sides[0] if self.training else self.sides[1]

    @property
    def lengths(self) -> list[int]:
        return [self.drawn.frames] * len(self) if self.drawn else self.whole.lengths

    @property
    def labels(self) -> list[int]:
        return self.whole.labels

    def draws(self, number: int, ordinal: int = 0) -> list[Clip]:
        clip = self.whole[number]
        draws = [clip]
        if self.drawn:
            draws = take(clip, self.drawn(clip.skeleton.shape[1], self.epoch, number, ordinal))
        return [self.placed(draw, number, ordinal) for draw in draws]

    def placed(self, clip: Clip, number: int, ordinal: int) -> Clip:
        """A draw in pixels of its heatmap."""
        skeleton = clip.skeleton.numpy()
        edge = np.maximum(
            skeleton[..., :2].max(axis=(0, 1, 2)), 1
        )  # the size of the picture is unknown
        cut, size = compact(skeleton, (int(edge[1]) + 1, int(edge[0]) + 1))
        if self.training and self.augment != "none":
            cut = self.changed(cut, size, [number, 2, ordinal])
        else:
            cut = resize(cut, size, (self.side, self.side))
        seen = torch.from_numpy(present(cut))
        return clip._replace(skeleton=torch.from_numpy(cut.astype(np.float32)), present=seen)

    def changed(self, skeleton: Skeleton, size: tuple[int, int], seeds: list[int]) -> Skeleton:
        """A random crop, resized; mirrored by chance."""
        rng = np.random.RandomState([self.seed, self.epoch, *seeds])
        offsets = random.Random(int(rng.randint(2**31)))
        larger = short_side(size, self.sides[1])
        skeleton = resize(skeleton, size, larger)
        skeleton, size = random_resized_crop(skeleton, larger, rng, offsets)
        skeleton = resize(skeleton, size, (self.side, self.side))
        if self.augment == "mirror" and rng.rand() < 0.5:
            skeleton = flip(skeleton, self.layout, self.side)
        return skeleton

    def collate(self, draws: list[Clip]) -> Seen:
        return collate_skeletons(draws)

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        skeleton, size = batch.inputs[0], (self.side, self.side)
        if self.stroke == "joint":
            return (joint_heatmaps(skeleton, size),)
        return (limb_heatmaps(skeleton, limbs(self.layout), size),)
