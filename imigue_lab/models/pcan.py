"""PCAN's prototypes: moving means over true positives, calibrated by the confused clips.

Li et al. 2024 (arXiv 2412.14719), after FR-Head; the other reading of the paper's prototypes,
`prototypes="pcan"`. Letters in shapes: B clips, C classes, D width, h width of the prototypes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

MOMENTUM = 0.9
TEMPERATURE = 0.125
CALIBRATION = 0.125


class PcanView(NamedTuple):
    """A batch as the prototypes see it.

    Attributes:
        z: features, (B, h).
        table: prototypes before this batch, (h, C), no gradient.
    """

    z: Float[Tensor, "B h"]
    table: Float[Tensor, "h C"]

    @property
    def cosine(self) -> Float[Tensor, "B C"]:
        return F.normalize(self.z, dim=1) @ F.normalize(self.table, dim=0)


class PcanPrototypes(nn.Module):
    """``p_c <- 0.9 p_c + 0.1 mean z`` over the clips of c that are predicted right.

    The table starts at random and moves in `update` alone; it is in the state dict.
    """

    table: Tensor

    def __init__(self, classes: int, dim: int, prototype_dim: int | None = None):
        super().__init__()
        self.project = nn.Linear(dim, prototype_dim or dim)
        self.register_buffer("table", torch.randn(prototype_dim or dim, classes))

    def forward(self, f: Float[Tensor, "B D"]) -> PcanView:
        return PcanView(self.project(f).float(), self.table.float().clone())

    @torch.no_grad()
    def update(
        self, view: PcanView, logits: Float[Tensor, "B C"], label: Int[Tensor, " B"]
    ) -> None:
        self.table.copy_(moved(view, logits, label))


def confusion(
    logits: Float[Tensor, "B C"], label: Int[Tensor, " B"]
) -> tuple[Bool[Tensor, "B C"], Bool[Tensor, "B C"], Bool[Tensor, "B C"]]:
    """True positives, false negatives and false positives of each class."""
    classes = torch.arange(logits.shape[1], device=logits.device)
    true, seen = classes == label[:, None], classes == logits.argmax(dim=1)[:, None]
    return true & seen, true & ~seen, seen & ~true


def moved(
    view: PcanView, logits: Float[Tensor, "B C"], label: Int[Tensor, " B"]
) -> Float[Tensor, "h C"]:
    """The prototypes after this batch, with gradient to its features."""
    hit = confusion(logits, label)[0].to(view.z.dtype)
    count = hit.sum(dim=0)
    mean = view.z.T @ hit / count.clamp(min=1)
    return torch.where(count > 0, torch.lerp(mean, view.table, MOMENTUM), view.table)


def pcan_loss(
    view: PcanView, logits: Float[Tensor, "B C"], label: Int[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """``CE(s_fn) + CE(s_fp)`` of each clip.

    s_fn = (cos(z, p) + (cos(z, centre of missed clips) - 1) w) / 0.125
    s_fp = (cos(z, p) - (cos(z, centre of intruding clips) + 1) w) / 0.125
    w    = 0.125 (1 - probability of the true class), for that class alone
    """
    _, missed, intruding = confusion(logits, label)
    z = F.normalize(view.z, dim=1)
    near = z @ F.normalize(moved(view, logits, label), dim=0)
    weight = F.one_hot(label, logits.shape[1]) * (1 - logits.softmax(dim=1)) * CALIBRATION
    to_missed, to_intruding = (
        z @ F.normalize(view.z.T @ who.to(z.dtype), dim=0) for who in (missed, intruding)
    )
    s_fn = near + (to_missed - 1) * weight * missed.any(dim=0)
    s_fp = near - (to_intruding + 1) * weight * intruding.any(dim=0)
    return F.cross_entropy(s_fn / TEMPERATURE, label, reduction="none") + F.cross_entropy(
        s_fp / TEMPERATURE, label, reduction="none"
    )
