"""2s-AGCN: convolutions over a graph that is fixed, learned, and estimated from the clip.

Shi et al., "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action
Recognition", CVPR 2019, sections 3.2 to 3.4; the pose encoder of the paper's section 2. One network
reads joints, one bones; they are trained separately.

Letters in shapes as in `layers`: B clips, M persons, N = B M, T frames (S = T / 4 after two
strides), V joints, C channels going in and D coming out, DD of both networks, K = 3 subsets of a
joint's neighbours.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, Unpack

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn

from imigue_lab.data.skeletons.declared import Stored, layout_of
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
    Encoded,
    GraphBlock,
    GraphNetwork,
    Sizes,
    build_parts,
    start_as_published,
)
from imigue_lab.models.graph.temporal import KERNEL, without_padding


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

    def forward(self, x: GraphFeatures, own: Own | None) -> Mixed:
        y = self.mix(x, self.fixed + self.learned + self.attend(x, own))
        return F.relu_(y.add_(self.skip(x)))

    def attend(self, x: GraphFeatures, own: Own | None) -> Attention:
        return torch.softmax(self.compare(x, own), dim=-2)


class TimeConvolution(NormedConvolution):
    """``BN(conv_9(x))`` of a clip's own frames."""

    def __init__(self, width: int, stride: int):
        super().__init__(width, width, KERNEL, stride)

    def forward(self, x: GraphFeatures, own: Own | None = None) -> Shorter:
        return super().forward(without_padding(x, own))


class AGCN(GraphNetwork):
    """A graph network with tokens and graphs; persons are of `layout` and `persons` at most.

    More persons are refused, also more than 1.
    """

    def __init__(self, norm: JointNorm, blocks: list[GraphBlock], head: nn.Linear):
        super().__init__(norm, blocks, head)
        self.layout, self.persons = norm.layout, norm.persons

    def layers(self, skeleton: Skeletons, frame_mask: FrameMask | None) -> Iterator[Encoded]:
        return super().layers(self.norm.fill_persons(skeleton), frame_mask)

    def pooled(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B D"]:
        x, own = self.encode(skeleton, frame_mask)
        x = reduce(x, "(b m) d v t -> b d t", "mean", m=self.persons)
        if own is None:
            return x.mean(dim=-1)
        share = own[:: self.persons, 0]
        return (x * share).sum(dim=-1) / share.sum(dim=-1)

    def tokens(
        self, skeleton: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B persons S V D"]:
        """The features before pooling, one token per joint and four frames; 0 in the padding."""
        x = without_padding(*self.encode(skeleton, frame_mask))
        return rearrange(x, "(b m) d v s -> b m s v d", m=self.persons)

    def graphs(self, skeleton: Skeletons, frame_mask: FrameMask | None = None) -> list[Graphs]:
        """The adaptive graph of each layer."""
        parts: list[Any] = [block.graph for block in self.blocks]
        graphs = []
        for part, (x, own) in zip(parts, self.layers(skeleton, frame_mask), strict=False):
            c = rearrange(part.attend(x, own), "(b m) k i j -> b m k i j", m=self.persons)
            graphs.append(Graphs(part.fixed, part.learned, c))
        return graphs


class TwoStream(nn.Module):
    """``f_joint(joints) + f_bone(bones)``, of one layout and one number of classes and persons."""

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
        self.joint, self.bone = joint, bone

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
    keypoints: Stored | Layout, classes: int, graph: Graph | None = None, **sizes: Unpack[Sizes]
) -> AGCN:
    """One stream of 2s-AGCN, started as published."""
    layout = layout_of(keypoints)
    fixed = torch.tensor(spatial(layout), dtype=torch.float32) if graph is None else graph
    graph_part = partial(AdaptiveGraphConvolution, fixed)
    model = AGCN(*build_parts(graph_part, TimeConvolution, layout, classes, **sizes))
    start_as_published(model)
    return model
