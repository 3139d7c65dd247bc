"""Cross-Modal Token Fusion: RGB and pose tokens attend to each other, merge, and attend jointly.

Paper section 2.4 and Fig. 1a; the equations are ours after MCTF, see docs/paper_gaps.md. Letters in
shapes: B clips, R RGB tokens, P pose tokens, N = R + P, M tokens after merging, D width, H heads;
I and J tokens of two sets that are matched. Merging is after MCTF, the paper's [10].
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from imigue_lab.models import CRITERIA, Criterion
from imigue_lab.models.cross_attention import CrossAttention, gaps_between, start_attention
from imigue_lab.models.tokens import Tokens

TAU = 20  # MCTF's temperature of the information factor
Scores = Float[Tensor, "B I J"]


class Attention(NamedTuple):
    """All attention weights of CMTF; rows of invalid queries are meaningless."""

    rgb_from_pose: Float[Tensor, "B H R P"]  # RGB queries over pose keys
    pose_from_rgb: Float[Tensor, "B H P R"]  # pose queries over RGB keys
    criteria: tuple[str, ...]  # of each of the H heads of both directions
    joint: Float[Tensor, "B H M M"]  # among the merged tokens


class Slots(NamedTuple):
    """The merged token, or slot, of every token."""

    slot: Int[Tensor, "B N"]  # index of a token's merged token; -1 for an invalid token
    mask: Bool[Tensor, "B M"]  # False for padding of the merged tokens

    @property
    def source(self) -> Bool[Tensor, "B M N"]:
        """The source matrix: whether token n is part of merged token m."""
        own = torch.arange(self.mask.shape[1], device=self.slot.device)
        return self.slot[:, None, :] == own[:, None]


class Merged(NamedTuple):
    """The fused tokens, and the merged token of each input token.

    `importance` is n_m × the mean attention that a token received: on average 1 over the valid
    tokens of a modality; all 1 where nothing was merged.
    """

    tokens: Float[Tensor, "B M D"]  # before the last projection, which acts on their means
    size_rgb: Float[Tensor, "B M"]  # number of tokens of the modality in each; 0 in padding
    size_pose: Float[Tensor, "B M"]
    slots: Slots  # of each of the R + P tokens; `slots.source` is the source matrix (B, M, N)
    importance: Float[Tensor, "B N"]


class Fusion(NamedTuple):
    """The output of a fusion for B clips.

    `f_rgb` and `f_pose` are meaningless, and not used, where the modality has no valid token.
    """

    f: Float[Tensor, "B D"] | None  # feature of the clip; None from late fusion
    f_rgb: Float[Tensor, "B D"]
    f_pose: Float[Tensor, "B D"]
    merged: Merged | None = None  # of CMTF
    attention: Attention | None = None  # of CMTF, if requested


class JointAttention(nn.Module):
    """``X + MHSA(LN X)`` over the valid tokens."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        start_attention(self)

    def forward(
        self, x: Float[Tensor, "B M D"], mask: Bool[Tensor, "B M"], return_weights: bool = False
    ) -> tuple[Float[Tensor, "B M D"], Float[Tensor, "B H M M"] | None]:
        qkv = self.to_qkv(self.norm(x))
        q, k, v = rearrange(qkv, "b m (three h d) -> three b h m d", three=3, h=self.heads)
        # A clip without any token attends to its padding; the result is not used.
        keys = (mask | ~mask.any(dim=1, keepdim=True))[:, None, None, :]
        if not return_weights:
            attended, weights = F.scaled_dot_product_attention(q, k, v, attn_mask=keys), None
        else:
            logits = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~keys, -torch.inf)
            weights = logits.softmax(dim=-1, dtype=torch.float32)
            attended = weights.to(v.dtype) @ v
        return x + self.out(rearrange(attended, "b h m d -> b m (h d)")), weights


class CMTF(nn.Module):
    """(a) attention in both directions, (b) merging across modalities, (c) joint attention.

        (a)  R~ = R + Attn(LN R <- LN P)          P~ = P + Attn(LN P <- LN R)
        (b)  imp_j = n_m · mean over heads and queries of the attention that j receives
             u = (1/imp) / max (1/imp)            S_ij = (cos(R~_i, P~_j) + 1)/2 · (u_i u_j)^(1/20)
             r = ⌊merge · min(n_rgb, n_pose)⌋ merges where S is largest, ⌊r/2⌋ of them RGB -> pose
             x = Σ imp x / Σ imp                  size = number of sources = s_rgb + s_pose
        (c)  Y = Linear(LN(X + MHSA(LN X)))       f = Σ size Y / Σ size,  f_m = Σ s_m Y / Σ s_m

    The selection has no gradient, the merging has. The Linear is applied to the means, which is
    equivalent and cheaper. A clip without a valid token of one modality skips (a) and (b); the
    other modality's tokens go through (c). `merge=0` is the variant `cross_attention`.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        criteria: tuple[Criterion, ...] = CRITERIA,
        merge: int | float = 0.25,
    ):
        super().__init__()
        self.merge = merge
        self.spatial = "spatial" in criteria
        self.rgb_norm, self.pose_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.rgb_from_pose = CrossAttention(dim, heads, criteria)
        self.pose_from_rgb = CrossAttention(dim, heads, criteria)
        self.joint = JointAttention(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, dim)

    def forward(self, rgb: Tokens, pose: Tokens, return_attention: bool = False) -> Fusion:
        both = rgb.present & pose.present
        x, importance, directions = self.exchange(rgb, pose, both, return_attention)
        slots = self.match(x, importance, rgb.mask, pose.mask)
        x = merge_weighted(x, importance, slots)
        x, joint = self.joint(x, slots.mask, return_attention)
        tokens = self.norm(x)
        size_rgb, size_pose = count_by_slot(slots, rgb.mask.shape[1])
        f, f_rgb, f_pose = self.pool(tokens, size_rgb + size_pose, size_rgb, size_pose)
        attention = None
        if directions is not None and joint is not None:
            attention = Attention(*directions, self.rgb_from_pose.criteria, joint)
        merged = Merged(tokens, size_rgb, size_pose, slots, importance)
        return Fusion(f, f_rgb, f_pose, merged, attention)

    def exchange(
        self, rgb: Tokens, pose: Tokens, both: Bool[Tensor, " B"], return_weights: bool
    ) -> tuple[Float[Tensor, "B N D"], Float[Tensor, "B N"], tuple[Tensor, Tensor] | None]:
        """(a): R~ and P~ in one sequence, their importance, and the weights of both directions."""
        gaps = gaps_between(rgb, pose) if self.spatial else None
        r, p = self.rgb_norm(rgb.values), self.pose_norm(pose.values)
        # Clips that lack a modality have finite values here, which are not used.
        requested = {"return_received": self.merge > 0, "return_weights": return_weights}
        to_rgb = self.rgb_from_pose(r, p, rgb.mask, pose.mask, gaps, **requested)
        back = None if gaps is None else gaps.mT
        to_pose = self.pose_from_rgb(p, r, pose.mask, rgb.mask, back, **requested)
        share = both[:, None, None].to(r.dtype)
        r = torch.addcmul(rgb.values, to_rgb.values, share)
        p = torch.addcmul(pose.values, to_pose.values, share)
        mask = torch.cat([rgb.mask, pose.mask], dim=1) & both[:, None]
        importance = torch.ones_like(mask, dtype=torch.float32)
        if to_rgb.received is not None and to_pose.received is not None:
            n_rgb, n_pose = (m.sum(dim=1, keepdim=True) for m in (rgb.mask, pose.mask))
            received = torch.cat([n_rgb * to_pose.received, n_pose * to_rgb.received], dim=1)
            importance = torch.where(mask, received.clamp(min=1e-6), 1.0)
        weights = None
        if to_rgb.weights is not None and to_pose.weights is not None:
            weights = to_rgb.weights, to_pose.weights
        return torch.cat([r, p], dim=1), importance, weights

    @torch.no_grad()
    def match(
        self,
        x: Float[Tensor, "B N D"],
        importance: Float[Tensor, "B N"],
        rgb_mask: Bool[Tensor, "B R"],
        pose_mask: Bool[Tensor, "B P"],
    ) -> Slots:
        """(b): the slot of each token."""
        split, mask = rgb_mask.shape[1], torch.cat([rgb_mask, pose_mask], dim=1)
        u_rgb = readiness(importance[:, :split], rgb_mask) ** (1 / TAU)
        u_pose = readiness(importance[:, split:], pose_mask) ** (1 / TAU)
        scores = similarity(x[:, :split], x[:, split:])
        scores.mul_(u_rgb[:, :, None]).mul_(u_pose[:, None, :])
        scores.masked_fill_(~(rgb_mask[:, :, None] & pose_mask[:, None, :]), -torch.inf)
        count = self.merges(torch.minimum(rgb_mask.sum(dim=1), pose_mask.sum(dim=1)))
        destination = match_both_ways(scores, count // 2, count - count // 2)
        # A clip without padding has the most tokens left.
        most = mask.shape[1] - self.merges(torch.tensor(min(split, pose_mask.shape[1])))
        return assign_slots(destination, mask, int(most))

    def merges(self, shorter: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
        """``r = ⌊merge · min(n_rgb, n_pose)⌋``, robust to 0.29 · 100 = 28.999…"""
        return (self.merge * shorter.double() + 1e-9).floor().long()

    def pool(
        self, tokens: Float[Tensor, "B M D"], *sizes: Float[Tensor, "B M"]
    ) -> list[Float[Tensor, "B D"]]:
        """(c): the mean of Y with each of the weights."""
        weight = torch.stack(sizes, dim=1)
        weight = weight / weight.sum(dim=2, keepdim=True).clamp(min=1)
        return list(self.project(weight.to(tokens.dtype) @ tokens).unbind(dim=1))


def similarity(a: Float[Tensor, "B I D"], b: Float[Tensor, "B J D"]) -> Scores:
    """``(cos(a_i, b_j) + 1) / 2``, in float32 under autocast too: bfloat16 has so few values near
    1 that most best matches would tie, and the first tokens would merge."""
    a, b = F.normalize(a.float(), dim=-1), F.normalize(b.float(), dim=-1)
    with torch.autocast(a.device.type, enabled=False):
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
    their best match among the remaining tokens of the first. Scores are not recomputed; those of
    pairs that must not merge are -inf.
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
    return Slots(slot, torch.arange(length, device=mask.device) < stays.sum(dim=1, keepdim=True))


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
