"""2s-AGCN: convolutions over a graph that is fixed, learned, and estimated from the clip.

Shi et al., "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action
Recognition", CVPR 2019, sections 3.2 to 3.4; the pose encoder of the paper's section 2. One network
reads joints, one bones; they are trained separately.

Letters in shapes as in `layers`: B clips, M persons, N = B M, T frames (S = T / 4 after two
strides), V joints, C channels going in and D coming out, DD of both networks, K = 3 subsets of a
joint's neighbours.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.graphs import spatial
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.models.graph.layers import (
    Attention,
    FrameMask,
    Graph,
    GraphFeatures,
    JointNorm,
    Mixed,
    NormedConvolution,
    Own,
    Shorter,
    Skeletons,
    SubsetConvolutions,
)
from imigue_lab.models.graph.network import (
    DEPTHS,
    block_shapes,
    check_width,
    last_width,
    layout_of,
    own_frames,
    start_as_published,
    to_features,
)

KERNEL = 9  # frames


class Graphs(NamedTuple):
    """The graph of one layer; entry [.., k, i, j] leads from joint i to joint j.

    Attributes:
        fixed: A, the bones of the layout.
        learned: B, the same for all clips.
        attention: C, of each clip and person; the entries that lead to a joint sum to 1.
    """

    fixed: Graph
    learned: Graph
    attention: Float[Tensor, "B M K V V"]


class AdaptiveGraphConvolution(SubsetConvolutions):
    """A weighted sum over joints, with separate weights for each subset of neighbours.

        y   = ReLU(BN(Σ_k W_k x (A_k + B_k + C_k)) + skip(x))
        C_k = softmax_i((θ_k x)_i · (φ_k x)_j / E T),    E = D / 4 channels of θ and φ

    A is the layout's graph, B starts near 0. T counts a clip's own frames.
    """

    fixed: Tensor

    def __init__(self, graph: Graph, in_width: int, width: int):
        super().__init__(in_width, width)
        self.register_buffer("fixed", graph.clone(), persistent=False)  # follows from the layout
        self.learned = nn.Parameter(torch.full_like(graph, 1e-6))

    def forward(self, x: GraphFeatures, own: Own | None) -> tuple[Mixed, Attention]:
        attention = self.attend(x, own)
        y = self.mix(x, self.fixed + self.learned + attention)
        return F.relu_(y.add_(self.skip(x))), attention

    def attend(self, x: GraphFeatures, own: Own | None) -> Attention:
        return torch.softmax(self.compare(x, own), dim=-2)


class Block(nn.Module):
    """``ReLU(BN(conv_9(graph(x))) + residual(x))``; with a stride of 2, of every second frame."""

    def __init__(self, graph: Graph, widths: tuple[int, int], stride: int, residual: bool):
        super().__init__()
        self.stride = stride
        self.graph = AdaptiveGraphConvolution(graph, *widths)
        self.time = NormedConvolution(widths[1], widths[1], KERNEL, stride)
        self.residual = NormedConvolution(*widths, 1, stride) if residual else None

    def forward(self, x: GraphFeatures, own: Own | None) -> tuple[Shorter, Attention]:
        y, attention = self.graph(x, own)
        if own is not None:
            y = y * own  # the convolution reaches into the padding
        y = self.time(y)
        return F.relu_(y if self.residual is None else y.add_(self.residual(x))), attention


class AGCN(nn.Module):
    """Norm of the input, blocks, mean over frames, joints and persons, one linear layer.

    Persons are of `layout` and `persons` at most; absent ones are zeros and count in the mean, as
    published.
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
            skeleton: normalised coordinates; a missing joint is all 0. Persons may be fewer than
                `persons`.
            frame_mask: False for padded frames: then a clip's result does not depend on its batch.
                (In training, batch statistics count the padding, as published.)
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
        """The features before pooling, one token per joint and four frames; 0 in the padding."""
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
    ) -> tuple[Shorter, Float[Tensor, "N 1 1 S"] | None, list[Attention]]:
        """Features, their frames that are a clip's own, and each layer's attention."""
        x = to_features(self.norm(skeleton))
        own = own_frames(frame_mask, x, self.persons)
        attentions = []
        for block in self.blocks:
            x, attention = block(x, own)
            own = None if own is None else own[..., :: block.stride]
            attentions.append(attention)
        return x, own, attentions


class TwoStream(nn.Module):
    """``logits = f_joint(joints) + f_bone(bones)``.

    Args:
        joint, bone: of one layout and one number of classes and persons.
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
                    f"{what}: the joint network has {a}, the bone network {b}; use two networks"
                    " that were trained alike"
                )
        self.joint = joint
        self.bone = bone

    def forward(
        self, joints: Skeletons, bones: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B classes"]:
        """Logits; `bones` as computed by `data.skeletons.streams.bone`."""
        return self.joint(joints, frame_mask) + self.bone(bones, frame_mask)

    def tokens(
        self, joints: Skeletons, bones: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B persons S V DD"]:
        """Both networks' tokens, concatenated, before pooling (paper: 2 x 256)."""
        streams = self.joint.tokens(joints, frame_mask), self.bone.tokens(bones, frame_mask)
        return torch.cat(streams, dim=-1)


def build_agcn(
    keypoints: str | Layout,
    classes: int,
    channels: int = 3,
    persons: int = 1,
    width: int = 64,
    depths: Sequence[int] = DEPTHS,
    mask_missing: bool = True,
    graph: Graph | None = None,
) -> AGCN:
    """One stream of 2s-AGCN, started as published; arguments as of `build_network`.

    More than `persons` persons are refused, also more than 1.
    """
    check_width(width)
    layout = layout_of(keypoints)
    fixed = torch.tensor(spatial(layout), dtype=torch.float32) if graph is None else graph
    blocks = [Block(fixed, *shape) for shape in block_shapes(channels, width, depths)]
    norm = JointNorm(layout, persons, channels, mask_missing)
    model = AGCN(layout, norm, blocks, nn.Linear(last_width(width, depths), classes))
    start_as_published(model)
    return model
