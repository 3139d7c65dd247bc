"""Attention rollout of MViTv2: the contribution of each place to the class token, with pooling.

Abnar and Zuidema 2020, for attention with pooled keys and queries: half of each block's token is
from its attention, half from itself. Letters in shapes: t h w, places of the first block
(8 x 56 x 56 for 16 x 224 x 224); N queries and M keys of a block, each a class token and places.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.video import mvit

from imigue_lab.models.pictures.mvit import MViT

Grid = tuple[int, int, int]


class Kept:
    """Inputs of one block's attention: queries and keys after pooling, and their places."""

    def __init__(self, attention: mvit.MultiscaleAttention):
        self.attention = attention
        self.grids: dict[str, Grid] = {}
        self.pooled: dict[str, Tensor] = {}
        self.before: Grid = (0, 0, 0)

    def keep(self, name: str, _: nn.Module, inputs: tuple, output: tuple) -> None:
        """A forward hook of a pool, from tokens and their grid to tokens and their grid."""
        self.before = inputs[1]
        self.pooled[name], self.grids[name] = output

    def weights(self) -> Float[Tensor, "N M"]:
        """The attention, mean over heads: ``softmax(q · k / √d + relative positions)``."""
        own, q, k = self.attention, self.pooled["q"], self.pooled["k"]
        logits = (own.scaler * q) @ k.mT
        tables = own.rel_pos_h, own.rel_pos_w, own.rel_pos_t
        logits = mvit._add_rel_pos(logits, q, self.grids["q"], self.grids["k"], *tables)
        return logits.softmax(dim=-1)[0].mean(dim=0)


@contextmanager
def kept_attention(model: MViT) -> Iterator[list[Kept]]:
    """Records each block's queries and keys within the `with` block."""
    blocks = [Kept(block.attn) for block in model.net.blocks]
    hooks = [
        getattr(block.attention, f"pool_{name}").register_forward_hook(partial(block.keep, name))
        for block in blocks
        for name in ("q", "k")
    ]
    try:
        yield blocks
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def rollout(model: MViT, frames: Float[Tensor, "1 3 T H W"]) -> Float[Tensor, "t h w"]:
    """The share of each place in the class token; with the token's own share they sum to 1.

    One row is propagated from the last block to the first, without N x N matrices. A pooled place
    counts as the cell of places that it replaces, the usual simplification: the pooling
    convolutions reach one place further. Frames are normalised, as for the model.
    """
    with kept_attention(model) as blocks:
        model(frames)
    last = blocks[-1].grids["q"]
    row = torch.zeros(1 + last[0] * last[1] * last[2])
    row[0] = 1
    for block in reversed(blocks):
        attended = row @ block.weights().float().cpu()
        attended = spread(attended, block.grids["k"], block.before)
        row = (attended + spread(row, block.grids["q"], block.before)) / 2
    t, h, w = blocks[0].before
    return rearrange(row[1:], "(t h w) -> t h w", t=t, h=h, w=w)


def spread(row: Float[Tensor, " M"], pooled: Grid, grid: Grid) -> Float[Tensor, " N"]:
    """Distributes the share of a pooled place equally over the places of its cell."""
    t, h, w = (whole // part for whole, part in zip(grid, pooled, strict=True))
    own, places = row[:1], row[1:].reshape(pooled) / (t * h * w)
    wide = repeat(places, "t h w -> (t dt) (h dh) (w dw)", dt=t, dh=h, dw=w)
    return torch.cat([own, wide.flatten()])
