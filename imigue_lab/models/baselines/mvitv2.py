"""MViTv2-S alone: what the context encoder says of a clip by itself, pictures only.

Li et al., "MViTv2: Improved Multiscale Vision Transformers for Classification and Detection", CVPR
2022. Table 1 of the paper has no row for it; 34,254,752 parameters for 32 classes and clips of
16 x 224 x 224.
"""

from torchvision.models.video.mvit import MViT

from imigue_lab.models.mvit import Clip, Size, build_mvit


def build_mvitv2(classes: int = 32, size: Size = "small", clip: Clip | None = None) -> MViT:
    """torchvision's model, untrained; called with (B, 3, T, H, W) it gives (B, classes).

    Args:
        size: `tiny` for demo and tests, see `build_mvit`.
        clip: frames, rows and columns, which its tables fix; by default 16 x 224 x 224, of `tiny`
            16 x 64 x 64. Frames are RGB, (x / 255 - 0.45) / 0.225.
    """
    return build_mvit(size, classes, clip).net
