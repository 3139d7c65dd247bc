"""Parts that graph networks share: joints take from joints by a graph, frames from frames.

Letters in shapes: N clips and persons, T frames (S after a stride), V joints, C channels going in
and D coming out, K = 3 subsets of a joint's neighbours: itself, inward, outward. Features are
(N, C, V, T), fastest with channels last in memory. An entry [.., k, i, j] of a graph leads from
joint i to joint j.

Source: 2s-AGCN (Shi et al., CVPR 2019, sections 3.2 to 3.4) and its published code.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.models.normed import normed, normed_convolution

Features = Float[Tensor, "N C V T"]
Mixed = Float[Tensor, "N D V T"]
Attention = Float[Tensor, "N K V V"]
Own = Float[Tensor, "N 1 1 T"]  # 1 where a frame is the clip's own, 0 where it is padding

SUBSETS = 3


def mix_joints(
    x: Features,
    graph: Float[Tensor, "*N K V V"],
    weight: Float[Tensor, "D C K 1"],
    bias: Float[Tensor, " D"] | None = None,
) -> Mixed:
    """``Σ_k W_k x G_k``: one product with all subsets, one convolution that spans them."""
    joints, frames = x.shape[-2:]
    # a graph for each clip, even if it is the same: else matmul turns the clips about, by copies
    graph = rearrange(graph, "... k i j -> ... (k j) i").expand(len(x), -1, -1)
    y = graph @ rearrange(x, "n c v t -> n v (t c)")
    y = rearrange(y, "n kv (t c) -> n c kv t", t=frames)
    return F.conv2d(y, weight, bias, dilation=(joints, 1))


def at_least_float32(x: Tensor) -> Tensor:
    """For sums of maps that are spread over others: half a number's bits make them slower there."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class SubsetConvolutions(nn.Module):
    """Weights for each subset of neighbours, and embeddings θ and φ that compare the joints.

    What graph they make of it is a subclass's; `skip` passes by what it mixes.
    """

    def __init__(self, in_width: int, width: int):
        super().__init__()
        self.theta, self.phi, self.weights = (
            nn.ModuleList(nn.Conv2d(in_width, out, 1) for _ in range(SUBSETS))
            for out in (width // 4, width // 4, width)
        )
        self.norm = nn.BatchNorm2d(width)
        self.skip = NormedConvolution(in_width, width)

    def compare(self, x: Features, own: Own | None) -> Attention:
        """``(θ_k x)_i · (φ_k x)_j / E T`` of all subsets in one convolution and one product."""
        maps: list[Any] = [*self.theta, *self.phi]
        y = F.conv2d(x, torch.cat([m.weight for m in maps]), torch.cat([m.bias for m in maps]))
        frames: int | Tensor = x.shape[-1]
        if own is not None:
            y, frames = y * own, reduce(own, "n 1 1 t -> n 1 1 1", "sum")
        embedding = y.shape[1] // len(maps)
        theta, phi = rearrange(y, "n (two k e) v t -> two n k v (t e)", two=2, k=SUBSETS)
        return theta @ phi.mT / (embedding * frames)

    def mix(self, x: Features, graph: Attention) -> Mixed:
        """``BN(Σ_k W_k x G_k)``."""
        maps = list[Any](self.weights)
        weight = torch.cat([m.weight for m in maps], dim=2)
        bias = torch.stack([m.bias for m in maps]).sum(dim=0)
        return normed(partial(mix_joints, x, graph), weight, bias, self.norm)


class AlongTime(nn.Conv2d):
    """A convolution over frames; its weights (D, C, frames, 1) are those of (N, C, T, V)."""

    def __init__(self, in_width: int, width: int, kernel: int, stride: int, dilation: int = 1):
        reach = kernel // 2 * dilation
        super().__init__(in_width, width, (kernel, 1), (stride, 1), (reach, 0), (dilation, 1))
        self.steps = ((1, stride), (0, reach), (1, dilation))

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, weight.mT, bias, *self.steps)


class NormedConvolution(nn.Sequential):
    """``BN(conv(x))`` along time; `x` itself where frame, width and stride stay as they are."""

    def __init__(self, in_width: int, width: int, kernel: int = 1, stride: int = 1):
        super().__init__()
        if kernel > 1 or in_width != width or stride > 1:
            self.append(AlongTime(in_width, width, kernel, stride))
            self.append(nn.BatchNorm2d(width))

    def forward(self, x: Features) -> Float[Tensor, "N D V S"]:
        return normed_convolution(x, *self) if len(self) else x
