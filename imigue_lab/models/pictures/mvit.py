"""MViTv2-S, the context encoder: torchvision's model with its token map (Li et al. 2022).

`build_mvitv2` builds the same network as a classifier of clips. Table 1 of the paper has no row for
it; 34,254,752 parameters for 32 classes and clips of 16 x 224 x 224.

Letters in shapes: B windows, T frames of H x W pixels; T' = T/2 places in time, h x w places in the
picture (8 x 7 x 7 for 16 x 224 x 224), D width of the last stage (768).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.video import mvit

Size = Literal["small", "tiny"]
Clip = tuple[int, int, int]  # frames, rows, columns
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


def build_mvit(size: Size = "small", classes: int = 400, clip: Sequence[int] | None = None) -> MViT:
    """An untrained MViTv2: torchvision's own `mvit_v2_s` takes clips of 16 x 224 x 224 only.

    The first block of each later stage halves the picture (`stride_q`). Keys and values are pooled
    8-fold a side in the first stage and half as much in each stage after it (`stride_kv`).

    Args:
        size: `small` is torchvision's MViTv2-S; `tiny` is the same design for demo and tests, three
            blocks of 32, 64 and 96 channels, its output (B, 96) and (B, 8, 4, 4, 96).
        classes: of the head, which only `net` uses.
        clip: frames, rows and columns; by default 16 x 224 x 224 and 16 x 64 x 64.
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
    net = mvit.MViT(
        spatial_size=(clip[1], clip[2]),
        temporal_size=clip[0],
        block_setting=blocks,
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
        stochastic_depth_prob=0.2,
        num_classes=classes,
    )
    return MViT(net)


def build_mvitv2(
    classes: int = 32, size: Size = "small", clip: Sequence[int] | None = None
) -> mvit.MViT:
    """torchvision's untrained model from (B, 3, T, H, W) to (B, classes).

    For size and clip see `build_mvit`. Frames are RGB, (x / 255 - 0.45) / 0.225.
    """
    return build_mvit(size, classes, clip).net
