"""A linear map and the batch norm behind it: one map in evaluation, where the norm is linear too.

Letters in shapes: N clips and persons, C channels going in and D coming out, V joints, T frames.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Features = Float[Tensor, "N C V T"]


def normed_convolution(x: Features, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """``BN(conv(x))``."""
    return normed(partial(conv._conv_forward, x), conv.weight, conv.bias, norm)


def normed(
    linear: Callable[[Tensor, Tensor | None], Tensor],
    weight: Float[Tensor, "D *_"],
    bias: Float[Tensor, "D *_"] | None,
    *norms: nn.BatchNorm2d,
) -> Tensor:
    """``BN(linear(W, b))``; in evaluation BN's statistics stay, and W and b take it in.

    Args:
        norms: one, or several of channels side by side.
    """
    if not norms[0].training:
        return linear(*taken_in(weight, bias, *norms))
    y = linear(weight, bias)
    return norms[0](y) if len(norms) == 1 else norm_side_by_side(y, norms)


def taken_in(
    weight: Float[Tensor, "D *_"], bias: Float[Tensor, "D *_"] | None, *norms: nn.BatchNorm2d
) -> tuple[Tensor, Tensor]:
    """``γ / σ W`` and ``γ / σ (b - μ) + β``."""
    mean, var, gamma, beta = side_by_side(norms)
    scale = gamma * torch.rsqrt(var + norms[0].eps)
    shift = torch.addcmul(beta, mean, scale, value=-1)
    scaled = weight * scale.view(-1, *[1] * (weight.dim() - 1))
    if bias is None:
        return scaled, shift
    rest = [1] * (bias.dim() - 1)
    return scaled, torch.addcmul(shift.view(-1, *rest), bias, scale.view(-1, *rest))


def norm_side_by_side(x: Features, norms: Sequence[nn.BatchNorm2d]) -> Features:
    """Each norm on its own channels of x, in one pass; faster than norms of slices."""
    mean, var, gamma, beta = side_by_side(norms)
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


def side_by_side(norms: Sequence[nn.BatchNorm2d]) -> list[Tensor]:
    """Running mean and variance, weight and bias of all channels."""
    each: list[Any] = [(n.running_mean, n.running_var, n.weight, n.bias) for n in norms]
    return [torch.cat(part) if len(part) > 1 else part[0] for part in zip(*each, strict=True)]
