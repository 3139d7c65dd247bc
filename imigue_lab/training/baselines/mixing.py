"""Mixup and cutmix: the clips of a batch are mixed in pairs, and so are their labels.

    x̃ = λ x + (1 - λ) x'    ỹ = λ y + (1 - λ) y'    λ ~ Beta(α, α), x' the other clip of the pair

Mixup (Zhang et al., ICLR 2018) mixes all values. Cutmix (Yun et al., ICCV 2019) takes a box from
x', the same in all frames; λ is then the share of the pixels outside it. With both, each pair gets
one of them, at random. Pairs are neighbours in the global batch, which `Ranks.deal` keeps together,
and λ is seeded by the first one: neither depends on the number of processes or of passes.

Letters in shapes: B clips, H x W pixels, C channels of a joint, L the map of λ: a pixel in mixup.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

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
        drawn = np.repeat([self.draw_one(rng) for rng in rngs], 2, axis=0)
        return torch.from_numpy(drawn[:clips])

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
