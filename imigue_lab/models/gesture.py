"""Micro-gestures: two streams of tokens, CMTF, memory, weighted heads (paper section 2, Fig. 1a).

CMTF's alternatives (section 5.1, Table 2) are here too.

Letters in shapes: B clips, C classes, D width.
"""

from collections.abc import Sequence
from typing import NamedTuple, get_args

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from imigue_lab.errors import DataError, SettingsError
from imigue_lab.models import CRITERIA, Criterion, GestureFusion, Reads
from imigue_lab.models.bank import Rule
from imigue_lab.models.cmtf import CMTF, Fusion
from imigue_lab.models.memory import Memory, Recalled, build_memory
from imigue_lab.models.tokens import Projection, Tokens, masked_mean


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
    """Only the logits of the modalities are combined; without an f of the clip, no memory."""

    def __init__(self, dim: int):
        super().__init__()
        self.means = ModalityMeans(dim)

    def forward(self, rgb: Tokens, pose: Tokens, return_attention: bool = False) -> Fusion:
        return Fusion(None, *self.means(rgb, pose))


class ConcatFusion(nn.Module):
    """``f = Linear([f_rgb; f_pose])``; a learned vector replaces a missing modality."""

    def __init__(self, dim: int):
        super().__init__()
        self.means = ModalityMeans(dim)
        self.join = nn.Linear(2 * dim, dim)
        self.absent = nn.Parameter(torch.zeros(2, dim))

    def forward(self, rgb: Tokens, pose: Tokens, return_attention: bool = False) -> Fusion:
        f_rgb, f_pose = self.means(rgb, pose)
        f_rgb = torch.where(rgb.present[:, None], f_rgb, self.absent[0].to(f_rgb.dtype))
        f_pose = torch.where(pose.present[:, None], f_pose, self.absent[1].to(f_pose.dtype))
        return Fusion(self.join(rearrange([f_rgb, f_pose], "two b d -> b (two d)")), f_rgb, f_pose)


class GestureOutput(NamedTuple):
    """The model's output for B clips, and the quantities it is based on.

    `logits` are the paper's C: the weighted sum of both heads' logits, or one of them if the other
    modality has no valid token.
    """

    y_rgb: Float[Tensor, "B C"]  # logits of the heads
    y_pose: Float[Tensor, "B C"]
    logits: Float[Tensor, "B C"]
    unrefined: Float[Tensor, "B C"]  # the same before the memory, no gradient
    w_pose: Float[Tensor, ""]  # weight of y_pose, above 1/2
    has_rgb: Bool[Tensor, " B"]  # whether the modality has a valid token
    has_pose: Bool[Tensor, " B"]
    refined: Float[Tensor, "B D"]  # f'; 0 in late fusion
    fusion: Fusion  # f, f_rgb, f_pose, and CMTF's sizes, source matrix and attention
    recalled: Recalled | None  # the memory's output; None without memory

    @property
    def heads(self) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B C"]]:
        """Logits of the pose head and of the RGB head, both with the other head's logits where
        their own modality has no valid token and the other has."""
        only_pose, only_rgb = self.has_pose & ~self.has_rgb, self.has_rgb & ~self.has_pose
        pose = torch.where(only_rgb[:, None], self.y_rgb, self.y_pose)
        return pose, torch.where(only_pose[:, None], self.y_pose, self.y_rgb)

    @property
    def based_on(self) -> list[str]:
        """For each clip: both, rgb, pose or nothing (no valid token at all)."""
        names = {(True, True): "both", (True, False): "rgb", (False, True): "pose"}
        present = zip(self.has_rgb.tolist(), self.has_pose.tolist(), strict=True)
        return [names.get(pair, "nothing") for pair in present]


class Candidates(NamedTuple):
    """Clips of a step, of all processes, that the memory may store."""

    f: Float[Tensor, "B D"]  # unrefined features of the clips, no gradient
    logits: Float[Tensor, "B C"]  # unrefined; 0 for a clip without any token
    label: Int[Tensor, " B"]
    clip_ids: list[str]


class GestureModel(nn.Module):
    """Tokens of two modalities -> fusion -> memory -> two heads -> weighted logits.

        y_rgb = head_rgb(f_rgb + f')          y_pose = head_pose(f_pose + f')
        C = w_pose y_pose + w_rgb y_rgb       w_pose = (1 + σ(θ)) / 2 > 1/2,  w_rgb = 1 - w_pose
        f' = LN(f + A)                        A from the memory; unrefined: A = 0

    A memory that reads every class adds its evidence to y_rgb and y_pose instead of A to f.

    For a clip without a valid token of one modality, C is the other head's logits.

    In evaluation `prior`, 0 unless it is set, is added to both heads' logits, and so to C: the log
    ratio of the classes' frequencies in the data and in the draws of training. The memory then
    reads the class that is predicted; what training writes and reads does not depend on it.
    """

    prior: Tensor

    def __init__(
        self,
        rgb: Projection,
        pose: Projection,
        fusion: CMTF | ConcatFusion | LateFusion,
        classes: int,
    ):
        super().__init__()
        dim = rgb.linear.out_features
        self.rgb, self.pose, self.fusion = rgb, pose, fusion
        self.memory: Memory | None = None
        self.norm = None if isinstance(fusion, LateFusion) else nn.LayerNorm(dim)
        self.head_rgb, self.head_pose = nn.Linear(dim, classes), nn.Linear(dim, classes)
        self.theta = nn.Parameter(torch.zeros(()))
        self.register_buffer("prior", torch.zeros(classes))

    @property
    def w_pose(self) -> Float[Tensor, ""]:
        return (1 + torch.sigmoid(self.theta)) / 2

    def forward(
        self,
        rgb: Tokens,
        pose: Tokens,
        clip_ids: Sequence[str] | None = None,
        return_attention: bool = False,
    ) -> GestureOutput:
        """With `clip_ids` no clip retrieves its own entry: required in training with memory, and of
        use for training clips in evaluation. Raises DataError for tokens that do not fit the model
        or each other, and for missing ids.
        """
        check(rgb, self.rgb, "rgb")
        check(pose, self.pose, "pose")
        if len(rgb.mask) != len(pose.mask):
            raise DataError(
                f"{len(rgb.mask)} clips of rgb tokens and {len(pose.mask)} of pose tokens: give"
                " both modalities of the same clips, with an empty mask where one is missing"
            )
        if self.training and self.memory is not None and clip_ids is None:
            raise DataError(
                "training with memory needs clip_ids, so that no clip retrieves its own entry"
            )
        present = rgb.present, pose.present
        fused = self.fusion(self.rgb(rgb), self.pose(pose), return_attention)
        refined, recalled, evidence = self.normalise(fused), None, None
        unrefined = self.decide(fused, refined, *present)[2].detach()
        if self.memory is not None and fused.f is not None:
            recalled = self.memory(fused.f, unrefined, clip_ids)
            refined, evidence = self.normalise(fused, recalled.context), recalled.evidence
        decision = self.decide(fused, refined, *present, evidence)
        return GestureOutput(*decision, unrefined, self.w_pose, *present, refined, fused, recalled)

    def normalise(self, fused: Fusion, context: Tensor | float = 0.0) -> Float[Tensor, "B D"]:
        """``f' = LN(f + A)``; 0 where the fusion has no f."""
        if fused.f is None or self.norm is None:
            return torch.zeros_like(fused.f_rgb)
        return self.norm(fused.f + context)

    def decide(
        self,
        fused: Fusion,
        refined: Float[Tensor, "B D"],
        has_rgb: Bool[Tensor, " B"],
        has_pose: Bool[Tensor, " B"],
        evidence: Float[Tensor, "B C"] | None = None,
    ) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B C"], Float[Tensor, "B C"]]:
        """y_rgb, y_pose and C."""
        y_rgb, y_pose = self.head_rgb(fused.f_rgb + refined), self.head_pose(fused.f_pose + refined)
        if not self.training:
            y_rgb, y_pose = y_rgb + self.prior, y_pose + self.prior
        if evidence is not None:
            y_rgb, y_pose = y_rgb + evidence, y_pose + evidence
        weighted = self.w_pose * y_pose + (1 - self.w_pose) * y_rgb
        alone = torch.where(has_rgb[:, None], y_rgb, y_pose)
        return y_rgb, y_pose, torch.where((has_rgb == has_pose)[:, None], weighted, alone)

    def begin_epoch(self, epoch: int) -> None:
        """Sets the memory's epoch, from 0: it reads from epoch `warmup` on."""
        if self.memory is not None:
            self.memory.epoch.fill_(epoch)

    def candidates(
        self, output: GestureOutput, label: Int[Tensor, " B"], clip_ids: Sequence[str]
    ) -> Candidates | None:
        """What the memory may store of these clips; None without memory."""
        if self.memory is None or output.recalled is None or output.fusion.f is None:
            return None
        # A clip without any token is not stored.
        present = (output.has_rgb | output.has_pose)[:, None]
        logits, f = output.unrefined.masked_fill(~present, 0), output.fusion.f.detach()
        return Candidates(f, logits, label, [*clip_ids])

    def remember(self, candidates: Candidates) -> dict[str, Rule]:
        """Writes the clips of a step into the memory, after reading; see `Bank.write`."""
        return {} if self.memory is None else self.memory.bank.write(*candidates)


def check(tokens: Tokens, projection: Projection, name: str) -> None:
    found, expected = tokens.values.shape[2], projection.linear.in_features
    if found != expected:
        raise DataError(
            f"{name} tokens of width {found} for a model of {name}_dim={expected}: give features of"
            f" the encoder that it was trained on, or build it with {name}_dim={found}"
        )


def build_fusion(
    name: GestureFusion, dim: int, heads: int, criteria: Sequence[Criterion], merge: int | float
) -> CMTF | ConcatFusion | LateFusion:
    """`heads`, `criteria` and `merge` are CMTF's; raises SettingsError if they do not fit."""
    if name not in get_args(GestureFusion):
        names = ", ".join(get_args(GestureFusion))
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


def build_gesture(
    rgb_dim: int = 768,
    pose_dim: int = 512,
    classes: int = 32,
    width: int = 512,
    heads: int = 8,
    fusion: GestureFusion = "cmtf",
    criteria: Sequence[Criterion] = CRITERIA,
    merge: int | float = 0.25,
    memory: bool = True,
    bank: int = 50,
    top_k: int = 5,
    momentum: int | float = 0.9,
    warmup: int = 5,
    reads: Reads = "predicted",
    centred: bool = True,
) -> GestureModel:
    """The paper's gesture model (Fig. 1a), or a variant by name; raises SettingsError for values
    that do not fit together.

    Args:
        rgb_dim, pose_dim: widths of the encoders' tokens (MViTv2-S; 2s-AGCN joint and bone).
        width, heads: of everything after them (paper: 512, 8).
        fusion: `late` adds the modalities' logits; `concat` joins their pooled features;
            `cross_attention` is CMTF without merging; `cmtf`.
        criteria: those of CMTF's attention that are enabled.
        merge: share of the shorter modality's tokens that merge, 0 to 0.5.
        memory: refinement by the bank, and prototypes; False leaves out both.
        bank, top_k, momentum: entries per class, entries read, inertia (paper: 50, 5, 0.9).
        warmup: epochs in which the bank is written but not read.
        reads: entries of the predicted class refine f, or those of all classes the logits.
        centred: whether the clip's mean is subtracted from each token, see `Projection`.
    """
    if width % heads:
        raise SettingsError(f"width ({width}) must be a multiple of heads ({heads})")
    if memory and fusion == "late":
        raise SettingsError("late fusion has no feature of the clip to remember: set memory=false")
    rgb, pose = (Projection(dim, width, centred) for dim in (rgb_dim, pose_dim))
    model = GestureModel(rgb, pose, build_fusion(fusion, width, heads, criteria, merge), classes)
    if memory:  # initialised last: with one seed, the other weights start alike without it
        model.memory = build_memory(classes, width, heads, bank, top_k, momentum, warmup, reads)
    return model
