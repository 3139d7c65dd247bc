"""Table 1 of the paper: each network's input, publication, score, recipe and builder.

They are in `baselines.toml`. Recipes are the authors' training settings, or pyskl's configurations
for NTU RGB+D; docs/recipes.md compares each with what was published.
"""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from imigue_lab.data.skeletons.augment import Augment
from imigue_lab.data.skeletons.keypoints import Stored, layout_of
from imigue_lab.models import import_builder

if TYPE_CHECKING:  # the table is read without torch
    import torch.nn

Optimizer = Literal["adamw", "sgd"]
Sampling = Literal["resample", "uniform", "window"]
Region = Literal["centre", "person"]

SAMPLED = {"resample": "evenly", "uniform": "sampled uniformly", "window": "at a stride of 2"}
AUGMENTED = {"none": "", "turn": "scaled and rotated", "mirror": "cropped and mirrored"}


class Recipe(NamedTuple):
    """Values of the settings of the same names, see `BaselineSettings`."""

    optimizer: Optimizer
    lr: float
    weight_decay: float
    scheduler: str
    epochs: int
    batch_size: int
    frames: int
    sampling: Sampling
    augment: Augment = "none"
    test_clips: int = 1
    test_crops: int = 1
    test_flips: bool = False
    balance: float = 0.0
    nesterov: bool = True
    decay_norms: bool = True
    backbone_lr: float = 1.0
    layer_decay: float = 1.0
    rotation: float = 0.0
    temporal_crop: float = 1.0
    distort: bool = False
    smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    lr_warmup: float = 0.0
    clip_grad: float = 0.0
    region: Region = "centre"

    def __str__(self) -> str:
        sgd = "Nesterov SGD" if self.nesterov else "SGD"
        optimizer = sgd if self.optimizer == "sgd" else "AdamW"
        frames = f"{self.frames} frames" if self.frames else "all frames"
        schedule = self.scheduler.replace("steps:", "a tenth after epochs ")
        schedule = schedule.replace("cosine:", "cosine with least rates ").replace(":", " and ")
        parts = [
            f"{optimizer} {self.lr:g} for {self.batch_size} clips",
            f"{self.backbone_lr:g} of it below the head" if self.backbone_lr < 1 else "",
            f"{self.layer_decay:g} of it in each block below" if self.layer_decay < 1 else "",
            f"decay {self.weight_decay:g}{'' if self.decay_norms else ' except norms and biases'}",
            schedule,
            f"{self.epochs} epochs{f', {self.lr_warmup:g} of warm-up' * (self.lr_warmup > 0)}",
            f"gradients of norm {self.clip_grad:g} at most" if self.clip_grad else "",
            f"{frames} {SAMPLED[self.sampling]}",
            "around the person" if self.region == "person" else "",
            AUGMENTED[self.augment],
            "distorted" if self.distort else "",
            f"rotated by up to {self.rotation:g}" if self.rotation else "",
            f"parts of at least {100 * self.temporal_crop:g} %" if self.temporal_crop < 1 else "",
            f"labels smoothed by {self.smoothing:g}" if self.smoothing else "",
            f"mixup {self.mixup:g}" if self.mixup else "",
            f"cutmix {self.cutmix:g}" if self.cutmix else "",
            f"tested on the mean of {self.test_clips} clips" if self.test_clips > 1 else "",
            f"of {self.test_crops} crops each" if self.test_crops > 1 else "",
            "also mirrored" if self.test_flips else "",
        ]
        return ", ".join(part for part in parts if part)


FILE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def read_recipe(name: str) -> Recipe:
    """One of `baselines.toml`, with the values of the recipe that it is like."""
    own = dict(FILE["recipes"][name])
    like = own.pop("like", "")
    return read_recipe(like)._replace(**own) if like else Recipe(**own)


Videos = Literal["tsm", "slowonly", "video-swin-t", "video-swin-s", "video-swin-b"]
Skeletons = Literal["st-gcn", "st-gcn++", "strongaug", "aagcn", "ctr-gcn", "dg-stgcn"]
Both = Literal["dscnet", "rgbpose-conv3d"]
Masked = Literal["mamp", "videomae-s", "videomae-b"]  # pre-trained by masking
Name = Literal[Videos, Skeletons, "poseconv3d", Both, "2s-agcn", "mvitv2-s", Masked]
Modality = Literal["skeleton", "heatmaps", "RGB", "RGB and skeleton", "RGB and heatmaps"]


class Baseline(NamedTuple):
    """A row of Table 1."""

    name: Name
    modality: Modality  # of the network's input; heatmaps are computed from skeletons
    parameters: int  # for 32 classes, the joints of `imigue22` and one person, one stream
    paper: str  # that published the network
    published: float | None  # top-1 on iMiGUE in percent in Table 1; None if it has no row
    recipe: Recipe  # of its authors, or of pyskl

    @property
    def start(self) -> str:
        """Whose weights its authors start from; empty where these are random."""
        if self.name == "mvitv2-s":
            return "Kinetics-400"
        if self.name in get_args(Masked):
            return "masked pre-training"
        if self.name == "rgbpose-conv3d":
            return "its two paths, each trained alone"
        return "ImageNet" if "RGB" in self.modality else ""

    def __str__(self) -> str:
        score = "not in Table 1" if self.published is None else f"{self.published:.2f} % published"
        return (
            f"{self.name:12} {self.modality:16} {self.parameters / 1e6:6.2f} M  {self.paper:25}"
            f" {score:17}  {self.recipe}{f', from {self.start}' if self.start else ''}"
        )


NETWORKS = FILE["networks"]
FACTS = ("modality", "parameters", "paper", "published")
TABLE = tuple(
    Baseline._make([name, *map(own.get, FACTS), read_recipe(own["recipe"])])
    for name, own in NETWORKS.items()
)
ROWS = {row.name: row for row in TABLE}
# Builders are imported when their network is built.
BUILDERS = {name: own["builder"] for name, own in NETWORKS.items()}
# `small` and `paper`: the builder's arguments for the size
SIZES = {name: {"small": n["small"], "paper": n.get("full", {})} for name, n in NETWORKS.items()}

BY_NAME = {  # weights of torchvision
    "kinetics400": {
        "mvitv2-s": "MViT_V2_S_Weights.KINETICS400_V1",
        "video-swin-t": "Swin3D_T_Weights.KINETICS400_V1",
        "video-swin-s": "Swin3D_S_Weights.KINETICS400_V1",
        "video-swin-b": "Swin3D_B_Weights.KINETICS400_V1",
    },
    "imagenet": {
        "tsm": "ResNet50_Weights.IMAGENET1K_V1",
        "video-swin-t": "Swin_T_Weights.IMAGENET1K_V1",
        "video-swin-s": "Swin_S_Weights.IMAGENET1K_V1",
        "video-swin-b": "Swin_B_Weights.IMAGENET1K_V1",
    },
}


def build_baseline(
    name: str,
    classes: int = 32,
    keypoints: Stored = "imigue22",
    channels: int = 3,
    persons: int = 1,
    **sizes: Any,
) -> "torch.nn.Module":
    """An untrained network of Table 1 with outputs (B, classes).

    Inputs are skeletons (B, M, T, V, C); for PoseConv3D heatmaps (B, joints, T, H, W), for
    RGBPose-Conv3D pictures and heatmaps (its outputs are two), for TSM (B, segments * 3, H, W), for
    other networks of pictures (B, 3, T, H, W), for DSCNet pictures, joints and bones.

    Args:
        name: a row of `TABLE`; StrongAug is ST-GCN++ with another recipe.
        keypoints: a layout as checkpoints store it, which gives the joints and the graph.
        channels, persons: of the skeletons; networks with one shared norm accept more persons.
        sizes: other arguments of the builder, such as those of `SIZES`; by default as published.

    Raises ValueError for an unknown name.
    """
    if name not in BUILDERS:
        known = ", ".join(BUILDERS)
        raise ValueError(f"name must be one of {known}; got {name!r}")
    build = import_builder(BUILDERS[name])
    if NETWORKS[name]["modality"] == "skeleton" and name != "mamp":
        apart = persons if NETWORKS[name].get("norm_per_person") else 1
        return build(keypoints, classes, channels=channels, persons=apart, **sizes)
    if name == "mamp":
        sizes = {"channels": channels, **sizes}
    if name in ("poseconv3d", "rgbpose-conv3d", "mamp"):
        sizes = {"joints": len(layout_of(keypoints).joints), **sizes}
    if name.startswith("video-swin"):
        sizes = {"size": {"t": "tiny", "s": "small", "b": "base"}[name[-1]], **sizes}
    return build(classes=classes, **sizes)
