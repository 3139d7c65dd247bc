"""2s-AGCN and AAGCN: graphs that are learned, and adapted to how the joints of a clip compare.

Shi et al., "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action
Recognition", CVPR 2019, sections 3.2 to 3.4, the pose encoder of the paper's section 2: one network
reads joints, one bones; they are trained separately. Shi et al., "Skeleton-Based Action Recognition
with Multi-Stream Adaptive Graph Convolutional Networks", TIP 2020, section III, adds attention.

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

from imigue_lab.data.skeletons.graphs import spatial
from imigue_lab.data.skeletons.keypoints import Layout, Stored
from imigue_lab.models.graph.layers import (
    SUBSETS,
    Attention,
    FrameMask,
    Graph,
    GraphFeatures,
    JointNorm,
    Mixed,
    NormedConvolution,
    Own,
    Skeletons,
    check_width,
    mix_joints,
    normed,
    without_padding,
)
from imigue_lab.models.graph.stgcn import (
    Encoded,
    GraphBlock,
    GraphNetwork,
    Sizes,
    build_network,
    mean_over_time,
    start_as_published,
    start_head,
)
from imigue_lab.models.graph.temporal import KERNEL, OneConvolution


class SubsetConvolutions(nn.Module):
    """Weights for each subset of neighbours, and embeddings θ and φ that compare the joints.

    Subclasses make a graph of the comparison; `skip` is the path around the mixing.
    """

    def __init__(self, in_width: int, width: int):
        super().__init__()
        check_width(width)
        self.theta, self.phi, self.weights = (
            nn.ModuleList(nn.Conv2d(in_width, out, 1) for _ in range(SUBSETS))
            for out in (width // 4, width // 4, width)
        )
        self.norm = nn.BatchNorm2d(width)
        self.skip = NormedConvolution(in_width, width)

    def compare(self, x: GraphFeatures, own: Own | None) -> Attention:
        """``(θ_k x)_i · (φ_k x)_j / E T`` of all subsets in one convolution and one product."""
        maps: list[Any] = [*self.theta, *self.phi]
        y = F.conv2d(x, torch.cat([m.weight for m in maps]), torch.cat([m.bias for m in maps]))
        frames: int | Tensor = x.shape[-1]
        if own is not None:
            y, frames = y * own, reduce(own, "n 1 1 t -> n 1 1 1", "sum")
        embedding = y.shape[1] // len(maps)
        theta, phi = rearrange(y, "n (two k e) v t -> two n k v (t e)", two=2, k=SUBSETS)
        return theta @ phi.mT / (embedding * frames)

    def mix(self, x: GraphFeatures, graph: Attention) -> Mixed:
        """``BN(Σ_k W_k x G_k)``."""
        maps = list[Any](self.weights)
        weight = torch.cat([m.weight for m in maps], dim=2)
        bias = torch.stack([m.bias for m in maps]).sum(dim=0)
        return normed(partial(mix_joints, x, graph), weight, bias, self.norm)


class Graphs(NamedTuple):
    """The graph of one layer; entry [.., k, i, j] leads from joint i to joint j.

    The entries of `attention` that lead to a joint sum to 1.
    """

    fixed: Graph  # A, the bones of the layout
    learned: Graph  # B, the same for all clips
    attention: Float[Tensor, "B M K V V"]  # C, of each clip and person


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


class AGCN(GraphNetwork):
    """A graph network with tokens and graphs; persons are of `layout` and `persons` at most.

    More persons are refused, also more than 1.
    """

    def __init__(self, norm: JointNorm, blocks: list[GraphBlock], head: nn.Linear):
        super().__init__(norm, blocks, head)
        self.layout, self.persons = norm.layout, norm.persons

    def layers(self, skeleton: Skeletons, frame_mask: FrameMask | None) -> Iterator[Encoded]:
        return super().layers(self.norm.fill_persons(skeleton), frame_mask)

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
        """Logits; `bones` as computed by `data.skeletons.graphs.bone`."""
        return self.joint(joints, frame_mask) + self.bone(bones, frame_mask)

    def tokens(
        self, both: Float[Tensor, "B M T V CC"], frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B persons S V DD"]:
        """Tokens before pooling (paper: 2 x 256); `both` streams are concatenated, as they are."""
        joints, bones = both.chunk(2, dim=-1)
        streams = self.joint.tokens(joints, frame_mask), self.bone.tokens(bones, frame_mask)
        return torch.cat(streams, dim=-1)


def build_agcn(
    keypoints: Stored | Layout, classes: int, graph: Graph | None = None, **sizes: Unpack[Sizes]
) -> AGCN:
    """One stream of 2s-AGCN, started as published."""

    def time_part(width: int, stride: int) -> NormedConvolution:
        return NormedConvolution(width, width, KERNEL, stride)

    start, parts = spatial if graph is None else graph, (AdaptiveGraphConvolution, time_part)
    return start_as_published(build_network(AGCN, keypoints, classes, start, *parts, **sizes))


class CorrectedGraphConvolution(SubsetConvolutions):
    """``y = ReLU(BN(Σ_k W_k x (A_k + α C_k)) + skip(x))``, then `Emphasis` if enabled.

        C_k = tanh((θ_k x)_i · (φ_k x)_j / E T)

    A starts as the layout's graph and is learned, α starts at 0.
    """

    def __init__(self, graph: Graph, in_width: int, width: int, emphasis: bool):
        super().__init__(in_width, width)
        self.learned = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.emphasis = Emphasis(graph.shape[-1], width) if emphasis else None

    def forward(self, x: GraphFeatures, own: Own | None) -> Mixed:
        y = F.relu_(self.mix(x, self.correct(x, own)).add_(self.skip(x)))
        return y if self.emphasis is None else self.emphasis(y, own)

    def correct(self, x: GraphFeatures, own: Own | None) -> Attention:
        return torch.addcmul(self.learned, self.alpha, torch.tanh(self.compare(x, own)))


class Emphasis(nn.Module):
    """Joints, then frames, then channels are scaled by 1 to 2: ``y + y ⊙ σ(f(mean(y)))``."""

    def __init__(self, joints: int, width: int):
        super().__init__()
        reach = joints if joints % 2 else joints - 1
        self.joints = nn.Conv1d(width, 1, reach, padding=reach // 2)
        self.frames = nn.Conv1d(width, 1, 9, padding=4)
        self.squeeze = nn.Linear(width, width // 2)
        self.restore = nn.Linear(width // 2, width)

    def forward(self, y: Mixed, own: Own | None) -> Mixed:
        joints = 1 + torch.sigmoid(to_one_channel(mean_over_time(y, own), self.joints))
        # the means after a scaling follow from sums, without scaling the features in between
        over_joints = (joints / y.shape[2]) @ rearrange(y, "n d v t -> n v (t d)")
        over_joints = rearrange(over_joints, "n 1 (t d) -> n d t", d=y.shape[1])
        if own is not None:
            over_joints = over_joints * own[:, 0]
        frames = 1 + torch.sigmoid(to_one_channel(over_joints, self.frames))
        overall = mean_over_time((over_joints * frames)[:, :, None], own)[..., 0]
        channels = 1 + torch.sigmoid(self.restore(F.relu_(self.squeeze(overall))))
        places = joints[..., None] * frames[:, :, None]
        if not torch.is_grad_enabled():
            return (y * places).mul_(channels[..., None, None])
        # one product of places and channels: its gradient is two, not sums over products of maps
        scale = rearrange(places, "n one v t -> n (v t) one") @ channels[:, None]
        return y * rearrange(scale, "n (v t) d -> n d v t", t=y.shape[-1])


def to_one_channel(x: Float[Tensor, "N D L"], conv: nn.Conv1d) -> Float[Tensor, "N 1 L"]:
    """``conv(x)``: every tap times every position, then for each position the sum of its taps.

    Four times as fast as the convolution, which is optimised for many channels.
    """
    taps, places = conv.kernel_size[0], x.shape[-1]
    assert conv.bias is not None
    products = conv.weight[0].flip(1).T @ x
    summed = F.fold(products, (1, places), (1, taps), padding=(0, taps // 2))
    return summed[:, :, 0] + conv.bias


def build_aagcn(
    keypoints: Stored | Layout,
    classes: int,
    graph: Graph | None = None,
    emphasis: bool = True,
    original: bool = True,
    **sizes: Unpack[Sizes],
) -> GraphNetwork:
    """AAGCN, one stream.

    Args, beside `Sizes`:
        emphasis: on joints, frames and channels; mmaction2 calls the network without it 2s-AGCN,
            which it is not.
        original: graph and start of the authors' code, else of pyskl's; the equations are the same.
    """
    parts = partial(CorrectedGraphConvolution, emphasis=emphasis), OneConvolution
    start = partial(spatial, pyskl=not original) if graph is None else graph
    model = build_network(GraphNetwork, keypoints, classes, start, *parts, **sizes)
    start_as_published(model)
    for part in model.modules():
        if isinstance(part, Emphasis):
            nn.init.xavier_normal_(part.joints.weight)
            nn.init.zeros_(part.frames.weight)
            nn.init.kaiming_normal_(part.squeeze.weight)
            nn.init.zeros_(part.restore.weight)
    return model if original else start_head(model)
