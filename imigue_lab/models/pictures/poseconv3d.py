"""PoseConv3D: a SlowOnly ResNet-50 over heatmaps of joints or limbs.

Duan et al., "Revisiting Skeleton-based Action Recognition", CVPR 2022, section 3.3, Table 2. On
iMiGUE 61.11 % (Table 1 of the paper); 2,018,336 parameters for 22 joints and 32 classes.

Letters in shapes: B clips, K joints or limbs, T frames, H x W pixels of a heatmap; C channels going
in and D coming out.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import Conv3dNormActivation

Volume = Float[Tensor, "B C T H W"]
Kernel = tuple[int, int, int]

SLOWONLY = (4, 6, 3)  # blocks a stage; Kinetics checkpoints have (3, 4, 6) too


# A convolution with centred kernels, and its norm.
norm_conv = partial(Conv3dNormActivation, activation_layer=None)


class Bottleneck(nn.Module):
    """``ReLU(expand(look(squeeze(x))) + skip(x))``, four times as wide outside as inside.

    If it is inflated, `squeeze` spans three frames. The stride is of time, rows and columns.
    """

    def __init__(self, in_width: int, inner: int, inflated: bool, stride: Kernel = (1, 1, 1)):
        super().__init__()
        width = 4 * inner
        self.squeeze = norm_conv(in_width, inner, (3 if inflated else 1, 1, 1))
        self.look = norm_conv(inner, inner, (1, 3, 3), stride)
        self.expand = norm_conv(inner, width, (1, 1, 1))
        self.skip: nn.Module = nn.Identity()
        if in_width != width or stride[1] != 1:
            self.skip = norm_conv(in_width, width, (1, 1, 1), stride)

    def forward(self, x: Volume) -> Float[Tensor, "B D S P Q"]:
        y = F.relu_(self.squeeze(x))
        y = F.relu_(self.look(y))
        return F.relu_(self.expand(y) + self.skip(x))


class SlowOnly(nn.Module):
    """A stem, stages that halve the picture, a mean over all places, one linear layer.

    Args:
        in_width: channels of a frame: 3 of RGB, or a heatmap of each joint or limb.
        width: of the stem and inside the first stage; twice as wide in each later one.
        depths: blocks of each stage.
        inflated: stages with convolutions over frames.
        strides: of each stage.
        received: channels of another network that each stage takes beside its own.
        start_stride: of the stem and of the pooling after it; heatmaps keep their size.
    """

    def __init__(
        self,
        classes: int,
        in_width: int,
        width: int,
        depths: Sequence[int],
        inflated: Sequence[bool],
        strides: Sequence[Kernel],
        received: Sequence[int] = (0, 0, 0),
        start_stride: int = 1,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.stride = (1, start_stride, start_stride)
        self.stem = norm_conv(in_width, width, (1, 7, 7), self.stride)
        self.stages = nn.ModuleList()
        before = width
        for stage, depth in enumerate(depths):
            inner, blocks = width * 2**stage, nn.Sequential()
            before += received[stage]
            for block in range(depth):
                stride = (1, 1, 1) if block else strides[stage]
                blocks.append(Bottleneck(before, inner, inflated[stage], stride))
                before = 4 * inner
            self.stages.append(blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(before, classes)
        start_as_published(self)

    def forward(self, clips: Float[Tensor, "B K T H W"]) -> Float[Tensor, "B classes"]:
        """Logits of clips of any length and size."""
        return self.logits(self.last_map(clips))

    def last_map(self, clips: Float[Tensor, "B K T H W"]) -> Float[Tensor, "B D t h w"]:
        x = self.begin(clips)
        for stage in self.stages:
            x = stage(x)
        return x

    def tokens(self, clips: Float[Tensor, "B K T H W"]) -> Float[Tensor, "B t h w D"]:
        """One vector for each time and place that the last stage leaves."""
        return rearrange(self.last_map(clips), "b d t h w -> b t h w d")

    def begin(self, clips: Float[Tensor, "B K T H W"]) -> Float[Tensor, "B C T P Q"]:
        """What the first stage takes."""
        # channels last: half the time of a training step on a CPU
        x = F.relu_(self.stem(clips.contiguous(memory_format=torch.channels_last_3d)))
        return F.max_pool3d(x, (1, 3, 3), self.stride, padding=(0, 1, 1))

    def logits(self, x: Float[Tensor, "B D T P Q"]) -> Float[Tensor, "B classes"]:
        """From what the last stage gives."""
        return self.head(self.dropout(reduce(x, "b d t h w -> b d", "mean")))


def build_poseconv3d(
    classes: int = 32,
    joints: int = 22,
    width: int = 32,
    depths: Sequence[int] = SLOWONLY,
    inflated: Sequence[bool] | None = None,
    time_strides: Sequence[int] | None = None,
    dropout: float = 0.5,
) -> SlowOnly:
    """An untrained PoseConv3D from (B, joints, T, H, W) to (B, classes), see `SlowOnly`.

    By default as in the paper: all stages but the first are inflated, the last halves the frames.
    Heatmaps are those of `data.skeletons.heatmaps`, of joints or limbs.
    """
    inflated = inflated or [stage > 0 for stage in range(len(depths))]
    strides = [(t, 2, 2) for t in time_strides or [1] * (len(depths) - 1) + [2]]
    return SlowOnly(classes, joints, width, depths, inflated, strides, dropout=dropout)


def build_slowonly(
    classes: int = 32, width: int = 64, depths: Sequence[int] = (3, 4, 6, 3)
) -> SlowOnly:
    """An untrained network from RGB (B, 3, T, H, W) to (B, classes), see `SlowOnly`.

    The path of frames of RGBPose-Conv3D alone: the last two of its four stages are inflated.
    """
    strides = [(1, 1, 1), *[(1, 2, 2)] * 3]
    inflated = (False, False, True, True)
    return SlowOnly(classes, 3, width, depths, inflated, strides, [0] * 4, start_stride=2)


def start_as_published(model: SlowOnly) -> None:
    """Every block starts as its skip only, the head near zero."""
    for part in model.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, Bottleneck):
            nn.init.zeros_(part.get_parameter("expand.1.weight"))
    nn.init.normal_(model.head.weight, std=0.01)
    nn.init.zeros_(model.head.bias)
