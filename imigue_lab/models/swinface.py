"""SwinFace, the face encoder: a Swin-T with finer patches, as published for face recognition.

Qin et al. 2023. Its 42 other outputs (age, expression, ...) are not built: nothing here reads them.
The blocks are torchvision's, equal to the published ones; their plain softmax is as fast as a fused
attention over windows of 49 places.

Letters in shapes: B faces, h x w places of a stage, C its channels, D width of the embedding.
"""

from collections import OrderedDict
from typing import Literal, get_args

from einops.layers.torch import Reduce
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torchvision.ops import Permute

Size = Literal["full", "tiny"]
WINDOW = 7  # places on each side


def build_stage(dim: int, depth: int, heads: int, last: bool) -> nn.Sequential:
    """Blocks, every second one with windows shifted by half a window, then a halving of h and w.

    The last stage is not halved. From (B, h, w, C) to twice the channels, except for the last.
    """
    shifts = [WINDOW // 2 * (block % 2) for block in range(depth)]
    blocks = (SwinTransformerBlock(dim, heads, [WINDOW] * 2, [shift] * 2) for shift in shifts)
    downsample = nn.Identity() if last else PatchMerging(dim)
    return nn.Sequential(OrderedDict(blocks=nn.Sequential(*blocks), downsample=downsample))


def build_backbone(
    patch: int, dim: int, depths: tuple[int, ...], heads: tuple[int, ...], embedding: int
) -> nn.Sequential:
    """Stages of windowed attention, the mean over places, an embedding.

    ``embedding = BN(W_2 BN(W_1 mean_places LN(x)))``; not of unit length.
    """
    last = len(depths) - 1
    width = dim * 2**last
    patch_embed = OrderedDict(
        proj=nn.Conv2d(3, dim, kernel_size=patch, stride=patch),
        places_first=Permute([0, 2, 3, 1]),
        norm=nn.LayerNorm(dim),
    )
    stages = (build_stage(dim * 2**i, depth, heads[i], i == last) for i, depth in enumerate(depths))
    feature = nn.Sequential(
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width, eps=2e-5),
        nn.Linear(width, embedding, bias=False),
        nn.BatchNorm1d(embedding, eps=2e-5),
    )
    return nn.Sequential(
        OrderedDict(
            patch_embed=nn.Sequential(patch_embed),
            layers=nn.Sequential(*stages),
            norm=nn.LayerNorm(width),
            mean=Reduce("b h w c -> b c", "mean"),
            feature=feature,
        )
    )


class SwinFace(nn.Module):
    """Embedding of an aligned face of `side` pixels, of width D = `dim`."""

    def __init__(self, backbone: nn.Sequential, side: int, dim: int):
        super().__init__()
        self.backbone = backbone
        self.side, self.dim = side, dim

    def forward(self, faces: Float[Tensor, "B 3 side side"]) -> Float[Tensor, "B D"]:
        """Embeddings of RGB faces, (x / 255 - 0.5) / 0.5."""
        if faces.shape[-2:] != (self.side, self.side):
            raise ValueError(
                f"this SwinFace sees faces of {self.side} x {self.side} pixels,"
                f" got {faces.shape[-2]} x {faces.shape[-1]}; align them to its side"
            )
        return self.backbone(faces)


def build_swinface(size: Size = "full") -> SwinFace:
    """An untrained SwinFace.

    Args:
        size: `full` is the published model: faces of 112 pixels, an embedding of 512 numbers;
            `tiny` is the same design for demo and tests, faces of 56 pixels, an embedding of 64.
    """
    if size not in get_args(Size):
        raise ValueError(f"size must be one of {', '.join(get_args(Size))}; got {size!r}")
    if size == "full":
        return SwinFace(build_backbone(2, 96, (2, 2, 6, 2), (3, 6, 12, 24), 512), 112, 512)
    return SwinFace(build_backbone(4, 32, (2, 2), (2, 4), 64), 56, 64)
