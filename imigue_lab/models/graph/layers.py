"""Layers that graph networks share: maps with a batch norm, the input norm, and graph mixing.

Letters in shapes: B clips, M persons, N = B M, T frames (S after a stride), V joints, C channels
going in (x, y, score, or x, y, z at the input) and D coming out, K = 3 subsets of a joint's
neighbours: itself, inward, outward. Inside, features are (N, C, V, T) with channels last in memory:
joints mix in one matrix product, and convolutions over time run along the longest axis. An entry
[.., k, i, j] of a graph leads from joint i to joint j.

Source: 2s-AGCN (Shi et al., CVPR 2019, sections 3.2 to 3.4), ST-GCN and CTR-GCN, as in their
published code.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.keypoints import Layout

Skeletons = Float[Tensor, "B M T V C"]
FrameMask = Bool[Tensor, "B T"]
GraphFeatures = Float[Tensor, "N C V T"]
Mixed = Float[Tensor, "N D V T"]
Shorter = Float[Tensor, "N D V S"]
Graph = Float[Tensor, "K V V"]
Attention = Float[Tensor, "N K V V"]
Own = Float[Tensor, "N 1 1 T"]  # 1 for a clip's own frames, 0 for padding

SUBSETS = 3


def normed_convolution(x: GraphFeatures, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """``BN(conv(x))``."""
    return normed(partial(conv._conv_forward, x), conv.weight, conv.bias, norm)


def normed(
    linear: Callable[[Tensor, Tensor | None], Tensor],
    weight: Float[Tensor, "D *_"],
    bias: Float[Tensor, "D *_"] | None,
    *norms: nn.BatchNorm2d,
) -> Tensor:
    """``BN(linear(W, b))``; in evaluation, where BN is linear too, it is folded into W and b.

    There are several norms for consecutive groups of channels, or one.
    """
    if not norms[0].training:
        return linear(*fold_norm(weight, bias, *norms))
    y = linear(weight, bias)
    return norms[0](y) if len(norms) == 1 else norm_side_by_side(y, norms)


def fold_norm(
    weight: Float[Tensor, "D *_"], bias: Float[Tensor, "D *_"] | None, *norms: nn.BatchNorm2d
) -> tuple[Tensor, Tensor]:
    """``γ / σ W`` and ``γ / σ (b - μ) + β``."""
    mean, var, gamma, beta = concatenate(norms)
    scale = gamma * torch.rsqrt(var + norms[0].eps)
    shift = torch.addcmul(beta, mean, scale, value=-1)
    scaled = weight * scale.view(-1, *[1] * (weight.dim() - 1))
    if bias is None:
        return scaled, shift
    rest = [1] * (bias.dim() - 1)
    return scaled, torch.addcmul(shift.view(-1, *rest), bias, scale.view(-1, *rest))


def norm_side_by_side(x: GraphFeatures, norms: Sequence[nn.BatchNorm2d]) -> GraphFeatures:
    """Each norm on its own channels of x, in one pass; faster than norms of slices."""
    mean, var, gamma, beta = concatenate(norms)
    assert norms[0].momentum is not None
    y = F.batch_norm(x, mean, var, gamma, beta, True, norms[0].momentum, norms[0].eps)
    widths = [norm.num_features for norm in norms]
    for norm, *moved in zip(norms, mean.split(widths), var.split(widths), strict=True):
        for known, now in zip((norm.running_mean, norm.running_var), moved, strict=True):
            assert known is not None
            known.copy_(now)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
    return y


def concatenate(norms: Sequence[nn.BatchNorm2d]) -> list[Tensor]:
    """Running mean and variance, weight and bias of all channels."""
    each: list[Any] = [(n.running_mean, n.running_var, n.weight, n.bias) for n in norms]
    return [torch.cat(part) if len(part) > 1 else part[0] for part in zip(*each, strict=True)]


class JointNorm(nn.BatchNorm1d):
    """Batch norm of M x V x C numbers a frame, persons outermost as in published checkpoints.

    A missing joint is at 0, and normalised it would be far from where the joint ever is. With
    `mask_missing` it is left out of the statistics and is 0 after the norm, the joint's mean place
    until weights are learned: no coordinate with a score of 0 changes a result. Without, it is
    normalised like any other, as published.

    Args:
        layout: of the joints. A joint is missing where its score is 0, or without scores where all
            its coordinates are 0.
        persons: number of persons with statistics; fewer are filled up with zeros.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, layout: Layout, persons: int, channels: int, mask_missing: bool):
        super().__init__(persons * len(layout.joints) * channels)
        self.layout, self.persons, self.channels = layout, persons, channels
        self.mask_missing = mask_missing

    def forward(self, skeleton: Skeletons) -> Float[Tensor, "B persons T V C"]:
        skeleton = self.fill_persons(skeleton)
        x = rearrange(skeleton, "b m t v c -> (b t) (m v c)")
        if self.mask_missing:
            a = self.layout.axes
            seen = skeleton[..., a] > 0 if self.channels > a else (skeleton != 0).any(dim=-1)
            x = self.norm_seen(x, repeat(seen, "b m t v -> (b t) (m v c)", c=self.channels))
        else:
            x = super().forward(x)
        sizes = {"b": len(skeleton), "m": self.persons, "c": self.channels}
        return rearrange(x, "(b t) (m v c) -> b m t v c", **sizes)

    def fill_persons(self, skeleton: Skeletons) -> Float[Tensor, "B persons T V C"]:
        _, persons, _, joints, channels = skeleton.shape
        expected = len(self.layout.joints)
        if persons > self.persons or (joints, channels) != (expected, self.channels):
            raise ValueError(
                f"skeletons are {persons} persons, {joints} joints, {channels} channels; this model"
                f" takes up to {self.persons} persons, {expected} joints of {self.layout.name},"
                f" {self.channels} channels"
            )
        return F.pad(skeleton, (0, 0, 0, 0, 0, 0, 0, self.persons - persons))

    def norm_seen(
        self, x: Float[Tensor, "frames places"], seen: Bool[Tensor, "frames places"]
    ) -> Float[Tensor, "frames places"]:
        """Statistics of present joints; those of a joint missing in the whole batch stay."""
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


def mix_joints(
    x: GraphFeatures,
    graph: Float[Tensor, "*N K V V"],
    weight: Float[Tensor, "D C K 1"],
    bias: Float[Tensor, " D"] | None = None,
) -> Mixed:
    """``Σ_k W_k x G_k``: one product with all subsets, one convolution that spans them."""
    joints, frames = x.shape[-2:]
    # a graph for each clip, even if it is the same: otherwise matmul permutes the clips by copying
    graph = rearrange(graph, "... k i j -> ... (k j) i").expand(len(x), -1, -1)
    y = graph @ rearrange(x, "n c v t -> n v (t c)")
    y = rearrange(y, "n kv (t c) -> n c kv t", t=frames)
    return F.conv2d(y, weight, bias, dilation=(joints, 1))


def at_least_float32(x: Tensor) -> Tensor:
    """For sums of broadcast maps, which are slower in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def check_width(width: int) -> None:
    if width % 4:
        raise ValueError(f"width must be a multiple of 4; got {width}")


class AlongTime(nn.Conv2d):
    """A convolution over frames, its weights (D, C, frames, 1) as published for (N, C, T, V)."""

    def __init__(self, in_width: int, width: int, kernel: int, stride: int, dilation: int = 1):
        reach = kernel // 2 * dilation
        super().__init__(in_width, width, (kernel, 1), (stride, 1), (reach, 0), (dilation, 1))
        self.steps = ((1, stride), (0, reach), (1, dilation))

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, weight.mT, bias, *self.steps)


class NormedConvolution(nn.Sequential):
    """``BN(conv(x))`` of own frames; x itself where kernel and stride are 1 and the width stays."""

    def __init__(self, in_width: int, width: int, kernel: int = 1, stride: int = 1):
        super().__init__()
        if kernel > 1 or in_width != width or stride > 1:
            self.append(AlongTime(in_width, width, kernel, stride))
            self.append(nn.BatchNorm2d(width))

    def forward(self, x: GraphFeatures, own: Own | None = None) -> Shorter:
        return normed_convolution(without_padding(x, own), *self) if len(self) else x


def without_padding(x: GraphFeatures, own: Own | None) -> GraphFeatures:
    """Zeros in padded frames, which layers along time would read."""
    return x if own is None else x * own
