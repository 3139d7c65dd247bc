"""Merging tokens of two sets, best matches first (after MCTF, the paper's [10]).

Letters in shapes: B clips, N tokens, D their width, I and J tokens of the two sets that are
matched, N = I + J, M tokens after merging.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Scores = Float[Tensor, "B I J"]


class Slots(NamedTuple):
    """The merged token, or slot, of every token.

    Attributes:
        slot: index of a token's merged token, (B, N); -1 for an invalid token.
        mask: False for padding of the merged tokens, (B, M).
    """

    slot: Int[Tensor, "B N"]
    mask: Bool[Tensor, "B M"]

    @property
    def source(self) -> Bool[Tensor, "B M N"]:
        """The source matrix: whether token n is part of merged token m."""
        own = torch.arange(self.mask.shape[1], device=self.slot.device)
        return self.slot[:, None, :] == own[:, None]


def similarity(a: Float[Tensor, "B I D"], b: Float[Tensor, "B J D"]) -> Scores:
    """``(cos(a_i, b_j) + 1) / 2``, in float32."""
    a, b = F.normalize(a.float(), dim=-1), F.normalize(b.float(), dim=-1)
    return torch.baddbmm(a.new_tensor(0.5), a, b.mT, alpha=0.5)


def readiness(importance: Float[Tensor, "B N"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N"]:
    """``u = (1/imp) / max (1/imp)`` over the valid tokens: 1 for the least important one."""
    inverse = (1 / importance.float()).masked_fill(~mask, 0)
    return inverse / inverse.amax(dim=1, keepdim=True).clamp(min=1e-12)


def match_both_ways(
    scores: Scores, forth: Int[Tensor, " B"], back: Int[Tensor, " B"]
) -> Int[Tensor, "B N"]:
    """The token that each of the I + J tokens merges into, or its own index.

    `forth` tokens of the first set, those with the highest row maximum, merge into their best match
    of the second; then `back` tokens of the second, with all that merged into them, merge into
    their best match among the remaining tokens of the first. Scores are not recomputed.

    Args:
        scores: -inf for pairs that must not merge.
    """
    clips, rows, columns = scores.shape
    best, target = scores.max(dim=2)
    gone = among_highest(best, forth)
    back_best, back_target = scores.masked_fill(gone[:, :, None], -torch.inf).max(dim=1)
    returned = among_highest(back_best, back)
    own = torch.arange(rows + columns, device=scores.device).expand(clips, -1)
    onward = torch.cat([own[:, :rows], torch.where(returned, back_target, own[:, rows:])], dim=1)
    first = torch.cat([torch.where(gone, rows + target, own[:, :rows]), own[:, rows:]], dim=1)
    return onward.gather(1, first)


def among_highest(values: Float[Tensor, "B N"], count: Int[Tensor, " B"]) -> Bool[Tensor, "B N"]:
    """The `count` highest values of each row; of equal ones the first."""
    rank = values.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return rank < count[:, None]


def assign_slots(destination: Int[Tensor, "B N"], mask: Bool[Tensor, "B N"], length: int) -> Slots:
    """Numbers the remaining tokens in their order; `length` is M, enough for every clip."""
    stays = mask & (destination == torch.arange(mask.shape[1], device=mask.device))
    slot = (stays.cumsum(dim=1) - 1).gather(1, destination).masked_fill(~mask, -1)
    filled = torch.arange(length, device=mask.device) < stays.sum(dim=1, keepdim=True)
    return Slots(slot, filled)


def sum_by_slot(values: Float[Tensor, "B N D"], slots: Slots) -> Float[Tensor, "B M D"]:
    """Sum over the tokens of each slot; values of invalid tokens must be 0."""
    clips, length = slots.mask.shape
    offset = length * torch.arange(clips, device=values.device)[:, None]
    index = (slots.slot.clamp(min=0) + offset).flatten()
    dim = values.shape[-1]
    merged = values.new_zeros(clips * length, dim)
    merged.scatter_add_(0, index[:, None].expand(-1, dim), values.reshape(-1, dim))
    return merged.view(clips, length, dim)


def merge_weighted(
    values: Float[Tensor, "B N D"], weight: Float[Tensor, "B N"], slots: Slots
) -> Float[Tensor, "B M D"]:
    """``Σ weight x / Σ weight`` over the tokens of each slot."""
    weight = weight.masked_fill(slots.slot < 0, 0)
    total = sum_by_slot(weight[..., None], slots)[..., 0]
    share = weight / total.gather(1, slots.slot.clamp(min=0)).clamp(min=1e-12)
    return sum_by_slot(values * share[..., None].to(values.dtype), slots)


def count_by_slot(slots: Slots, split: int) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B M"]]:
    """The number of the first `split` tokens in each slot, and the number of the others."""
    first = torch.arange(slots.slot.shape[1], device=slots.slot.device) < split
    sides = torch.stack([first, ~first], dim=1) & (slots.slot >= 0)[..., None]
    counts, others = sum_by_slot(sides.float(), slots).unbind(dim=2)
    return counts, others
