"""The fusions by name: CMTF, and what it is compared with (paper section 5.1, Table 2).

Letters in shapes: B clips, D width.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.errors import SettingsError
from imigue_lab.models.cmtf import CMTF, Fusion
from imigue_lab.models.cross_attention import CRITERIA, Criterion
from imigue_lab.models.tokens import Tokens, masked_mean

FusionName = Literal["late", "concat", "cross_attention", "cmtf"]


class ModalityMeans(nn.Module):
    """``f_m = mean of Linear(tokens of m)``."""

    def __init__(self, dim: int):
        super().__init__()
        self.rgb, self.pose = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(
        self, rgb: Tokens, pose: Tokens
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        f_rgb = self.rgb(masked_mean(rgb.values, rgb.mask))
        return f_rgb, self.pose(masked_mean(pose.values, pose.mask))


class LateFusion(nn.Module):
    """The modalities meet in their logits alone; there is no f of the clip, hence no memory."""

    def __init__(self, dim: int):
        super().__init__()
        self.means = ModalityMeans(dim)

    def forward(self, rgb: Tokens, pose: Tokens, return_attention: bool = False) -> Fusion:
        return Fusion(None, *self.means(rgb, pose))


class ConcatFusion(nn.Module):
    """``f = Linear([f_rgb; f_pose])``; a learned vector stands in for a missing modality."""

    def __init__(self, dim: int):
        super().__init__()
        self.means = ModalityMeans(dim)
        self.join = nn.Linear(2 * dim, dim)
        self.absent = nn.Parameter(torch.zeros(2, dim))

    def forward(self, rgb: Tokens, pose: Tokens, return_attention: bool = False) -> Fusion:
        f_rgb, f_pose = self.means(rgb, pose)
        f_rgb = torch.where(rgb.present[:, None], f_rgb, self.absent[0].to(f_rgb.dtype))
        f_pose = torch.where(pose.present[:, None], f_pose, self.absent[1].to(f_pose.dtype))
        joined = self.join(rearrange([f_rgb, f_pose], "two b d -> b (two d)"))
        return Fusion(joined, f_rgb, f_pose)


def build_fusion(
    name: FusionName, dim: int, heads: int, criteria: Sequence[Criterion], merge: int | float
) -> CMTF | ConcatFusion | LateFusion:
    """A fusion by its name; `heads`, `criteria` and `merge` are of CMTF.

    Raises:
        SettingsError: values that do not fit together.
    """
    names = ", ".join(get_args(FusionName))
    if name not in get_args(FusionName):
        raise SettingsError(f"fusion must be one of {names}; got {name!r}")
    if name == "late":
        return LateFusion(dim)
    if name == "concat":
        return ConcatFusion(dim)
    unknown = [criterion for criterion in criteria if criterion not in CRITERIA]
    if unknown:
        raise SettingsError(f"criteria may be {', '.join(CRITERIA)}; got {', '.join(unknown)}")
    if heads < 3:
        raise SettingsError(f"{name} needs a head for each criterion: 3 heads or more; got {heads}")
    if not 0 <= merge <= 0.5:
        raise SettingsError(f"merge must be a share from 0 to 0.5; got {merge}")
    return CMTF(dim, heads, tuple(criteria), merge if name == "cmtf" else 0)
