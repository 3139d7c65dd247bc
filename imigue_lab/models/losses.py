"""Focal loss for two classes, safe at any logit (paper section 5.2; Lin et al. 2017).

Letters in shapes: B interviews.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class FocalLoss(nn.Module):
    """Mean over the batch of ``w_y (1 - p_y)^γ (-log p_y)``.

    p_y = σ(s z) with s = +1 for a win and -1 for a loss. Computed as ``exp(γ log σ(-s z)) · BCE``
    in float32: ``(1 - p)^γ`` itself has an infinite slope at p = 1 for γ < 1. γ = 0 is weighted
    binary cross-entropy.
    """

    class_weights: Tensor

    def __init__(self, gamma: float, class_weights: tuple[float, float] = (1.0, 1.0)):
        super().__init__()
        self.gamma = gamma
        self.register_buffer("class_weights", torch.tensor(class_weights, dtype=torch.float32))

    def forward(self, logit: Float[Tensor, " B"], outcome: Int[Tensor, " B"]) -> Float[Tensor, ""]:
        return self.per_item(logit, outcome).mean()

    def per_item(
        self, logit: Float[Tensor, " B"], outcome: Int[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        signed = torch.where(outcome == 1, logit, -logit).float()
        focus = torch.exp(self.gamma * F.logsigmoid(-signed))
        return self.class_weights[outcome] * focus * -F.logsigmoid(signed)


def balanced_class_weights(losses: int, wins: int) -> tuple[float, float]:
    """``w_c = N / (2 n_c)``: both classes weigh the same in sum, 1 on average over the items."""
    total = losses + wins
    return total / (2 * losses), total / (2 * wins)
