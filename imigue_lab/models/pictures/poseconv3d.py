"""PoseConv3D, a SlowOnly ResNet-50 over heatmaps of joints or limbs; and RGBPose-Conv3D: such paths
of RGB and of heatmaps that read each other before two stages.

Duan et al., "Revisiting Skeleton-based Action Recognition", CVPR 2022, sections 3.3 and 3.4, Table
2. On iMiGUE 61.11 % (Table 1 of the paper); 2,018,336 parameters for 22 joints and 32 classes.
RGBPose-Conv3D has 36,024,000 for 36 joints, without the heads.

Letters in shapes: B clips, K joints or limbs, T frames, H x W pixels of a heatmap; C channels going
in and D coming out. In RGBPose-Conv3D T frames of RGB, R heatmaps for each of them, H x W pixels of
a frame and h x w of a heatmap.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import Conv3dNormActivation

Volume = Float[Tensor, "B C T H W"]
Kernel = tuple[int, int, int]
Pair = Sequence[Sequence[int]]  # a number for each stage of RGB, and of heatmaps
SLOWONLY = (4, 6, 3)  # blocks a stage; Kinetics checkpoints have (3, 4, 6) too
SHARE = 16  # the path of heatmaps receives so many times fewer channels than RGB has
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


class RGBPoseConv3D(nn.Module):
    """Logits of both paths. Their last three stages run side by side; before the last two, each
    path's own channels are followed by those of the other, of before the exchange."""

    def __init__(
        self, rgb: SlowOnly, pose: SlowOnly, to_rgb: nn.ModuleList, to_pose: nn.ModuleList
    ):
        super().__init__()
        self.rgb, self.pose, self.to_rgb, self.to_pose = rgb, pose, to_rgb, to_pose

    def forward(
        self, frames: Float[Tensor, "B 3 T H W"], heatmaps: Float[Tensor, "B K RT h w"]
    ) -> tuple[Float[Tensor, "B classes"], Float[Tensor, "B classes"]]:
        """Logits from RGB and from heatmaps; after the first stages h is H / 4, as published."""
        rgb, pose = self.rgb.begin(frames), self.pose.begin(heatmaps)
        alone = len(self.rgb.stages) - len(self.pose.stages)
        for stage in self.rgb.stages[:alone]:
            rgb = stage(rgb)
        paths = zip(self.rgb.stages[alone:], self.pose.stages, strict=True)
        for number, (rgb_stage, pose_stage) in enumerate(paths):
            if number:
                from_pose, from_rgb = self.to_rgb[number - 1](pose), self.to_pose[number - 1](rgb)
                rgb, pose = torch.cat([rgb, from_pose], 1), torch.cat([pose, from_rgb], 1)
            rgb, pose = rgb_stage(rgb), pose_stage(pose)
        return self.rgb.logits(rgb), self.pose.logits(pose)


def build_rgbpose(
    classes: int = 32,
    joints: int = 22,
    ratio: int = 4,
    widths: Sequence[int] = (64, 32),
    depths: Pair = ((3, 4, 6, 3), SLOWONLY),
    inflated: Pair = ((0, 0, 1, 1), (0, 1, 1)),
    strides: Pair = ((1, 2, 2, 2), (2, 2, 2)),
    dropout: float = 0.5,
) -> RGBPoseConv3D:
    """An untrained network of (B, 3, T, 224, 224) and (B, joints, ratio T, 56, 56).

    Args:
        joints: channels of the heatmaps, or the number of limbs.
        widths, depths, inflated: of the paths of RGB and of heatmaps, see `SlowOnly`.
        strides: of rows and columns, of each stage.
    """
    rgb, pose = (
        [4 * width * 2**stage for stage in range(len(stages))]
        for width, stages in zip(widths, depths, strict=True)
    )
    to_rgb, to_pose = nn.ModuleList(), nn.ModuleList()
    along = ((7, 1, 1), (ratio, 1, 1), (3, 0, 0))  # kernel, stride, padding
    for wide, narrow in zip(rgb[-3:-1], pose[-3:-1], strict=True):
        shorter = nn.Conv3d(narrow, narrow, *along, bias=False)
        nn.init.kaiming_normal_(shorter.weight, mode="fan_out", nonlinearity="relu")
        to_rgb.append(shorter)
        longer = nn.ConvTranspose3d(
            wide, wide // SHARE, *along, output_padding=(ratio - 1, 0, 0), bias=False
        )
        to_pose.append(nn.Sequential(longer, nn.BatchNorm3d(wide // SHARE), nn.ReLU()))
    received = ([0] * (len(rgb) - 2) + pose[-3:-1], [0] + [wide // SHARE for wide in rgb[-3:-1]])
    paths = [
        SlowOnly(
            classes,
            (3, joints)[side],
            widths[side],
            depths[side],
            [bool(stage) for stage in inflated[side]],
            [(1, stride, stride) for stride in strides[side]],
            received[side],
            start_stride=(2, 1)[side],
            dropout=dropout,
        )
        for side in (0, 1)
    ]
    return RGBPoseConv3D(paths[0], paths[1], to_rgb, to_pose)


def join_halves(
    rgb: Mapping[str, Tensor], pose: Mapping[str, Tensor], **arguments: Any
) -> dict[str, Tensor]:
    """One state dict from those of both paths trained alone: what a stage receives counts for
    nothing yet, and the exchange is left out.

    `arguments` are those of `build_rgbpose`. Heads and stems keep their shapes.
    """
    with torch.device("meta"):
        own = build_rgbpose(**arguments).state_dict()
    joined = {}
    for path, trained in (("rgb", rgb), ("pose", pose)):
        for key, weight in trained.items():
            place = own.get(f"{path}.{key}", weight)
            if key.startswith("stages.") and place.shape[1:2] > weight.shape[1:2]:
                received = place.shape[1] - weight.shape[1]
                weight = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, received))
            joined[f"{path}.{key}"] = weight
    return joined
