"""The first normalisation of graph networks: each channel of each joint over all clips and frames.

Letters in shapes: B clips, M persons, T frames, V joints, C channels: x, y, score, or x, y, z.

Source: `data_bn` of ST-GCN, 2s-AGCN and CTR-GCN in their published code.
"""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from imigue_lab.data.keypoints import Layout

Skeletons = Float[Tensor, "B M T V C"]


class JointNorm(nn.BatchNorm1d):
    """Batch norm of M x V x C numbers a frame, persons outermost, as checkpoints hold them.

    A missing joint lies at 0, and normalised it would lie far from where the joint ever is. With
    `mask_missing` it leaves the statistics alone and is 0 after the norm, which is the joint's mean
    place until weights are learned: so no coordinate under a score of 0 moves a result at all.
    Without, it is normalised like any other, as published.

    Args:
        layout: of the joints; says what is missing as `data.skeleton.present` does: a score of 0,
            or without scores all coordinates 0.
        persons: that the statistics are kept for; fewer are filled up with zeros.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, layout: Layout, persons: int, channels: int, mask_missing: bool):
        super().__init__(persons * len(layout.joints) * channels)
        self.layout = layout
        self.persons = persons
        self.channels = channels
        self.mask_missing = mask_missing

    def forward(self, skeleton: Skeletons) -> Float[Tensor, "B persons T V C"]:
        skeleton = self.fill_persons(skeleton)
        x = rearrange(skeleton, "b m t v c -> (b t) (m v c)")
        if self.mask_missing:
            seen = repeat(self.seen(skeleton), "b m t v -> (b t) (m v c)", c=self.channels)
            x = self.norm_seen(x, seen)
        else:
            x = super().forward(x)
        sizes = {"b": len(skeleton), "m": self.persons, "c": self.channels}
        return rearrange(x, "(b t) (m v c) -> b m t v c", **sizes)

    def fill_persons(self, skeleton: Skeletons) -> Float[Tensor, "B persons T V C"]:
        _, persons, _, joints, channels = skeleton.shape
        held = len(self.layout.joints)
        if persons > self.persons or (joints, channels) != (held, self.channels):
            raise ValueError(
                f"skeletons are {persons} persons, {joints} joints, {channels} channels; this model"
                f" takes up to {self.persons} persons, {held} joints of {self.layout.name},"
                f" {self.channels} channels"
            )
        return F.pad(skeleton, (0, 0, 0, 0, 0, 0, 0, self.persons - persons))

    def seen(self, skeleton: Skeletons) -> Bool[Tensor, "B M T V"]:
        axes = self.layout.axes
        return skeleton[..., axes] > 0 if self.channels > axes else (skeleton != 0).any(dim=-1)

    def norm_seen(
        self, x: Float[Tensor, "frames places"], seen: Bool[Tensor, "frames places"]
    ) -> Float[Tensor, "frames places"]:
        """Statistics of what was seen; a joint that no frame of the batch shows keeps its own."""
        mean, variance = self.running_mean, self.running_var
        if self.training:
            count = seen.sum(dim=0)
            batch_mean = (x * seen).sum(dim=0) / count.clamp(min=1)
            batch_variance = ((x - batch_mean).square() * seen).sum(dim=0) / count.clamp(min=1)
            shown = count > 0
            with torch.no_grad():
                unbiased = batch_variance * count / (count - 1).clamp(min=1)
                mean.copy_(torch.where(shown, mean.lerp(batch_mean, self.momentum), mean))
                variance.copy_(torch.where(shown, variance.lerp(unbiased, self.momentum), variance))
                self.num_batches_tracked.add_(1)
            mean, variance = batch_mean, batch_variance
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        return (x * self.weight + self.bias) * seen
