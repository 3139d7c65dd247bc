"""Memory-Powered Refinement: a clip attends to similar exemplars before its prediction (section
2.5 of the paper).

Letters in shapes: B clips, C classes, K entries retrieved, D width, H heads.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from imigue_lab.errors import SettingsError
from imigue_lab.models import Reads
from imigue_lab.models.bank import Bank, Retrieved
from imigue_lab.models.cross_attention import start_attention

TEMPERATURE = 0.1


class Prototypes(nn.Module):
    """One learned vector per class; returns ``cos(f, prototype_c)``, in float32."""

    def __init__(self, classes: int, dim: int):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(classes, dim) / math.sqrt(dim))

    def forward(self, f: Float[Tensor, "B D"]) -> Float[Tensor, "B C"]:
        with torch.autocast(f.device.type, enabled=False):
            return F.normalize(f.float(), dim=-1) @ F.normalize(self.vectors.float(), dim=-1).T


def angular_cross_entropy(
    cosine: Float[Tensor, "B C"], label: Int[Tensor, " B"], margin: int | float = 0.0
) -> Float[Tensor, " B"]:
    """``-log softmax(cos / 0.1)_y`` of each clip, with `margin` radians added to the true angle.

    A class with cosine -inf has no logit; the loss of a clip is 0 if its own class has none.
    """
    own = cosine.gather(1, label[:, None])
    known = own[:, 0] > -torch.inf
    if margin:
        angle = torch.acos(own.masked_fill(~known[:, None], 0).clamp(-1 + 1e-6, 1 - 1e-6))
        cosine = cosine.scatter(1, label[:, None], torch.cos((angle + margin).clamp(max=math.pi)))
    # Rows without a target would be inf - inf; they are computed on zeros and then masked.
    logits = cosine.masked_fill(~known[:, None], 0) / TEMPERATURE
    return F.cross_entropy(logits, label, reduction="none") * known


def alpha_at(epoch: int, alpha: int | float, warmup: int, ramp: int) -> float:
    """``α(e) = α · clip((e - warmup + 1) / ramp, 0, 1)``, epochs from 0; a ramp of 0 is a step."""
    steps = epoch - warmup + 1
    if ramp == 0:
        return alpha if steps > 0 else 0.0
    return alpha * min(max(steps / ramp, 0.0), 1.0)


class Recalled(NamedTuple):
    """The memory's output for each clip.

    `weights`, (B, H, 1 + K), are the attention of the clip to itself, then to each entry; there are
    no heads if `all` is read.
    """

    context: Float[Tensor, "B D"]  # A; 0 in warm-up, without entries, and if `all` is read
    evidence: Float[Tensor, "B C"]  # logits to add; 0 in warm-up and if `predicted` is read
    retrieved: Retrieved  # nearest entries of the predicted class, from which A is computed
    weights: Float[Tensor, "B H _"]
    prototypes: Float[Tensor, "B C"]  # cosine of f to each learned prototype
    class_cosine: Float[Tensor, "B C"]  # of f to each class's mean entry; -inf without entries


class Memory(nn.Module):
    """Refines a prediction by the `top_k` entries nearest to f.

        predicted    A = first row of MHSA([f; entries]), those of the predicted class;
                     the model then predicts from f' = LN(f + A)
        all          y_c + s e_c / 0.1, e_c = mean cosine of f to the nearest entries of class c;
                     a class without entries has the lowest e of the others

    The output layer of MHSA and s start at 0, so that a prediction does not change when reading
    starts, at epoch `warmup`. The epoch is in the state dict: a loaded model reads or not as
    before. Prototypes and class means are for the loss. Nothing is written in a forward pass.
    """

    epoch: Tensor

    def __init__(
        self,
        bank: Bank,
        prototypes: Prototypes,
        heads: int,
        top_k: int = 5,
        warmup: int = 5,
        reads: Reads = "predicted",
    ):
        super().__init__()
        dim = bank.entries.shape[2]
        self.bank, self.prototypes = bank, prototypes
        self.heads, self.top_k, self.warmup, self.reads = heads, top_k, warmup, reads
        if reads == "predicted":
            self.to_q, self.to_kv = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
            self.out = nn.Linear(dim, dim)
            start_attention(self)
            nn.init.zeros_(self.out.weight)
        else:
            self.scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("epoch", torch.tensor(0))

    def forward(
        self,
        f: Float[Tensor, "B D"],
        logits: Float[Tensor, "B C"],
        clip_ids: Sequence[str] | None = None,
    ) -> Recalled:
        """Retrieves from the class with the highest logit, or also compares with every class;
        without the clips' own entries, given ids."""
        found = self.bank.read(f, logits.argmax(dim=1), self.top_k, clip_ids)
        reading = self.epoch >= self.warmup
        if self.reads == "all":
            context, weights = torch.zeros_like(f), f.new_zeros(len(f), 0, 1 + self.top_k)
            evidence = (self.evidence(f, clip_ids) * reading).to(logits.dtype)
        else:
            context, weights = self.attend(f, found.entries.to(f.dtype), found.valid)
            context = context * (found.valid.any(dim=1) & reading)[:, None]
            evidence = torch.zeros_like(logits)
        cosines = self.prototypes(f), self.class_cosine(f, clip_ids)
        return Recalled(context, evidence, found, weights, *cosines)

    def evidence(
        self, f: Float[Tensor, "B D"], clip_ids: Sequence[str] | None = None
    ) -> Float[Tensor, "B C"]:
        """``s e_c / 0.1``; 0 without any entry."""
        similarity = self.bank.class_similarity(f, self.top_k, clip_ids)
        known = similarity > -torch.inf
        lowest = similarity.masked_fill(~known, torch.inf).amin(dim=1, keepdim=True)
        similarity = torch.where(known, similarity, lowest)
        return self.scale * similarity.masked_fill(similarity == torch.inf, 0) / TEMPERATURE

    def attend(
        self, f: Float[Tensor, "B D"], entries: Float[Tensor, "B K D"], valid: Bool[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B H _"]]:
        """f's row of the self-attention over [f; entries]; the softmax sums in float32."""
        tokens = torch.cat([f[:, None], entries], dim=1)
        mask = F.pad(valid, (1, 0), value=True)
        q = rearrange(self.to_q(f), "b (h d) -> b h 1 d", h=self.heads)
        k, v = rearrange(self.to_kv(tokens), "b k (two h d) -> two b h k d", two=2, h=self.heads)
        logits = q @ k.mT / math.sqrt(q.shape[-1])
        logits = logits.masked_fill(~mask[:, None, None], -torch.inf)
        weights = logits.softmax(dim=-1, dtype=torch.float32)
        return self.out(rearrange(weights.to(v.dtype) @ v, "b h 1 d -> b (h d)")), weights[:, :, 0]

    def class_cosine(
        self, f: Float[Tensor, "B D"], clip_ids: Sequence[str] | None = None
    ) -> Float[Tensor, "B C"]:
        """``cos(f, mean entry of c)``, in float32; -inf for a class without entries."""
        with torch.autocast(f.device.type, enabled=False):
            means, known = self.bank.class_means(len(f), clip_ids)
        cosine = F.cosine_similarity(f.float()[:, None], means.float(), dim=-1)
        return cosine.masked_fill(~known, -torch.inf)


def build_memory(
    classes: int,
    dim: int,
    heads: int,
    bank: int = 50,
    top_k: int = 5,
    momentum: int | float = 0.9,
    warmup: int = 5,
    reads: Reads = "predicted",
) -> Memory:
    """A bank of `bank` entries per class, `top_k` of them read, and a prototype per class.

    Raises SettingsError if `top_k` exceeds `bank`.
    """
    if reads not in get_args(Reads):
        raise SettingsError(f"reads must be one of {', '.join(get_args(Reads))}; got {reads!r}")
    if not 1 <= top_k <= bank:
        raise SettingsError(f"top_k must be from 1 to the bank's {bank} entries; got {top_k}")
    entries = Bank(classes, bank, dim, momentum)
    return Memory(entries, Prototypes(classes, dim), heads, top_k, warmup, reads)
