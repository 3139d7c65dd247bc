"""MCTF: merging similar, uninformative and small tokens of one sequence.

Lee, Choi and Kim 2024 (arXiv 2403.10030), the paper's [10]; CMTF does the same across modalities.
Letters in shapes: B clips, N tokens, D their width, M tokens after merging, H heads.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from imigue_lab.models.cmtf import assign_slots, match_both_ways, readiness, similarity

Pooling = Literal["importance", "size", "mean", "max"]


class MergedSequence(NamedTuple):
    """A shorter sequence.

    Attributes:
        tokens: (B, M, D), in the order of the tokens that stayed: even positions, then odd.
        size: number of original tokens in each, (B, M).
        source: source matrix (B, M, N).
        attention: the given attention between merged tokens, (B, H, M, M).
    """

    tokens: Float[Tensor, "B M D"]
    size: Float[Tensor, "B M"]
    source: Bool[Tensor, "B M N"]
    attention: Float[Tensor, "B H M M"]


def merge_sequence(
    x: Float[Tensor, "B N D"],
    attention: Float[Tensor, "B H N N"],
    size: Float[Tensor, "B N"],
    r: int | float,
    protected: int = 1,
    tau: tuple[int, int, int] = (1, 20, 40),
    both_ways: bool = True,
    pooling: Pooling = "importance",
) -> MergedSequence:
    """MCTF as published, within one sequence: even positions against odd ones.

        S = W_sim^(1/τ_sim) (u_a u_b)^(1/τ_info) (z_a z_b)^(1/τ_size),   z = (1/s) / max (1/s)

    Args:
        attention: of the sequence; importance is the mean over heads and queries of what a token
            gets.
        size: how many original tokens each token holds.
        r: tokens to merge, or their share when below 1; at most half, and 10 stay.
        protected: this many even positions never merge (class token).
        tau: of similarity, information and size; 0 leaves a factor out.
        both_ways: half of r even -> odd, the rest odd -> even; else all even -> odd.
        pooling: weights within a merged token: importance times relative size, size, 1, or the
            maximum of each channel.
    """
    clips, n, _ = x.shape
    wanted = min(int((n - protected) * r) if r < 1 else int(r), (n - protected) // 2, n - 10)
    everywhere = torch.ones(clips, n, dtype=torch.bool, device=x.device)
    importance = attention.mean(dim=(1, 2))
    order = torch.cat([torch.arange(0, n, 2), torch.arange(1, n, 2)]).to(x.device)
    half = (n + 1) // 2
    with torch.no_grad():
        factors = [similarity(x[:, order[:half]], x[:, order[half:]])]
        for ready in (readiness(importance, everywhere), readiness(size, everywhere)):
            factors.append(ready[:, order[:half], None] * ready[:, None, order[half:]])
        scores = torch.stack([f ** (1 / t) for f, t in zip(factors, tau, strict=True) if t]).prod(
            dim=0
        )
        scores[:, :protected] = -torch.inf
        forth = torch.full((clips,), wanted // 2 if both_ways else wanted, device=x.device)
        destination = match_both_ways(scores, forth, wanted - forth)
    slots = assign_slots(destination, everywhere, n - wanted)
    back = order.argsort()  # the slots are numbered by side; the source matrix by position
    source = slots.source[:, :, back]
    relative = size / size.amax(dim=1, keepdim=True)
    weight = {
        "importance": importance * relative,
        "size": size,
        "mean": torch.ones_like(size),
        "max": torch.ones_like(size),
    }[pooling]
    share = source * weight[:, None, :]
    share = share / share.sum(dim=2, keepdim=True)
    keys = torch.einsum("bhij,bmj->bhim", attention, source.to(x.dtype))
    if pooling == "max":
        outside = ~source[..., None]
        tokens = x[:, None].masked_fill(outside, -math.inf).amax(dim=2)
        merged = keys[:, :, None].masked_fill(outside[:, None], -math.inf).amax(dim=3)
    else:
        tokens = share @ x
        merged = torch.einsum("bmi,bhin->bhmn", share, keys)
    return MergedSequence(tokens, (source * size[:, None, :]).sum(dim=2), source, merged)
