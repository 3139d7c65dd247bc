"""Cross-modal attention by three criteria: what, where and when, and the whole (paper section 2.4).

Letters in shapes: B clips, I queries of one modality, J keys of the other, H heads of d channels
each, D = H d the width, G heads that share a criterion.
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from imigue_lab.models.gaps import Gaps
from imigue_lab.models.tokens import masked_mean

Criterion = Literal["semantic", "spatial", "contextual"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
ORDER = ("uniform", "semantic", "spatial", "contextual")  # of the heads
IN_CACHE = 2**20  # weights that are computed together on a CPU
SLOPES = (4.0, 16.0)  # of the first and last spatial head; near 0, correspondence is never learned
Queries = Float[Tensor, "B I D"]
Keys = Float[Tensor, "B J D"]
QueryMask = Bool[Tensor, "B I"]
KeyMask = Bool[Tensor, "B J"]


class Attended(NamedTuple):
    """What the queries of one modality took from the other.

    Attributes:
        values: (B, I, D).
        received: mean over heads and valid queries of the attention that a key gets, (B, J); it
            sums to 1 over the keys. None unless asked for.
        weights: (B, H, I, J), heads in the order of `CrossAttention.criteria`; None unless asked.
    """

    values: Float[Tensor, "B I D"]
    received: Float[Tensor, "B J"] | None
    weights: Float[Tensor, "B H I J"] | None


def heads_by_criterion(heads: int) -> dict[Criterion, int]:
    """Of H heads ⌈H/3⌉ are semantic, ⌈(H-1)/3⌉ spatial, the rest contextual."""
    semantic, spatial = math.ceil(heads / 3), math.ceil((heads - 1) / 3)
    return {"semantic": semantic, "spatial": spatial, "contextual": heads - semantic - spatial}


class CrossAttention(nn.Module):
    """One direction: I queries x, J keys y, both normalised. Logits of a head:

        semantic     q_i · k_j / √d
        spatial      q_i · k_j / √d - softplus(λ_t) |t_i - t_j| - softplus(λ_s) ‖x_i - x_j‖
        contextual   (W_q mean_i x_i) · k_j / √d, the same for every query

    softplus(λ) starts geometrically from 4 to 16 over the spatial heads. A criterion that is off
    keeps its heads: spatial and contextual ones compute the semantic logit, semantic ones attend
    uniformly.

    Attributes:
        criteria: what each of the H heads does: a criterion, or "uniform".
    """

    def __init__(self, dim: int, heads: int, criteria: tuple[Criterion, ...] = CRITERIA):
        super().__init__()
        does = [
            name if name in criteria else "uniform" if name == "semantic" else "semantic"
            for name, count in heads_by_criterion(heads).items()
            for _ in range(count)
        ]
        self.criteria = tuple(sorted(does, key=ORDER.index))
        self.spans = {
            name: slice(self.criteria.index(name), self.criteria.index(name) + does.count(name))
            for name in ORDER
            if name in does and name != "contextual"
        }
        shared = does.count("contextual")
        own = dim // heads * (heads - shared)
        self.own_heads = heads - shared
        self.to_q, self.to_kv = nn.Linear(dim, own), nn.Linear(dim, 2 * own)
        self.out = nn.Linear(own, dim)
        self.context = ContextHeads(dim, shared, dim // heads) if shared else None
        if "spatial" in criteria:
            slopes = geometric(*SLOPES, does.count("spatial"))
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
        """Every clip needs a valid key; without `gaps` spatial heads are semantic."""
        share = x_mask / x_mask.sum(dim=1, keepdim=True).clamp(min=1)
        explicitly = return_received or return_weights
        # Heads first: the heads of a criterion are then a slice without a copy.
        q = rearrange(self.to_q(x), "b i (h d) -> h b i d", h=self.own_heads).contiguous()
        k, v = rearrange(
            self.to_kv(y), "b j (two h d) -> two h b j d", two=2, h=self.own_heads
        ).contiguous()
        taken, received, weights = [], [], []
        for name, span in self.spans.items():
            own_q = torch.zeros_like(q[span]) if name == "uniform" else q[span]
            bias = self.bias(gaps if name == "spatial" else None, y_mask, q.dtype)
            if explicitly:
                out, got, weight = attend(own_q, k[span], v[span], bias, share, return_weights)
                received.append(got)
                weights += [] if weight is None else [weight]
            else:
                out = F.scaled_dot_product_attention(own_q, k[span], v[span], attn_mask=bias)
            taken.append(rearrange(out, "h b i d -> b i h d"))
        values = self.out(torch.cat(taken, dim=2).flatten(start_dim=2))
        if self.context is not None:
            context, weight = self.context(masked_mean(x, x_mask), y, y_mask)
            values = values + context[:, None]
            received.append(weight.sum(dim=1))
            weights.append(rearrange(weight, "b h j -> h b 1 j"))
        mean = torch.stack(received).sum(dim=0) / len(self.criteria) if return_received else None
        if not return_weights:
            return Attended(values, mean, None)
        wide = torch.cat([w.expand(-1, -1, x.shape[1], -1) for w in weights])
        return Attended(values, mean, rearrange(wide, "h b i j -> b h i j"))

    def bias(
        self, gaps: Gaps | None, y_mask: KeyMask, dtype: torch.dtype
    ) -> Float[Tensor, "#G B #I J"]:
        """Added to the logits: minus the sloped gaps, and -inf for keys that do not count."""
        if gaps is None:
            return rearrange(key_bias(y_mask, dtype), "b j -> 1 b 1 j")
        slopes = -F.softplus(self.slopes.float())
        sloped = (slopes @ gaps.flatten(start_dim=1)).view(-1, *gaps.shape[1:])
        return sloped.masked_fill_(~y_mask[:, None], -torch.inf).to(dtype)


class ContextHeads(nn.Module):
    """Heads with one query a clip, the mean of the queries: ``(W_q x̄) · (W_k y_j) / √d``.

    With one query the weights meet it instead of the J keys: ``(W_kᵀ W_q x̄) · y_j``, and
    ``W_v (Σ_j a_j y_j)`` after the sum. The same numbers at an H-th of the cost. A bias of the keys
    would move all logits alike, so there is none.
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
        """What every query takes, and the weights."""
        q = rearrange(self.to_q(mean), "b (h d) -> b h d", h=self.heads)
        to_k, to_v = (
            rearrange(to.weight, "(h d) w -> h d w", h=self.heads) for to in (self.to_k, self.to_v)
        )
        probe = torch.einsum("bhd,hdw->bhw", q, to_k) / math.sqrt(q.shape[-1])
        logits = probe @ y.mT + key_bias(y_mask, probe.dtype)[:, None]
        weights = logits.softmax(dim=-1, dtype=torch.float32)
        values = torch.einsum("bhw,hdw->bhd", weights.to(y.dtype) @ y, to_v)
        return self.out(rearrange(values, "b h d -> b (h d)") + self.to_v.bias), weights


def start_attention(module: nn.Module) -> None:
    """Xavier weights and no bias for a module's own linear layers, as `nn.MultiheadAttention` has.

    `nn.Linear`'s smaller start learns correspondence too, in about 1.5 times the steps.
    """
    for layer in module.children():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def key_bias(mask: KeyMask, dtype: torch.dtype) -> Float[Tensor, "B J"]:
    """0 for keys that count, -inf for those that do not."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, -torch.inf)


def attend(
    q: Float[Tensor, "G B I d"],
    k: Float[Tensor, "G B J d"],
    v: Float[Tensor, "G B J d"],
    bias: Float[Tensor, "#G B #I J"],
    share: Float[Tensor, "B I"],
    keep: bool,
) -> tuple[Float[Tensor, "G B I d"], Float[Tensor, "B J"], Float[Tensor, "G B I J"] | None]:
    """What queries take, what each key receives over all heads, and the weights if they are kept.

    On a CPU few enough clips at a time that their weights stay in its cache.

    Args:
        share: of each query in what its clip's keys receive; 0 for one that does not count.
    """
    heads, clips, rows, columns = *q.shape[:3], k.shape[2]
    some = max(1, IN_CACHE // (heads * rows * columns)) if q.device.type == "cpu" else clips
    pieces = (q.split(some, 1), k.split(some, 1), v.split(some, 1), bias.split(some, 1))
    parts = [attend_some(*piece) for piece in zip(*pieces, share.split(some), strict=True)]
    taken, received, weights = zip(*parts, strict=True)
    kept = torch.cat(weights, dim=1) if keep else None
    return torch.cat(taken, dim=1), torch.cat(received), kept


def attend_some(
    q: Float[Tensor, "G B I d"],
    k: Float[Tensor, "G B J d"],
    v: Float[Tensor, "G B J d"],
    bias: Float[Tensor, "#G B #I J"],
    share: Float[Tensor, "B I"],
) -> tuple[Float[Tensor, "G B I d"], Float[Tensor, "B J"], Float[Tensor, "G B I J"]]:
    """The same for all clips at once; the softmax sums in float32."""
    bias = bias.expand(len(q), -1, -1, -1).flatten(end_dim=1)
    # One pass over the logits instead of three: scaled, summed and masked by the product itself.
    logits = torch.baddbmm(bias, q.flatten(0, 1), k.flatten(0, 1).mT, alpha=q.shape[-1] ** -0.5)
    weights = logits.softmax(dim=-1, dtype=torch.float32).unflatten(0, q.shape[:2])
    return weights.to(v.dtype) @ v, (share[:, None] @ weights).sum(dim=(0, 2)), weights


def geometric(first: float, last: float, steps: int) -> Float[Tensor, " steps"]:
    return torch.linspace(math.log(first), math.log(last), steps).exp()
