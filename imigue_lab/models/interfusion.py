"""InterFusion: gated exchange between two aligned token streams (paper section 3, Fig. 2b-c).

Letters in shapes: B interviews, T windows of 16 frames, D width of both streams.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

Tokens = Float[Tensor, "B T D"]
Gate = Literal["shared", "cross", "convex"]


class AlphaGate(nn.Module):
    """One element-wise gate for both directions: ``α = σ(W [x; y] + b)``."""

    def __init__(self, dim: int):
        super().__init__()
        self.to_gate = nn.Linear(2 * dim, dim)

    def forward(self, x: Tokens, y: Tokens) -> Tokens:
        return torch.sigmoid(self.to_gate(torch.cat([x, y], dim=-1)))


class InterFusion(nn.Module):
    """Each stream adds the other's gated tokens to its own.

    The paper describes "a shared element-wise gate" and "a residual gated-sum fusion in both
    directions" without an equation; docs/paper_gaps.md lists the three readings and how to choose.
    With ``α = AlphaGate(x, y)``:

        shared   u = x + α ⊙ y              v = y + α ⊙ x
        cross    u = x + α ⊙ y              v = y + (1 - α) ⊙ x
        convex   u = x + z                  v = y + z,    z = α ⊙ x + (1 - α) ⊙ y

    A token that is missing in one stream must arrive as zeros: its gated term is then 0.
    """

    def __init__(self, dim: int, gate: Gate = "shared"):
        super().__init__()
        if gate not in get_args(Gate):
            raise ValueError(f"gate must be one of {', '.join(get_args(Gate))}; got {gate!r}")
        self.reading = gate
        self.gate = AlphaGate(dim)

    def forward(self, x: Tokens, y: Tokens) -> tuple[Tokens, Tokens, Tokens]:
        """u, v and the gate α."""
        alpha = self.gate(x, y)
        if self.reading == "shared":
            return x + alpha * y, y + alpha * x, alpha
        if self.reading == "cross":
            return x + alpha * y, y + (1 - alpha) * x, alpha
        z = alpha * x + (1 - alpha) * y
        return x + z, y + z, alpha

    def parts(self, x: Tokens, y: Tokens) -> tuple[tuple[Tokens, Tokens], tuple[Tokens, Tokens]]:
        """u and v, each as (contribution of x, contribution of y); the sums equal `forward`'s."""
        alpha = self.gate(x, y)
        if self.reading == "shared":
            return (x, alpha * y), (alpha * x, y)
        if self.reading == "cross":
            return (x, alpha * y), ((1 - alpha) * x, y)
        from_x, from_y = alpha * x, (1 - alpha) * y
        return (x + from_x, from_y), (from_x, y + from_y)
