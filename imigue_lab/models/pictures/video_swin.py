"""Video Swin: attention in shifted windows of a clip; torchvision's model in any of its sizes.

Liu et al., "Video Swin Transformer", CVPR 2022, section 3, Table 1. On iMiGUE T 59.97 %, S 57.83 %,
B 61.73 % (Table 1 of the paper); 27,875,078, 49,533,686 and 87,671,784 parameters for 32 classes.
"""

from collections.abc import Sequence
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor
from torchvision.models.video.swin_transformer import SwinTransformer3d

Size = Literal["tiny", "small", "base"]
Lengths = tuple[int, int, int]  # frames, rows, columns

PATCH: Lengths = (2, 4, 4)
WINDOW: Lengths = (8, 7, 7)  # patches; models of Something-Something v2 have (16, 7, 7)
# Width of the first stage, which doubles; blocks and attention heads of each.
STAGES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "tiny": (96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": (96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": (128, (2, 2, 18, 2), (4, 8, 16, 32)),
}
DROP_PATH = {"tiny": 0.1, "small": 0.1, "base": 0.3}  # as trained on Kinetics-400


class VideoSwin(SwinTransformer3d):
    """torchvision's model, which also gives its tokens."""

    def tokens(self, frames: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B t h w D"]:
        """One vector for each place of the last stage, after the last norm."""
        return self.norm(self.features(self.pos_drop(self.patch_embed(frames))))


def build_video_swin(
    size: Size = "tiny",
    classes: int = 32,
    stages: Sequence[Any] | None = None,
    patch: Lengths = PATCH,
    window: Lengths = WINDOW,
    mlp_ratio: int | float = 4,
    drop_path: float | None = None,
) -> VideoSwin:
    """torchvision's untrained model from (B, 3, T, H, W) to (B, classes).

    Clips of any length and size are padded to whole windows. Frames are RGB, normalised as for
    ImageNet; as published 32 with a stride of 2, of 224 x 224 pixels.

    Args:
        size: the published one, unless `stages` gives another (width, depths, heads).
        patch, window: frames, rows and columns of each, the window's in patches.
        mlp_ratio: hidden width of a block over its width.
        drop_path: probability that the last block is skipped in training; by default as published
            for the size.
    """
    if size not in STAGES:
        raise ValueError(f"size must be one of {', '.join(STAGES)}; got {size!r}")
    width, depths, heads = stages or STAGES[size]
    return VideoSwin(
        patch_size=list(patch),
        embed_dim=width,
        depths=list(depths),
        num_heads=list(heads),
        window_size=list(window),
        mlp_ratio=mlp_ratio,
        stochastic_depth_prob=DROP_PATH[size] if drop_path is None else drop_path,
        num_classes=classes,
    )
