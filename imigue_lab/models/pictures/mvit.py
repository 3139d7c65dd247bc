"""MViTv2-S, the context encoder: torchvision's model with its token map (Li et al. 2022), and how
much each place contributes to the class token: attention rollout (Abnar and Zuidema 2020).

`build_mvitv2` builds the same network as a classifier of clips. Table 1 of the paper has no row for
it; 34,254,752 parameters for 32 classes and clips of 16 x 224 x 224.

Letters in shapes: B windows, T frames of H x W pixels; T' = T/2 places in time, h x w places in the
picture (8 x 7 x 7 for 16 x 224 x 224; t h w of the first block, 8 x 56 x 56), D width of the last
stage (768); N queries and M keys of a block, each a class token and places.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from typing import Literal, NamedTuple, get_args

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.video import mvit

Size = Literal["small", "tiny"]
Clip = tuple[int, int, int]  # frames, rows, columns
Grid = tuple[int, int, int]  # places in time, rows, columns
Stage = tuple[int, int, int]  # width, attention heads, number of blocks

CLIPS: dict[str, Clip] = {"small": (16, 224, 224), "tiny": (16, 64, 64)}

STAGES: dict[str, tuple[Stage, ...]] = {
    "small": ((96, 1, 1), (192, 2, 2), (384, 4, 11), (768, 8, 2)),
    "tiny": ((32, 1, 1), (64, 2, 1), (96, 3, 1)),
}


class MViTOutput(NamedTuple):
    """Features of B windows after the last LayerNorm."""

    pooled: Float[Tensor, "B D"]  # the class token
    tokens: Float[Tensor, "B T' h w D"]  # one vector per place


class MViT(nn.Module):
    """torchvision's MViT with all of its tokens as output.

    `net` is torchvision's model, whose call gives logits; `clip` are the frames, rows and columns
    of its input, as its tables of relative positions and its grid fit no others; `dim` is D.
    """

    def __init__(self, net: mvit.MViT):
        super().__init__()
        self.net = net
        grid = (net.pos_encoding.temporal_size, *net.pos_encoding.spatial_size)
        self.clip = tuple(n * stride for n, stride in zip(grid, net.conv_proj.stride, strict=True))
        self.dim: int = net.norm.weight.numel()

    @property
    def grid(self) -> tuple[int, int, int]:
        """T', h, w: the places in time and in the picture."""
        shrink = math.prod(block.attn.pool_q.pool.stride[1] for block in self.net.blocks)
        rows, columns = self.net.pos_encoding.spatial_size
        return self.net.pos_encoding.temporal_size, rows // shrink, columns // shrink

    def forward(self, frames: Float[Tensor, "B 3 T H W"]) -> MViTOutput:
        """Class token and place map of normalised frames: (x / 255 - 0.45) / 0.225, RGB."""
        if frames.shape[2:] != self.clip:
            got, expected = (" x ".join(map(str, shape)) for shape in (frames.shape[2:], self.clip))
            raise ValueError(
                f"this MViT is built for clips of {expected}, got {got};"
                " resize the frames, or build it with clip=(frames, rows, columns)"
            )
        x = rearrange(self.net.conv_proj(frames), "b d t h w -> b (t h w) d")
        x = self.net.pos_encoding(x)
        grid = (self.net.pos_encoding.temporal_size, *self.net.pos_encoding.spatial_size)
        for block in self.net.blocks:
            x, grid = block(x, grid)
        x = self.net.norm(x)
        t, h, w = grid
        return MViTOutput(x[:, 0], rearrange(x[:, 1:], "b (t h w) d -> b t h w d", t=t, h=h, w=w))


class Classifier(mvit.MViT):
    """torchvision's model from clips to logits, which also gives its tokens."""

    def tokens(self, frames: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B t h w D"]:
        return MViT(self)(frames).tokens


def build_mvit(
    size: Size = "small",
    classes: int = 400,
    clip: Sequence[int] | None = None,
    drop_path: float = 0.2,
) -> MViT:
    """An untrained MViTv2: torchvision's own `mvit_v2_s` takes clips of 16 x 224 x 224 only.

    The first block of each later stage halves the picture (`stride_q`). Keys and values are pooled
    8-fold a side in the first stage and half as much in each stage after it (`stride_kv`).

    Args:
        size: `small` is torchvision's MViTv2-S; `tiny` is the same design for demo and tests, three
            blocks of 32, 64 and 96 channels, its output (B, 96) and (B, 8, 4, 4, 96).
        classes: of the head, which only `net` uses.
        clip: frames, rows and columns; by default 16 x 224 x 224 and 16 x 64 x 64.
        drop_path: probability that the last block is skipped in training.
    """
    if size not in get_args(Size):
        raise ValueError(f"size must be one of {', '.join(get_args(Size))}; got {size!r}")
    clip = CLIPS[size] if clip is None else clip
    if any(n % stride for n, stride in zip(clip, (2, 4, 4), strict=True)):
        raise ValueError(f"clip must be in multiples of 2 frames and 4 pixels; got {clip}")
    blocks, width = [], STAGES[size][0][0]
    for stage, (new_width, heads, depth) in enumerate(STAGES[size]):
        for block in range(depth):
            shrink, pool = 2 if stage and not block else 1, 8 // 2**stage
            blocks.append(
                mvit.MSBlockConfig(
                    num_heads=heads,
                    input_channels=width,
                    output_channels=new_width,
                    kernel_q=[3, 3, 3],
                    kernel_kv=[3, 3, 3],
                    stride_q=[1, shrink, shrink],
                    stride_kv=[1, pool, pool],
                )
            )
            width = new_width
    net = Classifier(
        spatial_size=(clip[1], clip[2]),
        temporal_size=clip[0],
        block_setting=blocks,
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
        stochastic_depth_prob=drop_path,
        num_classes=classes,
    )
    return MViT(net)


def build_mvitv2(
    classes: int = 32,
    size: Size = "small",
    clip: Sequence[int] | None = None,
    drop_path: float = 0.2,
) -> mvit.MViT:
    """torchvision's untrained model from (B, 3, T, H, W) to (B, classes).

    For the other arguments see `build_mvit`. Frames are RGB, (x / 255 - 0.45) / 0.225.
    """
    return build_mvit(size, classes, clip, drop_path).net


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
    with ExitStack() as hooks:
        for block, name in product(blocks, "qk"):
            pool = getattr(block.attention, f"pool_{name}")
            hooks.enter_context(pool.register_forward_hook(partial(block.keep, name)))
        yield blocks


@torch.inference_mode()
def rollout(model: MViT, frames: Float[Tensor, "1 3 T H W"]) -> Float[Tensor, "t h w"]:
    """The share of each place in the class token; with the token's own share they sum to 1.

    Half of each block's token is from its attention, half from itself. One row is propagated from
    the last block to the first, without N x N matrices. A pooled place counts as the cell of places
    that it replaces, the usual simplification: the pooling convolutions reach one place further.
    Frames are normalised, as for the model.
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
