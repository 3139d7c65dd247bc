"""Clips as RGBPose-Conv3D sees them: frames and heatmaps of one region, the person's.

Source: Duan et al., CVPR 2022, section 3.4; pyskl's pipelines.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resized_crop

from imigue_lab.data.clips import Clip
from imigue_lab.data.skeletons.augment import flip
from imigue_lab.data.skeletons.geometry import crop, person_box, present, random_part, resize
from imigue_lab.errors import DataError, some
from imigue_lab.training.baselines.clips import Seen
from imigue_lab.training.baselines.heatmaps import HeatmapClips
from imigue_lab.training.baselines.pictures import PairedClips, Picture, PictureClips, as_input

RATIO = 4  # heatmaps for each frame of RGB, and pixels of RGB for each of a heatmap
SIGMA = 0.7  # pixels of a heatmap
SIDES = {"small": (16, 16), "paper": (56, 64)}  # of heatmaps, in training and in evaluation


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
            raise DataError(
                f"{some(lacking)}: expected the size of the pictures, got joints without a video;"
                " add the videos"
            )

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
        maps = self.maps.enter(batch._replace(inputs=(skeletons,)), SIGMA)
        return (as_input(frames, self.pictures.model), *maps)

    def mirrored(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        frames, maps = inputs
        return (frames.flip(-1), *self.maps.mirrored((maps,)))
