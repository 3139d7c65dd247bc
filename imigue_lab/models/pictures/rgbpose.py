"""RGBPose-Conv3D: SlowOnly paths of RGB and of heatmaps that read each other before two stages.

Duan et al., "Revisiting Skeleton-based Action Recognition", CVPR 2022, section 3.4; 36,024,000
parameters for 36 joints, without the heads.

Letters in shapes: B clips, T frames of RGB, R heatmaps for each of them, K joints or limbs, H x W
pixels of a frame and h x w of a heatmap.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.models.pictures.poseconv3d import SLOWONLY, SlowOnly

SHARE = 16  # the path of heatmaps receives so many times fewer channels than RGB has
Pair = Sequence[Sequence[int]]  # a number for each stage of RGB, and of heatmaps


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
