"""The time parts of graph networks: one convolution over 9 frames, or branches of several scales.

Letters in shapes as in `layers`: N clips and persons, C channels going in and D coming out, V
joints, T frames, S after the stride.

Source: ST-GCN (AAAI 2018), ST-GCN++ (Duan et al., PYSKL, ACM MM 2022, section 3.2), CTR-GCN (Chen
et al., ICCV 2021, section 3.3), DG-STGCN (Duan et al., 2022, section 3.3).
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imigue_lab.models.graph.layers import (
    AlongTime,
    GraphFeatures,
    Own,
    Shorter,
    at_least_float32,
    check_width,
    norm_side_by_side,
    normed,
    normed_convolution,
    without_padding,
)

KERNEL = 9  # frames
DILATIONS = (1, 2, 3, 4)  # of ST-GCN++ and DG-STGCN; 3 frames each


class OneConvolution(nn.Module):
    """``BN(conv_9(x))``, then dropout."""

    def __init__(self, width: int, stride: int, dropout: float = 0.0):
        super().__init__()
        self.conv = AlongTime(width, width, KERNEL, stride)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: GraphFeatures, own: Own | None) -> Shorter:
        return self.dropout(normed_convolution(without_padding(x, own), self.conv, self.norm))


class Branch(nn.Module):
    """``BN(look(ReLU(BN(W x))))``: fewer channels, then a layer along time; see `all_branches`.

    Without `in_width` it is ``BN(look(x))``: direct.
    """

    def __init__(self, in_width: int | None, width: int, look: nn.Module, norm: bool):
        super().__init__()
        if in_width is not None:
            self.shrink = nn.Sequential(
                nn.Conv2d(in_width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
            )
        self.look = look
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()


class Maximum(nn.Module):
    """The maximum over 3 frames.

    Pooling records the position of each maximum, which only a gradient needs; without one,
    comparing frames is four times as fast.
    """

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, x: GraphFeatures) -> Shorter:
        if torch.is_grad_enabled():
            x = x.contiguous(memory_format=torch.channels_last)  # pooling is fast in this order
            return F.max_pool2d(x, (1, 3), (1, self.stride), (0, 1))
        frames, padded = x.shape[-1], F.pad(x, (1, 1), value=-torch.inf)
        before, at, after = (padded[..., n : n + frames : self.stride] for n in range(3))
        return torch.maximum(torch.maximum(before, at), after)


class MultiScale(nn.Module):
    """Six branches, then ``BN(W ReLU(BN(·)))`` over all: ST-GCN++'s.

    Four convolutions over 3 frames with growing dilation, a maximum over 3, and the frame itself;
    a sixth of the width each, the first also the remainder.
    """

    def __init__(self, width: int, stride: int):
        super().__init__()
        part = width // (len(DILATIONS) + 2)
        first = width - part * (len(DILATIONS) + 1)
        self.branches = nn.ModuleList()
        for dilation in DILATIONS:
            size = first if dilation == 1 else part
            look = AlongTime(size, size, 3, stride, dilation)
            self.branches.append(Branch(width, size, look, norm=False))
        self.branches.append(Branch(width, part, Maximum(stride), norm=False))
        self.branches.append(Branch(None, part, AlongTime(width, part, 1, stride), norm=False))
        self.join = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, width, 1)
        )
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: GraphFeatures, own: Own | None) -> Shorter:
        norm, rectify, conv = list[Any](self.join)
        return normed_convolution(rectify(norm(self.look(x, own))), conv, self.norm)

    def look(self, x: GraphFeatures, own: Own | None) -> Shorter:
        return all_branches(self.branches, x, own)


class MultiScaleWithBody(MultiScale):
    """The same with an additional joint for the whole body: DG-STGCN's.

        x_{V+1} = mean_v x_v        y_v = look(x)_v + γ_v look(x)_{V+1}

    γ has `entries` numbers, at least one a joint; published files always have 25.
    """

    def __init__(self, width: int, stride: int, entries: int):
        super().__init__(width, stride)
        self.gamma = nn.Parameter(torch.zeros(entries))

    def look(self, x: GraphFeatures, own: Own | None) -> Shorter:
        y = super().look(torch.cat([x, x.mean(dim=2, keepdim=True)], dim=2), own)
        joints, body = at_least_float32(y).split([x.shape[2], 1], dim=2)
        return torch.addcmul(joints, body, self.gamma[: x.shape[2], None]).to(y.dtype)


class FourBranches(nn.Module):
    """Two convolutions over 5 frames, a maximum over 3, the frame itself, a norm each: CTR-GCN's.

    `rectify` adds a ReLU over all, as in pyskl; the original has none.
    """

    def __init__(self, width: int, stride: int, rectify: bool):
        super().__init__()
        check_width(width)
        part = width // 4
        near, far = (AlongTime(part, part, 5, stride, dilation) for dilation in (1, 2))
        self.branches = nn.ModuleList(
            Branch(width, part, look, norm=True) for look in (near, far, Maximum(stride))
        )
        self.branches.append(Branch(None, part, AlongTime(width, part, 1, stride), norm=True))
        self.rectify = rectify

    def forward(self, x: GraphFeatures, own: Own | None) -> Shorter:
        y = all_branches(self.branches, x, own)
        return F.relu_(y) if self.rectify else y


def all_branches(branches: nn.ModuleList, x: GraphFeatures, own: Own | None) -> Shorter:
    """The branches' outputs after their norms, concatenated; the last branch is direct."""
    every = list[Any](branches)
    inputs = [*(without_padding(y, own) for y in shrunk_by(every[:-1], x)), x]
    if isinstance(every[-1].norm, nn.BatchNorm2d) and every[-1].norm.training:
        y = torch.cat([branch.look(y) for branch, y in zip(every, inputs, strict=True)], dim=1)
        return norm_side_by_side(y, [branch.norm for branch in every])
    pairs = zip(every, inputs, strict=True)
    return torch.cat([look_and_norm(y, branch.look, branch.norm) for branch, y in pairs], dim=1)


def look_and_norm(x: GraphFeatures, look: nn.Module, norm: nn.Module) -> Shorter:
    """As one convolution where possible."""
    if isinstance(look, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
        return normed_convolution(x, look, norm)
    return norm(look(x))


def shrunk_by(branches: list[Any], x: GraphFeatures) -> tuple[Tensor, ...]:
    """``ReLU(BN(W x))`` of each branch, by one convolution and one norm."""
    convs, norms = ([branch.shrink[number] for branch in branches] for number in (0, 1))
    weight, bias = (torch.cat([getattr(c, part) for c in convs]) for part in ("weight", "bias"))
    y = F.relu_(normed(partial(F.conv2d, x), weight, bias, *norms))
    return y.split([conv.out_channels for conv in convs], dim=1)
