"""Heatmaps of joints and limbs, the input of PoseConv3D.

Letters in shapes: M persons, T frames, V joints, K joints or limbs, C channels: x, y in pixels and
optionally a score; H rows and W columns. Leading axes, such as clips, are kept. A size is height
and width, sigma the deviation, in pixels; heatmaps have the dtype and device of the skeletons.

Source: Duan et al., CVPR 2022 (PoseConv3D), section 3.2; pyskl's GeneratePoseTarget. With several
persons, each pixel is the maximum over them.
"""

from functools import reduce

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from imigue_lab.data.skeletons.keypoints import Layout

Size = tuple[int, int]
Limbs = tuple[tuple[int, int], ...]
Posed = Float[Tensor, "*B M T V C"]
Maps = Float[Tensor, "*B K T H W"]
Points = Float[Tensor, "*B T K"]

SIGMA = 0.6  # pixels
LEAST = 1e-3  # joints and limbs of a lower score are not drawn
PUBLISHED = {  # joints of limbs in the order of published networks: pyskl's, MM-Gesture's
    "coco17": ("0-5 0-6 5-7 7-9 6-8 8-10 5-11 11-13 13-15 6-12 12-14 14-16 0-1 0-2 1-3 2-4 11-12"),
    "mmgesture36": (
        "0-1 0-8 8-10 0-9 9-11 19-17 19-18 17-12 12-13 13-14 18-16 16-15 15-14 20-21 21-22 22-23"
        " 23-20 1-2 2-3 3-4 1-5 5-6 6-7 4-30 30-31 30-32 30-33 30-34 30-35 7-24 24-25 24-26 24-27"
        " 24-28 24-29 0-19"
    ),
}


def limbs(layout: Layout) -> Limbs:
    """Joint pairs to draw limbs between: published ones, else the bones."""
    if layout.name not in PUBLISHED:
        return layout.bones
    pairs = (pair.split("-") for pair in PUBLISHED[layout.name].split())
    return tuple((int(start), int(end)) for start, end in pairs)


def joint_heatmaps(skeleton: Posed, size: Size, sigma: float = SIGMA) -> Maps:
    """Per joint a Gaussian ``score · exp(-|p - joint|² / 2σ²)``, cut off at 3σ."""
    persons = (blobs(person, size, sigma) for person in skeleton.unbind(dim=-4))
    return rearrange(reduce(torch.maximum, persons), "... t k h w -> ... k t h w")


def limb_heatmaps(skeleton: Posed, limbs: Limbs, size: Size, sigma: float = SIGMA) -> Maps:
    """Per limb a Gaussian around its segment, scaled by the lower score of its two ends.

    One shorter than a pixel is drawn as its first joint.
    """
    starts, ends = zip(*limbs, strict=True)
    persons = (
        segments(person[..., starts, :], person[..., ends, :], size, sigma)
        for person in skeleton.unbind(dim=-4)
    )
    return rearrange(reduce(torch.maximum, persons), "... t k h w -> ... k t h w")


def scores(person: Float[Tensor, "*B T K C"]) -> Points:
    """The score of each joint, 0 below `LEAST`; 1 where the input has no scores."""
    if person.shape[-1] == 2:
        return torch.ones_like(person[..., 0])
    return torch.where(person[..., 2] < LEAST, 0, person[..., 2])


def blobs(person: Float[Tensor, "*B T K C"], size: Size, sigma: float) -> Tensor:
    """Gaussians, computed as products of one along the rows and one along the columns."""
    x, y = person[..., 0], person[..., 1]
    rows, columns = (
        torch.exp((pixels - centre[..., None]).square() / (-2 * sigma**2)) * inside
        for pixels, centre, inside in (
            (line(size[0], y), y, within(y, y, size[0], sigma)),
            (line(size[1], x), x, within(x, x, size[1], sigma)),
        )
    )
    return (scores(person)[..., None] * rows)[..., None] * columns[..., None, :]


def segments(
    start: Float[Tensor, "*B T K C"], end: Float[Tensor, "*B T K C"], size: Size, sigma: float
) -> Tensor:
    """Gaussians of the distance from each pixel to the nearest point of the segment; one shorter
    than a pixel ends at its start."""
    score = torch.minimum(scores(start), scores(end))
    short = (start[..., :2] - end[..., :2]).square().sum(dim=-1) < 1
    score = torch.where(short & (score > 0), scores(start), score)
    end = torch.where(short[..., None], start, end)
    (a_x, a_y), (b_x, b_y) = start[..., :2].unbind(-1), end[..., :2].unbind(-1)
    x = (line(size[1], a_x) - a_x[..., None])[..., None, :]  # relative to the start
    y = (line(size[0], a_y) - a_y[..., None])[..., :, None]
    to_x, to_y = (b_x - a_x)[..., None, None], (b_y - a_y)[..., None, None]
    share = ((x * to_x + y * to_y) / (to_x**2 + to_y**2).clamp(min=1)).clamp_(0, 1)
    strokes = (x - share * to_x).square() + (y - share * to_y).square()
    strokes = strokes.div_(-2 * sigma**2).exp_()
    rows, columns = within(a_y, b_y, size[0], sigma), within(a_x, b_x, size[1], sigma)
    return strokes.mul_((rows * score[..., None])[..., None] * columns[..., None, :])


def within(a: Points, b: Points, length: int, sigma: float) -> Bool[Tensor, "*B T K N"]:
    """Pixels from a - 3σ to b + 3σ, both truncated towards 0 as published."""
    first = (torch.minimum(a, b) - 3 * sigma).trunc()[..., None]
    last = (torch.maximum(a, b) + 3 * sigma).trunc()[..., None]
    pixels = line(length, a)
    return (pixels >= first) & (pixels <= last)


def line(length: int, like: Tensor) -> Float[Tensor, " N"]:
    return torch.arange(length, dtype=like.dtype, device=like.device)
