"""The memory bank: a few exemplars of each class, written selectively (paper section 2.5).

Letters in shapes: B clips, C classes, S entries a class, D width, K entries retrieved.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from imigue_lab.errors import DataError, RunError

EMPTY = -1  # source of a slot without an entry
CONFIDENT = 0.5  # probability of its class above which a clip is stored
NEAR = 0.9  # cosine above which two exemplars are merged
Rule = Literal["own", "free", "near", "weakest", "kept out"]


class Retrieved(NamedTuple):
    """The entries nearest to each clip, within one class of the bank."""

    label: Int[Tensor, " B"]  # the class that was searched
    slot: Int[Tensor, "B K"]  # indices of its entries, nearest first
    cosine: Float[Tensor, "B K"]  # of clip and entry; -inf where `valid` is False
    valid: Bool[Tensor, "B K"]  # False where the class has fewer entries
    entries: Float[Tensor, "B K D"]  # no gradient


def clip_code(clip_id: str) -> int:
    """63 bits of a hash of a clip's id, as a state dict has no text."""
    return int.from_bytes(blake2b(clip_id.encode(), digest_size=8).digest()) >> 1


class Bank(nn.Module):
    """C x S entries with confidence, age and source clip; all of it in the state dict.

    Nothing is written in a forward pass, see `write`.
    """

    entries: Tensor  # (C, S, D)
    confidence: Tensor  # p of the entry's class when written, averaged like the entry, (C, S)
    age: Tensor  # calls of `write` since the entry last changed, (C, S)
    source: Tensor  # `clip_code` of the clip that each entry came from, (C, S); -1 in a free slot

    def __init__(self, classes: int, size: int, dim: int, momentum: int | float = 0.9):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("entries", torch.zeros(classes, size, dim))
        self.register_buffer("confidence", torch.zeros(classes, size))
        self.register_buffer("age", torch.zeros(classes, size, dtype=torch.long))
        self.register_buffer("source", torch.full((classes, size), EMPTY))
        self.register_load_state_dict_pre_hook(refuse_another_size)

    @property
    def filled(self) -> Bool[Tensor, "C S"]:
        return self.source != EMPTY

    def source_ids(self, clip_ids: Iterable[str]) -> list[list[str]]:
        """The clip of each entry by class and slot, "" if free; `clip_ids` are of all clips that
        the bank may have been written from. Raises DataError if an entry's clip is not among them.
        """
        names = {clip_code(clip_id): clip_id for clip_id in clip_ids} | {EMPTY: ""}
        rows = self.source.tolist()
        if any(code not in names for row in rows for code in row):
            raise DataError(
                "the bank holds clips that are not among the given ids; give those it was trained"
                " on"
            )
        return [[names[code] for code in row] for row in rows]

    def readable(self, batch: int, clip_ids: Sequence[str] | None) -> Bool[Tensor, "B C S"]:
        """Entries for each clip; without those that came from the clip itself if ids are passed."""
        filled = self.filled.expand(batch, -1, -1)
        if clip_ids is None:
            return filled
        codes = torch.tensor([clip_code(i) for i in clip_ids], device=self.source.device)
        return filled & (self.source != codes[:, None, None])

    @torch.no_grad()
    def read(
        self,
        f: Float[Tensor, "B D"],
        label: Int[Tensor, " B"],
        top_k: int,
        clip_ids: Sequence[str] | None = None,
    ) -> Retrieved:
        """The `top_k` entries of class `label` nearest by cosine, without the clip's own if its id
        is passed."""
        candidates, rows = self.entries[label], torch.arange(len(label), device=label.device)
        readable = self.readable(len(label), clip_ids)[rows, label]
        cosine = F.cosine_similarity(f.float()[:, None], candidates.float(), dim=-1)
        best = cosine.masked_fill(~readable, -torch.inf).topk(top_k, dim=1)
        entries = candidates.take_along_dim(best.indices[..., None], dim=1)
        return Retrieved(label, best.indices, best.values, best.values > -torch.inf, entries)

    def class_similarity(
        self, f: Float[Tensor, "B D"], top_k: int, clip_ids: Sequence[str] | None = None
    ) -> Float[Tensor, "B C"]:
        """Mean cosine of f to the `top_k` nearest entries of each class, or to all it has; -inf for
        a class without entries. Without the clip's own entry if ids are passed. In float32, with a
        gradient for f."""
        readable = self.readable(len(f), clip_ids)
        with torch.autocast(f.device.type, enabled=False):
            entries = F.normalize(self.entries.float(), dim=-1)
            cosine = torch.einsum("bd,csd->bcs", F.normalize(f.float(), dim=-1), entries)
        best = cosine.masked_fill(~readable, -torch.inf).topk(top_k, dim=2).values
        valid = best > -torch.inf
        mean = best.masked_fill(~valid, 0).sum(dim=2) / valid.sum(dim=2).clamp(min=1)
        return mean.masked_fill(~valid.any(dim=2), -torch.inf)

    @torch.no_grad()
    def class_means(
        self, batch: int, clip_ids: Sequence[str] | None = None
    ) -> tuple[Float[Tensor, "B C D"], Bool[Tensor, "B C"]]:
        """The mean entry of each class for each of B clips, without the clip's own if ids are
        passed; and which classes have an entry. The mean of a class without one is 0."""
        readable = self.readable(batch, clip_ids)
        count = readable.sum(dim=2)
        total = torch.einsum("bcs,csd->bcd", readable.to(self.entries.dtype), self.entries)
        return total / count.clamp(min=1)[..., None], count > 0

    @torch.no_grad()
    def write(
        self,
        f: Float[Tensor, "B D"],
        logits: Float[Tensor, "B C"],
        label: Int[Tensor, " B"],
        clip_ids: Sequence[str],
    ) -> dict[str, Rule]:
        """Stores the clips that are predicted correctly with p > ½, in the order of their ids.

            own        the clip has an entry: m <- 0.9 m + 0.1 f
            free       else its class has a free slot: m <- f
            near       else the nearest entry of its class has cosine > 0.9:
                       m <- 0.9 m + 0.1 f, whose source stays its first clip
            weakest    else the least confident entry is replaced if p is larger: m <- f
            kept out   else nothing is written

        Confidence is p after "free" and "weakest", otherwise 0.9 c + 0.1 p. f and the logits C are
        unrefined, of all clips of the step (under DDP: of all ranks). Returns the rule that applied
        to each candidate, by clip id. Raises RunError for features of another width than the bank.
        """
        if f.shape[1] != self.entries.shape[2]:
            raise RunError(
                f"the bank's entries have width {self.entries.shape[2]}, these features"
                f" {f.shape[1]}; build bank and model with one width"
            )
        self.age += self.filled
        p, predicted = logits.float().softmax(dim=1).max(dim=1)
        stored = (predicted == label) & (p > CONFIDENT)
        # One copy of the small tables for the Python loop; vectors stay on their device.
        sources, labels, confidences = self.source.tolist(), label.tolist(), p.tolist()
        rules: dict[str, Rule] = {}
        for n in sorted(stored.nonzero()[:, 0].tolist(), key=lambda n: clip_ids[n]):
            row, code = sources[labels[n]], clip_code(clip_ids[n])
            rules[clip_ids[n]] = self._store(f[n], labels[n], confidences[n], code, row)
        return rules

    def _store(
        self, f: Float[Tensor, " D"], label: int, p: float, code: int, sources: list[int]
    ) -> Rule:
        """Writes one clip; `sources` is its class's row of codes, which is updated too."""
        rule: Rule
        if code in sources:
            rule, slot = "own", sources.index(code)
        elif EMPTY in sources:
            rule, slot = "free", sources.index(EMPTY)
        else:
            cosine = F.cosine_similarity(f.float(), self.entries[label].float(), dim=-1)
            slot = int(cosine.argmax())
            rule = "near" if float(cosine[slot]) > NEAR else "weakest"
            if rule == "weakest":
                slot = int(self.confidence[label].argmin())
                if p <= float(self.confidence[label, slot]):
                    return "kept out"
        share = 1 - self.momentum if rule in ("own", "near") else 1.0
        entry, confidence = self.entries[label, slot], self.confidence[label, slot]
        entry.lerp_(f.to(entry.dtype), share)
        confidence.lerp_(torch.full_like(confidence, p), share)
        self.age[label, slot] = 0
        if rule in ("free", "weakest"):
            self.source[label, slot] = sources[slot] = code
        return rule


def refuse_another_size(bank: Bank, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Before weights are loaded; raises RunError if the checkpoint's bank has another size."""
    found, expected = state.get(f"{prefix}entries"), bank.entries
    if found is not None and found.shape != expected.shape:
        sizes = (" x ".join(map(str, shape)) for shape in (found.shape, expected.shape))
        raise RunError(
            "the checkpoint's bank is {} (classes x entries x width), this model's {};"
            " build the model with the checkpoint's settings".format(*sizes)
        )
