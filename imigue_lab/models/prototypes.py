"""Prototypes of the classes and what pulls features to them: the two parts of L_p (section 2.5).

Letters in shapes: B clips, C classes, D width.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

TEMPERATURE = 0.1


class Prototypes(nn.Module):
    """One learned vector a class; gives ``cos(f, prototype_c)``."""

    def __init__(self, classes: int, dim: int):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(classes, dim) / math.sqrt(dim))

    def forward(self, f: Float[Tensor, "B D"]) -> Float[Tensor, "B C"]:
        return F.normalize(f.float(), dim=-1) @ F.normalize(self.vectors.float(), dim=-1).T


def angular_cross_entropy(
    cosine: Float[Tensor, "B C"], label: Int[Tensor, " B"], margin: int | float = 0.0
) -> Float[Tensor, " B"]:
    """``-log softmax(cos / 0.1)_y`` of each clip, the true angle widened by `margin` radians.

    A class with cosine -inf has no logit; a clip whose own class has none gives 0.
    """
    own = cosine.gather(1, label[:, None])
    known = own[:, 0] > -torch.inf
    if margin:
        angle = torch.acos(own.masked_fill(~known[:, None], 0).clamp(-1 + 1e-6, 1 - 1e-6))
        cosine = cosine.scatter(1, label[:, None], torch.cos((angle + margin).clamp(max=math.pi)))
    # Rows without a target would be inf - inf; they are computed on zeros and left out.
    logits = cosine.masked_fill(~known[:, None], 0) / TEMPERATURE
    return F.cross_entropy(logits, label, reduction="none") * known


def alpha_at(epoch: int, alpha: int | float, warmup: int, ramp: int) -> float:
    """``α(e) = α · clip((e - warmup + 1) / ramp, 0, 1)``, epochs from 0; a ramp of 0 is a step."""
    steps = epoch - warmup + 1
    if ramp == 0:
        return alpha if steps > 0 else 0.0
    return alpha * min(max(steps / ramp, 0.0), 1.0)
