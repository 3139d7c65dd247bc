"""The loss of the gesture model: L = L_c + α L_p, and the term for θ (paper section 2.5, eq. 1).

Letters in shapes: B clips, C classes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from imigue_lab.models import LossOn
from imigue_lab.models.gesture import GestureOutput
from imigue_lab.models.memory import angular_cross_entropy


class GestureLoss(NamedTuple):
    """The terms, each a sum over the clips divided by the global batch size."""

    total: Float[Tensor, ""]  # the sum that is minimised
    classification: Float[Tensor, ""]  # L_c, on averaged or weighted logits, or on each head
    prototype: Float[Tensor, ""]  # P1, towards the prototype of the class
    bank: Float[Tensor, ""]  # P2, towards the mean entry of the class
    weighting: Float[Tensor, ""]  # has a gradient for θ only; 0 with `loss_on="weighted"`


def gesture_loss(
    output: GestureOutput,
    label: Int[Tensor, " B"],
    alpha: int | float,
    batch_size: int,
    loss_on: LossOn = "averaged",
    margin: int | float = 0.0,
) -> GestureLoss:
    """``L = L_c + α (P1 + P2) + CE(w_pose sg(y_pose) + w_rgb sg(y_rgb))``.

        averaged    L_c = CE((y_pose + y_rgb) / 2); only the last term trains θ
        weighted    L_c = CE(C), which trains θ too; no last term
        each        L_c = (CE(y_pose) + CE(y_rgb)) / 2; only the last term trains θ
        P1 = CE(cos(f, prototypes) / 0.1)      P2 = CE(cos(f, class means of the bank) / 0.1)

    A clip with one modality trains only that head and not θ; a clip with none trains nothing.

    Args:
        alpha: of this epoch, see `alpha_at`; at 0 neither P1 nor P2 has a gradient.
        batch_size: clips of the step over all processes, whose gradients are then summed, not
            averaged.
        margin: radians added to the true class's angle in P1 and P2.
    """
    both = output.has_rgb & output.has_pose
    some = output.has_rgb | output.has_pose

    def cross_entropy(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), label, reduction="none")

    def total(per_clip: Tensor, counts: Tensor) -> Tensor:
        return per_clip.masked_fill(~counts, 0).sum() / batch_size

    prototype = bank = weighting = output.logits.new_zeros((), dtype=torch.float32)
    if loss_on == "weighted":
        classification = total(cross_entropy(output.logits), some)
    else:
        pose, rgb = output.heads
        if loss_on == "each":
            classification = total((cross_entropy(pose) + cross_entropy(rgb)) / 2, some)
        else:
            classification = total(cross_entropy((pose + rgb) / 2), some)
        weighted = output.w_pose * pose.detach() + (1 - output.w_pose) * rgb.detach()
        weighting = total(cross_entropy(weighted), both)
    if output.recalled is not None:
        prototype = total(angular_cross_entropy(output.recalled.prototypes, label, margin), some)
        bank = total(angular_cross_entropy(output.recalled.class_cosine, label, margin), some)
    everything = classification + alpha * (prototype + bank) + weighting
    return GestureLoss(everything, classification, prototype, bank, weighting)
