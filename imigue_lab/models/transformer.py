"""What the transformers that are pre-trained by masking share: blocks, and a reconstruction.

Letters in shapes: B clips, L tokens, D width; N tokens that are predicted, P numbers of each.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Block(nn.TransformerEncoderLayer):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``, inputs and outputs (B, L, D).

    Args:
        eps: of the norms; MAMP 1e-5, VideoMAE 1e-6.
        drop_path: probability that a clip skips a branch in training.
    """

    def __init__(
        self, width: int, heads: int, eps: float = 1e-5, drop_path: float = 0.0, ratio: float = 4.0
    ):
        super().__init__(
            *(width, heads, int(width * ratio), 0.0, nn.functional.gelu, eps),
            batch_first=True,
            norm_first=True,
        )
        from torchvision.ops import StochasticDepth  # loads torch's compiler, which takes a second

        self.path = StochasticDepth(drop_path, "row")

    def _sa_block(
        self, x: Tensor, mask: Tensor | None, padding: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        return self.path(super()._sa_block(x, mask, padding, is_causal))

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.path(super()._ff_block(x))


def blocks(
    width: int, depth: int, heads: int, eps: float, drop_path: float = 0.0, ratio: float = 4.0
) -> nn.Sequential:
    """Blocks whose drop path rises linearly from 0, with Xavier-uniform weights and no bias."""
    rates = np.linspace(0, drop_path, depth).tolist()
    made = [Block(width, heads, eps, rate, ratio) for rate in rates]
    for block in made:  # attention's own weights are torch's start: Xavier's, and no bias
        block.apply(start_linear)
    return nn.Sequential(*made)


def start_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def embedding(*shape: int) -> nn.Parameter:
    """A learned table, at first normal with a standard deviation of 0.02."""
    return nn.Parameter(torch.randn(shape) * 0.02)


class Reconstruction(NamedTuple):
    """What a network predicts of tokens that its encoder did not see.

    Attributes:
        predicted, target: normalised numbers of each token.
        counted: the numbers that the loss compares.
        guess: the mean target of the tokens that the encoder saw, a baseline.
    """

    predicted: Float[Tensor, "B N P"]
    target: Float[Tensor, "B N P"]
    counted: Bool[Tensor, "B N P"]
    guess: Float[Tensor, "B 1 P"]

    @property
    def loss(self) -> Float[Tensor, ""]:
        """Mean squared error over all numbers that count, as published."""
        return self.errors(self.predicted, 1).sum()

    def errors(self, predicted: Tensor, parts: int) -> Float[Tensor, " parts"]:
        """The same for each of so many equal parts of the batch, of `predicted` or `guess`.

        Its mean over clips, unlike `loss`, can be summed up from pieces of a batch.
        """
        error = (predicted.float() - self.target) ** 2 * self.counted
        number = self.counted.reshape(parts, -1).sum(dim=1)
        return error.view(parts, -1).sum(dim=1) / number.clamp(min=1)
