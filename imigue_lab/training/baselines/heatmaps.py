"""Clips as PoseConv3D sees them, a heatmap per joint or limb, rendered on the device; and as
RGBPose-Conv3D sees them, frames and heatmaps of one region, the person's.

Frames are sampled, joints cropped to the box around the person and resized. Augmentation crops at
random in training, and mirrors half of the clips.

Letters in shapes: M persons, T frames, V joints, C = x, y, score; K joints or limbs.

Source: Duan et al., CVPR 2022, sections 3.2 and 3.4; pyskl's pipelines.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resized_crop

from imigue_lab.data.clips import Clip
from imigue_lab.data.skeletons.augment import flip
from imigue_lab.data.skeletons.geometry import (
    Size,
    Skeleton,
    crop,
    person_box,
    present,
    random_part,
    resize,
    short_side,
)
from imigue_lab.data.skeletons.heatmaps import SIGMA, joint_heatmaps, limb_heatmaps, limbs
from imigue_lab.errors import DataError, some
from imigue_lab.training.baselines.clips import Clips, Seen, SkeletonClips
from imigue_lab.training.baselines.pictures import PairedClips, Picture, PictureClips, as_input

SIDES = {"small": (28, 32), "paper": (56, 64)}  # pixels, in training and in evaluation
PAIRED_SIDES = {"small": (16, 16), "paper": (56, 64)}  # the same beside RGB
PAIRED_SIGMA = 0.7  # pixels of a heatmap beside RGB
RATIO = 4  # heatmaps for each frame of RGB, and pixels of RGB for each of a heatmap


class HeatmapClips(SkeletonClips):
    """Skeletons in pixels of their heatmap, which `enter` renders.

    Stream `joint` of `own` renders joints, `bone` limbs; augmentation `turn` crops at random,
    `mirror` also mirrors half of the clips. `sides` are of the map in training, and in evaluation,
    which resizes directly to it.
    """

    def __init__(self, own: SkeletonClips, sides: tuple[int, int], training: bool):
        super().__init__(own.clips, own.layout, own.names, own.how)
        if self.layout.axes != 2:
            what, todo = "joints in a picture for heatmaps", "choose a network of skeletons"
            raise DataError.expected(self.layout.name, what, "joints in space", todo)
        self.sides = sides
        self.side = sides[0] if training else sides[1]  # of the heatmaps, in pixels

    def draws(self, number: int, ordinal: int = 0) -> list[Clip]:
        drawn = self.sample(self.cut(number, ordinal), number, ordinal)
        return [self.placed(draw, number, ordinal) for draw in drawn]

    def placed(self, clip: Clip, number: int, ordinal: int) -> Clip:
        """A draw in pixels of its heatmap; augmented, a random part of it, mirrored by chance."""
        skeleton, square = clip.skeleton.numpy(), (self.side, self.side)
        box = person_box(skeleton, self.edge(skeleton))
        cut, size = crop(skeleton, box), box[2:]
        if self.how.augment == "none":
            cut = resize(cut, size, square)
        else:
            rng, larger = self.rng(number, 2, ordinal), short_side(size, self.sides[1])
            part = random_part((0, 0, *larger), rng)
            cut = resize(crop(resize(cut, size, larger), part), part[2:], square)
            if self.how.augment == "mirror" and rng.rand() < 0.5:
                cut = flip(cut, self.layout, self.side)
        seen = torch.from_numpy(present(cut))
        return clip._replace(skeleton=torch.from_numpy(cut.astype(np.float32)), present=seen)

    @staticmethod
    def edge(skeleton: Skeleton) -> Size:
        """Height and width of what is known of the picture."""
        edge = np.maximum(skeleton[..., :2].max(axis=(0, 1, 2)), 1)
        return int(edge[1]) + 1, int(edge[0]) + 1

    def enter(self, batch: Seen, sigma: float = SIGMA) -> tuple[Tensor, ...]:
        skeleton, size = batch.inputs[0], (self.side, self.side)
        if self.names == ["joint"]:
            return (joint_heatmaps(skeleton, size, sigma),)
        return (limb_heatmaps(skeleton, limbs(self.layout), size, sigma),)

    mixed = Clips.mixed

    def mirrored(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps of the joints or limbs of the other side, right and left exchanged."""
        other = self.layout.mirrored
        if self.names != ["joint"]:
            places = {frozenset(pair): n for n, pair in enumerate(limbs(self.layout))}
            other = [places[frozenset((other[a], other[b]))] for a, b in limbs(self.layout)]
        return (inputs[0][:, other].flip(-1),)


class RgbPoseClips(PairedClips):
    """The region is `person_box` of a draw; with augmentation a part of it, also mirrored.

    `sizes` are width and height of the pictures in which the joints of a clip are.
    """

    def __init__(
        self, pictures: PictureClips, maps: HeatmapClips, sizes: Mapping[str, tuple[int, int]]
    ):
        super().__init__(pictures, maps)
        self.maps, self.sizes = maps, sizes
        if lacking := [clip_id for clip_id in self.clip_ids if clip_id not in sizes]:
            what, got = "the size of the pictures", "joints without a video"
            raise DataError.expected(some(lacking), what, got, "add the videos")

    def draws(self, number: int, ordinal: int = 0) -> list[tuple[Picture, Clip]]:
        picture, skeleton = self.pairs[number]
        self.pictures.epoch = self.maps.epoch = self.epoch
        frames = self.pictures.frames_of(picture, self.rng(number, ordinal))
        poses = self.maps.sample(self.maps.clips[skeleton], skeleton, ordinal)
        rng = self.rng(number, 3, ordinal)
        return [self.of_one_region(picture, *both, rng) for both in zip(frames, poses, strict=True)]

    def of_one_region(
        self, number: int, frames: Tensor, clip: Clip, rng: np.random.RandomState
    ) -> tuple[Picture, Clip]:
        """The same region of the frames and of the joints, in pixels of the heatmap."""
        skeleton, side = clip.skeleton.numpy(), self.maps.side
        width, height = self.sizes[clip.clip_id]
        region, mirrored = person_box(skeleton, (height, width)), False
        if self.maps.how.augment != "none":
            region = random_part(region, rng)
            mirrored = self.maps.how.augment == "mirror" and rng.rand() < 0.5
        cut = resize(crop(skeleton, region), region[2:], (side, side))
        box = [round(pixels * frames.shape[2] / height) for pixels in region]
        frames = resized_crop(frames, *box, [RATIO * side] * 2)
        if mirrored:
            frames, cut = frames.flip(-1), flip(cut, self.maps.layout, side - 1 / RATIO)
        points = torch.from_numpy(cut.astype(np.float32))
        drawn = clip._replace(skeleton=points, present=torch.from_numpy(present(cut)))
        return self.pictures.named(frames, number), drawn

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        frames, skeletons = batch.inputs
        maps = self.maps.enter(batch._replace(inputs=(skeletons,)), PAIRED_SIGMA)
        return (as_input(frames, self.pictures.model), *maps)

    def mirrored(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        frames, maps = inputs
        return (frames.flip(-1), *self.maps.mirrored((maps,)))
