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
from einops import reduce
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


class PoseConv3D(nn.Module):
    """A stem at full resolution, stages that halve the picture, a mean, one linear layer."""

    def __init__(self, stem: nn.Module, stages: list[nn.Module], head: nn.Linear, dropout: float):
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.dropout = nn.Dropout(dropout)
        self.head = head

    def forward(self, heatmaps: Float[Tensor, "B K T H W"]) -> Float[Tensor, "B classes"]:
        """Logits of clips of any length and size; see `data.skeletons.heatmaps`."""
        return self.head(self.dropout(self.pooled(heatmaps)))

    def pooled(self, heatmaps: Float[Tensor, "B K T H W"]) -> Float[Tensor, "B D"]:
        """The linear layer's input: the mean over all places."""
        # channels last: half the time of a training step on a CPU
        x = heatmaps.contiguous(memory_format=torch.channels_last_3d)
        x = F.relu_(self.stem(x))
        x = F.max_pool3d(x, (1, 3, 3), stride=1, padding=(0, 1, 1))
        for stage in self.stages:
            x = stage(x)
        return reduce(x, "b d t h w -> b d", "mean")


def build_poseconv3d(
    classes: int = 32,
    joints: int = 22,
    width: int = 32,
    depths: Sequence[int] = SLOWONLY,
    inflated: Sequence[bool] | None = None,
    time_strides: Sequence[int] | None = None,
    dropout: float = 0.5,
) -> PoseConv3D:
    """An untrained PoseConv3D from (B, joints, T, H, W) to (B, classes).

    Args:
        joints: channels of the heatmaps, or the number of limbs.
        width: of the stem and inside the first stage (paper: 32); twice as wide in each later one.
        depths: blocks of each stage.
        inflated: stages with convolutions over frames (paper: all but the first).
        time_strides: of each stage (paper: the last one halves the frames).
    """
    inflated = inflated or [stage > 0 for stage in range(len(depths))]
    time_strides = time_strides or [1] * (len(depths) - 1) + [2]
    stages: list[nn.Module] = []
    before = width
    for stage, depth in enumerate(depths):
        inner = width * 2**stage
        blocks = nn.Sequential()
        for block in range(depth):
            stride = (1, 1, 1) if block else (time_strides[stage], 2, 2)
            blocks.append(Bottleneck(before, inner, inflated[stage], stride))
            before = 4 * inner
        stages.append(blocks)
    stem = norm_conv(joints, width, (1, 7, 7))
    model = PoseConv3D(stem, stages, nn.Linear(before, classes), dropout)
    start_as_published(model)
    return model


def start_as_published(model: PoseConv3D) -> None:
    """Every block starts as its skip only, the head near zero."""
    for part in model.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, Bottleneck):
            nn.init.zeros_(part.get_parameter("expand.1.weight"))
    nn.init.normal_(model.head.weight, std=0.01)
    nn.init.zeros_(model.head.bias)
