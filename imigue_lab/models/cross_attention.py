"""Cross-modal attention by three criteria: semantic, spatial, contextual (paper section 2.4).

Letters in shapes: B clips, I queries of one modality, J keys of the other, H heads of d channels
each, D = H d the width, G heads with the same criterion.
"""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from imigue_lab.errors import DataError
from imigue_lab.models import CRITERIA, Criterion
from imigue_lab.models.tokens import Tokens
from imigue_lab.models.transformer import start_linear

Gaps = Float[Tensor, "B 3 I J"]
FAR = 1e4  # above any logit, and within the range of float16


def gaps_between(x: Tokens, y: Tokens) -> Gaps:
    """Distances of the tokens of two modalities: ``|t_i - t_j|``; ``‖x_i - x_j‖``, 0 where a place
    is unknown; and 0 for valid pairs, FAR or more if one of the tokens is invalid. Raises DataError
    for tokens without places."""
    if x.places is None or y.places is None:
        raise DataError(
            "tokens without places, which the spatial heads need: give places (B, N, 2), 0 to 1"
            " over the crop, or leave spatial out of criteria"
        )
    clips, rows = x.times.shape
    # Many pairs with few numbers each: written in place, limited by memory bandwidth only.
    gaps = torch.empty(clips, 3, rows, y.times.shape[1], device=x.times.device)
    in_time, in_place, apart = gaps.unbind(dim=1)
    torch.sub(x.times[:, :, None], y.times[:, None, :], out=in_time).abs_()
    for axis, across in enumerate((in_place, apart)):
        torch.sub(x.places[:, :, None, axis], y.places[:, None, :, axis], out=across)
    in_place.hypot_(apart)
    in_place *= placed(x)[:, :, None] & placed(y)[:, None, :]
    torch.add((~x.mask * FAR)[:, :, None], (~y.mask * FAR)[:, None, :], out=apart)
    return gaps


def placed(tokens: Tokens) -> Bool[Tensor, "B N"]:
    return torch.ones_like(tokens.mask) if tokens.placed is None else tokens.placed


ORDER = ("uniform", "semantic", "spatial", "contextual")  # of the heads
IN_CACHE = 2**20  # attention weights that are computed at once on a CPU
SLOPES = (4.0, 16.0)  # of the first and last spatial head; near 0 correspondence is not learned
Queries = Float[Tensor, "B I D"]
Keys = Float[Tensor, "B J D"]
QueryMask = Bool[Tensor, "B I"]
KeyMask = Bool[Tensor, "B J"]


class Attended(NamedTuple):
    """The result of one direction of attention; what was not requested is None.

    `received` is the mean over heads and valid queries of a key's attention weight; it sums to 1
    over the keys.
    """

    values: Float[Tensor, "B I D"]
    received: Float[Tensor, "B J"] | None
    weights: Float[Tensor, "B H I J"] | None  # heads as in `CrossAttention.criteria`


def heads_by_criterion(heads: int) -> dict[Criterion, int]:
    """Of H heads ⌈H/3⌉ are semantic, ⌈(H-1)/3⌉ spatial, the rest contextual."""
    semantic, spatial = math.ceil(heads / 3), math.ceil((heads - 1) / 3)
    return {"semantic": semantic, "spatial": spatial, "contextual": heads - semantic - spatial}


class CrossAttention(nn.Module):
    """One direction: I queries x, J keys y, both normalised. Logits of a head:

        semantic     q_i · k_j / √d
        spatial      q_i · k_j / √d - softplus(λ_t) |t_i - t_j| - softplus(λ_s) ‖x_i - x_j‖
        contextual   (W_q mean_i x_i) · k_j / √d, the same for every query

    softplus(λ) starts geometrically from 4 to 16 over the spatial heads. Heads of a disabled
    criterion remain: spatial and contextual ones compute the semantic logit, semantic ones attend
    uniformly. `criteria` are those of each of the H heads, or "uniform".
    """

    def __init__(self, dim: int, heads: int, criteria: tuple[Criterion, ...] = CRITERIA):
        super().__init__()
        roles = [
            name if name in criteria else "uniform" if name == "semantic" else "semantic"
            for name, count in heads_by_criterion(heads).items()
            for _ in range(count)
        ]
        self.criteria = tuple(sorted(roles, key=ORDER.index))
        shared = roles.count("contextual")
        own = dim // heads * (heads - shared)
        self.own_heads = heads - shared
        self.to_q, self.to_kv = nn.Linear(dim, own), nn.Linear(dim, 2 * own)
        self.out = nn.Linear(own, dim)
        self.context = ContextHeads(dim, shared, dim // heads) if shared else None
        self.slopes = None
        if "spatial" in criteria:
            first, last = (math.log(slope) for slope in SLOPES)
            slopes = torch.linspace(first, last, roles.count("spatial")).exp()
            self.slopes = nn.Parameter(repeat(slopes.expm1().log(), "g -> g two", two=2).clone())
        start_attention(self)

    def forward(
        self,
        x: Queries,
        y: Keys,
        x_mask: QueryMask,
        y_mask: KeyMask,
        gaps: Gaps | None,
        return_received: bool = False,
        return_weights: bool = False,
    ) -> Attended:
        """Without `gaps` spatial heads are semantic."""
        share = x_mask / x_mask.sum(dim=1, keepdim=True).clamp(min=1)
        q, k, v = (
            rearrange(part, "b n (h d) -> b h n d", h=self.own_heads)
            for part in (self.to_q(x), *self.to_kv(y).chunk(2, dim=-1))
        )
        if uniform := self.criteria.count("uniform"):
            q = torch.cat([torch.zeros_like(q[:, :uniform]), q[:, uniform:]], dim=1)
        if gaps is None or self.slopes is None:
            gaps = rearrange(~y_mask * FAR, "b j -> b 1 1 j")
        received, weights = None, None
        if return_received or return_weights:
            clips = len(q)
            if q.device.type == "cpu":  # few enough that their attention weights fit its cache
                clips = max(1, IN_CACHE // (self.own_heads * q.shape[2] * k.shape[2]))
            pieces = zip(*(part.split(clips) for part in (q, k, v, gaps, share)), strict=True)
            parts = [self.attend(*piece, keep=return_weights) for piece in pieces]
            values, received, weights = (joined(part) for part in zip(*parts, strict=True))
        else:
            values = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias(gaps, q.dtype))
            values = rearrange(values, "b h i d -> b i (h d)")
        values = self.out(values)
        if self.context is not None:
            context, weight = self.context((share[:, None].to(x.dtype) @ x)[:, 0], y, y_mask)
            values += context[:, None]
            if received is not None:
                received = received + weight.sum(dim=1)
            if weights is not None:
                each = repeat(weight, "b h j -> b h i j", i=x.shape[1])
                weights = torch.cat([weights, each], dim=1)
        if received is not None:
            received = received / len(self.criteria)
        return Attended(values, received if return_received else None, weights)

    def attend(
        self,
        q: Float[Tensor, "B h I d"],
        k: Float[Tensor, "B h J d"],
        v: Float[Tensor, "B h J d"],
        gaps: Float[Tensor, "B gap #I J"],
        share: Float[Tensor, "B I"],
        *,
        keep: bool,
    ) -> tuple[Float[Tensor, "B I hd"], Float[Tensor, "B J"], Float[Tensor, "B h I J"] | None]:
        """The output of the h heads that compare each query with each key, the attention that each
        key receives over these heads, and the weights if kept; the softmax sums in float32. `share`
        is the weight of each query in its clip's received attention; 0 for an invalid one."""
        heads = q.shape[1]
        bias = self.bias(gaps, q.dtype).expand(-1, heads, q.shape[2], -1).flatten(end_dim=1)
        q, k, v = (part.flatten(end_dim=1) for part in (q, k, v))
        # One pass over the logits instead of three: the product also scales, adds and masks.
        logits = torch.baddbmm(bias, q, k.mT, alpha=q.shape[-1] ** -0.5)
        weights = logits.softmax(dim=-1, dtype=torch.float32)
        values = rearrange(weights.to(v.dtype) @ v, "(b h) i d -> b i (h d)", h=heads)
        rows = weights.unflatten(0, (-1, heads))
        with torch.autocast(q.device.type, enabled=False):
            received = repeat(share, "b i -> b 1 (h i)", h=heads) @ rows.flatten(1, 2)
        return values, received[:, 0], rows if keep else None

    def bias(
        self, gaps: Float[Tensor, "B gap #I J"], dtype: torch.dtype
    ) -> Float[Tensor, "B #h #I J"]:
        """Added to the logits: minus the gaps times each head's slopes. The last gap, of invalid
        pairs, is the same for all heads; without slopes it is the only one."""
        if self.slopes is None or gaps.shape[1] == 1:
            return -gaps.to(dtype)
        learned = F.softplus(self.slopes.float())
        every = F.pad(learned, (0, 0, self.own_heads - len(learned), 0))
        steep = F.pad(-every, (0, 1), value=-1).expand(len(gaps), -1, -1)
        return (steep @ gaps.flatten(start_dim=2)).unflatten(2, gaps.shape[2:]).to(dtype)


class ContextHeads(nn.Module):
    """Heads with one query per clip, the mean of the queries: ``(W_q x̄) · (W_k y_j) / √d``.

    The weights are applied to the query instead of the J keys: ``(W_kᵀ W_q x̄) · y_j``, and
    ``W_v (Σ_j a_j y_j)`` after the sum: the same result at 1/H of the cost. A bias of the keys
    would shift all logits equally, so there is none.
    """

    def __init__(self, dim: int, heads: int, head_dim: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, heads * head_dim)
        self.to_k = nn.Linear(dim, heads * head_dim, bias=False)
        self.to_v = nn.Linear(dim, heads * head_dim)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)
        start_attention(self)

    def forward(
        self, mean: Float[Tensor, "B D"], y: Keys, y_mask: KeyMask
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B G J"]]:
        """The output for every query, and the weights."""
        q = rearrange(self.to_q(mean), "b (h d) -> b h d", h=self.heads)
        to_k, to_v = (
            rearrange(to.weight, "(h d) w -> h d w", h=self.heads) for to in (self.to_k, self.to_v)
        )
        probe = torch.einsum("bhd,hdw->bhw", q, to_k) / math.sqrt(q.shape[-1])
        logits = (probe @ y.mT).masked_fill(~y_mask[:, None], -FAR)
        weights = logits.softmax(dim=-1, dtype=torch.float32)
        values = torch.einsum("bhw,hdw->bhd", weights.to(y.dtype) @ y, to_v)
        return self.out(rearrange(values, "b h d -> b (h d)") + self.to_v.bias), weights


def start_attention(module: nn.Module) -> None:
    """Xavier weights and zero biases for a module's own linear layers, as `nn.MultiheadAttention`.

    With `nn.Linear`'s smaller start, correspondence takes about 1.5 times the steps to learn.
    """
    for layer in module.children():
        start_linear(layer)


def joined(parts: tuple[Any, ...]) -> Any:
    """Concatenated over clips; a single part as it is, None if the parts are None."""
    return torch.cat(parts) if len(parts) > 1 and parts[0] is not None else parts[0]
