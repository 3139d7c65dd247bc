"""2s-AGCN, one stream: convolutions over a graph that is fixed, learned, and seen in the clip.

Shi et al., "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action
Recognition", CVPR 2019, sections 3.2 to 3.4; the pose encoder of the paper's section 2.

Letters in shapes: B clips, M persons, N = B M, T frames (S = T / 4 after two strides), V joints, C
channels going in and D coming out, K = 3 subsets of a joint's neighbours: itself, inward, outward.
Inside, features are (N, C, V, T) with channels last in memory: joints mix in one matrix product,
and the convolution over time runs along the longest axis.

2s-AGCN, both streams: a network of joints, a network of bones, and where their tokens lie.

Shi et al., CVPR 2019, section 3.4. The networks are trained apart (agcn.py).

Letters in shapes: B clips, M persons, T frames, S = T / 4 tokens in time, V joints, C channels, D
width of one network's tokens, DD of both.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.graphs import spatial
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.models.graph.layers import (
    SUBSETS,
    Attention,
    GraphFeatures,
    JointNorm,
    Mixed,
    NormedConvolution,
    Own,
    SubsetConvolutions,
)

Skeletons = Float[Tensor, "B M T V C"]
FrameMask = Bool[Tensor, "B T"]
Graph = Float[Tensor, "K V V"]

KERNEL = 9  # frames
DEPTHS = (4, 3, 3)  # blocks of one, two and four times the width; time halves between them


class Graphs(NamedTuple):
    """What one layer mixes joints by; entry [.., k, i, j] leads from joint i to joint j.

    Attributes:
        fixed: A, the bones of the layout.
        learned: B, the same for all clips.
        attention: C, of each clip and person; what leads to a joint sums to 1.
    """

    fixed: Graph
    learned: Graph
    attention: Float[Tensor, "B M K V V"]


class AdaptiveGraphConvolution(SubsetConvolutions):
    """Joints take from joints, by weights of their own for each subset of neighbours.

        y   = ReLU(BN(Σ_k W_k x (A_k + B_k + C_k)) + skip(x))
        C_k = softmax_i((θ_k x)_i · (φ_k x)_j / E T),    E = D / 4 channels of θ and φ

    A is the layout's graph, B starts near 0. T counts a clip's own frames.
    """

    fixed: Tensor

    def __init__(self, graph: Graph, in_width: int, width: int):
        super().__init__(in_width, width)
        self.register_buffer("fixed", graph.clone(), persistent=False)  # the layout tells it
        self.learned = nn.Parameter(torch.full_like(graph, 1e-6))

    def forward(self, x: GraphFeatures, own: Own | None) -> tuple[Mixed, Attention]:
        attention = self.attend(x, own)
        y = self.mix(x, self.fixed + self.learned + attention)
        return F.relu_(y.add_(self.skip(x))), attention

    def attend(self, x: GraphFeatures, own: Own | None) -> Attention:
        return torch.softmax(self.compare(x, own), dim=-2)


class Block(nn.Module):
    """``ReLU(BN(conv_9(graph(x))) + residual(x))``; `stride` leaves every second frame out."""

    def __init__(
        self, graph: Graph, in_width: int, width: int, stride: int = 1, residual: bool = True
    ):
        super().__init__()
        self.stride = stride
        self.graph = AdaptiveGraphConvolution(graph, in_width, width)
        self.time = NormedConvolution(width, width, KERNEL, stride)
        self.residual = NormedConvolution(in_width, width, 1, stride) if residual else None

    def forward(
        self, x: GraphFeatures, own: Own | None
    ) -> tuple[Float[Tensor, "N D V S"], Attention]:
        y, attention = self.graph(x, own)
        if own is not None:
            y = y * own  # the convolution reaches into the padding
        y = self.time(y)
        return F.relu_(y if self.residual is None else y.add_(self.residual(x))), attention


class AGCN(nn.Module):
    """Norm of the input, blocks, mean over frames, joints and persons, one linear layer.

    It takes up to `persons` of `layout`; absent ones are zeros and count in the mean, as published.
    """

    def __init__(self, layout: Layout, norm: JointNorm, blocks: list[Block], head: nn.Linear):
        super().__init__()
        self.layout = layout
        self.persons = norm.persons
        self.norm = norm
        self.blocks = nn.ModuleList(blocks)
        self.head = head

    def forward(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B classes"]:
        """Logits.

        Args:
            skeleton: normalised places; a missing joint is all 0. Persons may be fewer than
                `persons`.
            frame_mask: False where a frame is padding: then a clip's result does not depend on its
                batch. (In training, batch statistics count the padding, as published.)
        """
        x, own, _ = self.encode(skeleton, frame_mask)
        x = reduce(x, "(b m) d v t -> b d t", "mean", m=self.persons)
        if own is None:
            return self.head(x.mean(dim=-1))
        share = own[:: self.persons, 0]
        return self.head((x * share).sum(dim=-1) / share.sum(dim=-1))

    def tokens(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B persons S V D"]:
        """What is pooled into the logits, a token a joint and four frames; 0 in the padding."""
        x, own, _ = self.encode(skeleton, frame_mask)
        x = x if own is None else x * own
        return rearrange(x, "(b m) d v s -> b m s v d", m=self.persons)

    def graphs(self, skeleton: Skeletons, frame_mask: FrameMask | None = None) -> list[Graphs]:
        """The adaptive graph of each layer."""
        layers: list[Any] = [block.graph for block in self.blocks]
        attentions = [
            rearrange(attention, "(b m) k i j -> b m k i j", m=self.persons)
            for attention in self.encode(skeleton, frame_mask)[2]
        ]
        return [Graphs(g.fixed, g.learned, a) for g, a in zip(layers, attentions, strict=True)]

    def encode(
        self, skeleton: Skeletons, frame_mask: FrameMask | None
    ) -> tuple[Float[Tensor, "N D V S"], Float[Tensor, "N 1 1 S"] | None, list[Attention]]:
        """Features, the frames of them that are a clip's own, and each layer's attention."""
        x = rearrange(self.norm(skeleton), "b m t v c -> (b m) c v t")
        x = x.contiguous(memory_format=torch.channels_last)
        own = None
        if frame_mask is not None and not frame_mask.all():
            own = repeat(frame_mask, "b t -> (b m) 1 1 t", m=self.persons).to(x.dtype)
        attentions = []
        for block in self.blocks:
            x, attention = block(x, own)
            own = None if own is None else own[..., :: block.stride]
            attentions.append(attention)
        return x, own, attentions


def build_agcn(
    keypoints: str,
    classes: int,
    channels: int = 3,
    persons: int = 1,
    width: int = 64,
    depths: Sequence[int] = DEPTHS,
    mask_missing: bool = True,
) -> AGCN:
    """One stream of 2s-AGCN, started as published.

    Args:
        keypoints: name of a layout, which gives the fixed graph.
        channels, persons: of the skeletons; more persons than these are refused.
        width: of the first blocks, a multiple of 4; tokens are four times as wide (paper: 64).
        depths: blocks of `width`, twice and four times it (paper: 4, 3, 3).
        mask_missing: missing joints enter as zeros, see `JointNorm`; False is as published.
    """
    if width % 4:
        raise ValueError(f"width must be a multiple of 4; got {width}")
    layout = LAYOUTS[keypoints]
    graph = torch.tensor(spatial(layout), dtype=torch.float32)
    widths = [channels] + [width * 2**stage for stage, n in enumerate(depths) for _ in range(n)]
    begins = {sum(depths[:stage]) for stage in range(1, len(depths))}
    blocks = [
        Block(graph, a, b, stride=2 if number in begins else 1, residual=number > 0)
        for number, (a, b) in enumerate(pairwise(widths))
    ]
    norm = JointNorm(layout, persons, channels, mask_missing)
    model = AGCN(layout, norm, blocks, nn.Linear(widths[-1], classes))
    start_as_published(model)
    return model


def start_as_published(model: nn.Module) -> None:
    """Graph convolutions start as their skip alone: the weight of their norm is 1e-6."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 4 and ".weights." in name:
            nn.init.normal_(parameter, std=math.sqrt(2 / (parameter.numel() * SUBSETS)))
        elif parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter, mode="fan_out")
        elif name.endswith("graph.norm.weight"):
            nn.init.constant_(parameter, 1e-6)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    head = model.get_parameter("head.weight")
    nn.init.normal_(head, std=math.sqrt(2 / len(head)))


FRAMES = 4  # a token stands for


class TwoStream(nn.Module):
    """``logits = f_joint(joints) + f_bone(bones)``: raw scores, added.

    Args:
        joint, bone: of one layout and as many classes.
    """

    def __init__(self, joint: AGCN, bone: AGCN):
        super().__init__()
        for what, a, b in (
            ("keypoints", joint.layout.name, bone.layout.name),
            ("classes", joint.head.out_features, bone.head.out_features),
            ("persons", joint.persons, bone.persons),
        ):
            if a != b:
                raise ValueError(
                    f"{what}: the joint network has {a}, the bone network {b}; take two networks"
                    " that were trained alike"
                )
        self.joint = joint
        self.bone = bone

    def forward(
        self, joints: Skeletons, bones: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B classes"]:
        """Logits; `bones` as `data.skeletons.streams.bone` makes them."""
        return self.joint(joints, frame_mask) + self.bone(bones, frame_mask)

    def tokens(
        self, joints: Skeletons, bones: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B persons S V DD"]:
        """Both networks' tokens side by side, before pooling (paper: 2 x 256)."""
        streams = self.joint.tokens(joints, frame_mask), self.bone.tokens(bones, frame_mask)
        return torch.cat(streams, dim=-1)


def place_tokens(
    places: Float[Tensor, "B M T V 2"], present: Bool[Tensor, "B M T V"]
) -> tuple[Float[Tensor, "B M S V 2"], Bool[Tensor, "B M S V"]]:
    """Where the joint of each token was, and whether it was seen at all.

    Args:
        places: x, y in pixels of the frames that the tokens were made from.
        present: False where a joint is missing, and in padded frames.

    Returns:
        The mean place over those of the token's four frames in which the joint was seen, and False
        where there was none (its place is 0).
    """
    padding = -places.shape[2] % FRAMES
    places = F.pad(places, (0, 0, 0, 0, 0, padding))
    present = F.pad(present, (0, 0, 0, padding))
    seen = present[..., None].to(places.dtype)
    groups = "b m (s f) v c -> b m s v c"
    count = reduce(seen, groups, "sum", f=FRAMES)
    total = reduce(places * seen, groups, "sum", f=FRAMES)
    return total / count.clamp(min=1), count[..., 0] > 0
