"""Mixup and cutmix: the clips of a batch are mixed in pairs, and so are their labels.

    x̃ = λ x + (1 - λ) x'    ỹ = λ y + (1 - λ) y'    λ ~ Beta(α, α), x' the other clip of the pair

Mixup (Zhang et al., ICLR 2018) mixes all values. Cutmix (Yun et al., ICCV 2019) takes a box from
x', the same in all frames; λ is then the share of the pixels outside it. With both, each pair gets
one of them, at random. Pairs are neighbours in the global batch, which `Ranks.deal` keeps together,
and λ is seeded by the first one: neither depends on the number of processes or of passes.

Letters in shapes: B clips, H x W pixels, C channels of a joint.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


class Mixture(NamedTuple):
    """How each clip of a batch is mixed with the other one of its pair.

    Attributes:
        share: λ.
        box: of cutmix: top, left, bottom, right in pixels; 0 in mixup.
    """

    share: Float[Tensor, " B"]
    box: Int[Tensor, "B 4"]

    def to(self, device: torch.device) -> "Mixture":
        return Mixture(self.share.to(device), self.box.to(device))

    def other(self, x: Tensor) -> Tensor:
        """The other one of each pair; for a last one without a pair itself."""
        numbers = torch.arange(len(x), device=x.device)
        return x[(numbers ^ 1).clamp(max=len(x) - 1)]

    def own(self, x: Tensor) -> Tensor:
        """λ for all values of x (B, ...)."""
        return self.share.view(-1, *[1] * (x.ndim - 1))

    def labels(self, label: Int[Tensor, " B"], classes: int) -> Float[Tensor, "B classes"]:
        y = F.one_hot(label, classes).float()
        return self.own(y) * y + (1 - self.own(y)) * self.other(y)

    def maps(self, x: Float[Tensor, "B *axes H W"]) -> Float[Tensor, "B *axes H W"]:
        """Pictures, or heatmaps, in which a joint is then as bright as its share."""
        top, left, bottom, right = self.box.view(-1, 4, *[1] * (x.ndim - 1)).unbind(1)
        rows, columns = (torch.arange(side, device=x.device) for side in x.shape[-2:])
        rows = rows[:, None]
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        own = torch.where(bottom > 0, (~inside).float(), self.own(x))
        return own * x + (1 - own) * self.other(x)

    def joints(self, x: Float[Tensor, "B *axes C"], axes: int) -> Float[Tensor, "B *axes C"]:
        """Skeletons: a joint that one clip lacks is where the other clip has it.

        A missing joint is all 0, which is no place: coordinates are the mean of the seen ones,
        weighted by λ and 1 - λ. The score, a third channel of two `axes`, is λ s + (1 - λ) s', less
        where one lacks the joint, and 0 only where both do.
        """
        other = self.other(x)
        shares = self.own(x), 1 - self.own(x)
        own, rest = (
            share * (y != 0).any(-1, keepdim=True)
            for share, y in zip(shares, (x, other), strict=True)
        )
        mixed = own * x + rest * other
        places = mixed[..., :axes] / (own + rest).clamp(min=1e-6)
        return torch.cat([places, mixed[..., axes:]], dim=-1)


class Mixing(NamedTuple):
    """How mixtures are drawn.

    Attributes:
        mixup, cutmix: α of each; 0 is off.
        side: of the pictures, in pixels.
    """

    mixup: float
    cutmix: float
    side: int

    def draw(self, rngs: list[np.random.RandomState], clips: int) -> Mixture:
        """For a batch of so many clips, from a generator for each pair."""
        drawn = [own for rng in rngs for own in [self.draw_one(rng)] * 2][:clips]
        share, box = zip(*drawn, strict=True)
        return Mixture(torch.tensor(share, dtype=torch.float32), torch.tensor(box))

    def draw_one(self, rng: np.random.RandomState) -> tuple[float, list[int]]:
        """λ and the box of one pair."""
        cut = rng.rand() * ((self.mixup > 0) + (self.cutmix > 0)) >= (self.mixup > 0)
        alpha = self.cutmix if cut else self.mixup
        share = rng.beta(alpha, alpha)
        if not cut:
            return share, [0] * 4
        centre, half = rng.randint(self.side, size=2), int(self.side * (1 - share) ** 0.5 / 2)
        top, left = (centre - half).clip(0)
        bottom, right = (centre + half).clip(max=self.side)
        share = 1 - (bottom - top) * (right - left) / self.side**2
        return share, [int(edge) for edge in (top, left, bottom, right)]
