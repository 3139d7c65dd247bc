"""Table 1 of the paper: each network's input, publication, score, recipe and builder.

Recipes are the authors' training settings, or pyskl's configurations for NTU RGB+D;
docs/recipes.md compares each with what was published.
"""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from imigue_lab.data.skeletons.augment import Augment
from imigue_lab.data.skeletons.declared import Stored, layout_of
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
    rotation: float = 0.0
    lr_warmup: float = 0.0
    clip_grad: float = 0.0
    region: Region = "centre"

    def __str__(self) -> str:
        sgd = "Nesterov SGD" if self.nesterov else "SGD"
        optimizer = sgd if self.optimizer == "sgd" else "AdamW"
        frames = f"{self.frames} frames" if self.frames else "all frames"
        parts = [
            f"{optimizer} {self.lr:g} for {self.batch_size} clips",
            f"{self.backbone_lr:g} of it below the head" if self.backbone_lr < 1 else "",
            f"decay {self.weight_decay:g}{'' if self.decay_norms else ' except norms and biases'}",
            self.scheduler.replace("steps:", "a tenth after epochs ").replace(":", " and "),
            f"{self.epochs} epochs{f', {self.lr_warmup:g} of warm-up' * (self.lr_warmup > 0)}",
            f"gradients of norm {self.clip_grad:g} at most" if self.clip_grad else "",
            f"{frames} {SAMPLED[self.sampling]}",
            "around the person" if self.region == "person" else "",
            AUGMENTED[self.augment],
            f"rotated by up to {self.rotation:g}" if self.rotation else "",
            f"tested on the mean of {self.test_clips} clips" if self.test_clips > 1 else "",
            f"of {self.test_crops} crops each" if self.test_crops > 1 else "",
            "also mirrored" if self.test_flips else "",
        ]
        return ", ".join(part for part in parts if part)


PYSKL = Recipe("sgd", 0.1, 5e-4, "cosine", 80, 128, 100, "uniform", test_clips=10)
STRONG_AUG = PYSKL._replace(epochs=120, augment="turn")
DG_STGCN = PYSKL._replace(epochs=150, batch_size=64, rotation=0.2)
ST_GCN = Recipe("sgd", 0.1, 1e-4, "steps:10:50", 80, 128, 0, "resample", nesterov=False)
POSEC3D = Recipe("sgd", 0.4, 3e-4, "cosine", 240, 256, 48, "uniform", "mirror", 10, 1, True)
POSEC3D = POSEC3D._replace(nesterov=False, clip_grad=40.0)
# As published, TSM's biases learn twice as fast.
TSM = Recipe("sgd", 0.05, 1e-4, "steps:20:40", 50, 64, 8, "uniform", "mirror", nesterov=False)
TSM = TSM._replace(decay_norms=False, backbone_lr=0.2, clip_grad=20.0)
DSCNET = TSM._replace(lr=0.01, backbone_lr=1.0, weight_decay=5e-4, sampling="resample")
DSCNET = DSCNET._replace(scheduler="steps:25:40:50", epochs=60, batch_size=32)
SLOWONLY = POSEC3D._replace(lr=0.15, weight_decay=1e-4, epochs=180, batch_size=96, frames=8)
SLOWONLY = SLOWONLY._replace(test_flips=False)
RGBPOSE = SLOWONLY._replace(
    region="centre", lr=0.0075, scheduler="steps:12:16", epochs=20, batch_size=48
)
# As published, biases decay as well, and the warm-up starts at a tenth.
VIDEO_SWIN = Recipe("adamw", 1e-3, 0.02, "cosine", 30, 64, 32, "window", "mirror", 4, 3)
VIDEO_SWIN = VIDEO_SWIN._replace(decay_norms=False, backbone_lr=0.1, lr_warmup=2.5)
VIDEO_SWIN_B = VIDEO_SWIN._replace(weight_decay=0.05)
MAMP = Recipe("adamw", 3e-4, 0.05, "cosine", 100, 48, 120, "resample")
VIDEO_MAE = Recipe("adamw", 1.25e-4, 0.05, "cosine", 75, 64, 16, "window", "mirror", 5, 3)
POSE_ENCODER = Recipe("adamw", 1e-4, 1e-4, "plateau", 60, 32, 0, "resample", balance=0.5)
"""The paper's training of its encoders (section 5.1), which gives no number of epochs."""
RGB_ENCODER = POSE_ENCODER._replace(frames=16)

Videos = Literal["tsm", "slowonly", "video-swin-t", "video-swin-s", "video-swin-b"]
Masked = Literal["mamp", "videomae-s", "videomae-b"]  # pre-trained by masking
Skeletons = Literal["st-gcn", "st-gcn++", "strongaug", "aagcn", "ctr-gcn", "dg-stgcn"]
Both = Literal["dscnet", "rgbpose-conv3d"]
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


TABLE = (
    Baseline("tsm", "RGB", 23_573_600, "Lin et al., ICCV 2019", 58.77, TSM),
    Baseline("video-swin-t", "RGB", 27_875_078, "Liu et al., CVPR 2022", 59.97, VIDEO_SWIN),
    Baseline("video-swin-s", "RGB", 49_533_686, "Liu et al., CVPR 2022", 57.83, VIDEO_SWIN),
    Baseline("video-swin-b", "RGB", 87_671_784, "Liu et al., CVPR 2022", 61.73, VIDEO_SWIN_B),
    Baseline("st-gcn", "skeleton", 3_087_388, "Yan et al., AAAI 2018", 46.38, ST_GCN),
    Baseline("st-gcn++", "skeleton", 1_391_700, "Duan et al., ACM MM 2022", 49.56, PYSKL),
    Baseline("strongaug", "skeleton", 1_391_700, "Duan et al., ACM MM 2022", 53.13, STRONG_AUG),
    Baseline("aagcn", "skeleton", 3_764_442, "Shi et al., TIP 2020", 54.73, PYSKL),
    Baseline("ctr-gcn", "skeleton", 1_435_078, "Chen et al., ICCV 2021", 53.02, PYSKL),
    Baseline("dg-stgcn", "skeleton", 1_682_648, "Duan et al., 2022", 49.56, DG_STGCN),
    Baseline("poseconv3d", "heatmaps", 2_018_336, "Duan et al., CVPR 2022", 61.11, POSEC3D),
    Baseline("dscnet", "RGB and skeleton", 45_733_172, "Cheng et al., ESWA 2024", 62.53, DSCNET),
    Baseline(
        *("rgbpose-conv3d", "RGB and heatmaps", 36_084_032, "Duan et al., CVPR 2022", None, RGBPOSE)
    ),
    Baseline("slowonly", "RGB", 31_700_064, "Duan et al., CVPR 2022", None, SLOWONLY),
    Baseline("2s-agcn", "skeleton", 3_457_916, "Shi et al., CVPR 2019", None, POSE_ENCODER),
    Baseline("mvitv2-s", "RGB", 34_254_752, "Li et al., CVPR 2022", None, RGB_ENCODER),
    Baseline("mamp", "skeleton", 17_941_280, "Mao et al., ICCV 2023", None, MAMP),
    Baseline("videomae-s", "RGB", 21_896_864, "Tong et al., NeurIPS 2022", None, VIDEO_MAE),
    Baseline("videomae-b", "RGB", 86_261_024, "Tong et al., NeurIPS 2022", None, VIDEO_MAE),
)
ROWS = {row.name: row for row in TABLE}

Sizes = dict[str, dict[str, Any]]  # `small` and `paper`: the builder's arguments for the size

# Builders are imported when their network is built.
SKELETON_BUILDERS = {
    "2s-agcn": "graph.agcn:build_agcn",
    "st-gcn": "graph.stgcn:build_stgcn",
    "st-gcn++": "graph.stgcn:build_stgcnpp",
    "strongaug": "graph.stgcn:build_stgcnpp",
    "aagcn": "graph.agcn:build_aagcn",
    "ctr-gcn": "graph.ctrgcn:build_ctrgcn",
    "dg-stgcn": "graph.ctrgcn:build_dgstgcn",
}
NORM_PER_PERSON = ("2s-agcn", "aagcn", "ctr-gcn")  # the input norm has statistics for each person
PICTURE_BUILDERS = {
    "poseconv3d": "pictures.poseconv3d:build_poseconv3d",
    "slowonly": "pictures.poseconv3d:build_slowonly",
    "tsm": "pictures.tsm:build_tsm",
    "video-swin-t": "pictures.video_swin:build_video_swin",
    "video-swin-s": "pictures.video_swin:build_video_swin",
    "video-swin-b": "pictures.video_swin:build_video_swin",
    "mvitv2-s": "pictures.mvit:build_mvitv2",
    "mamp": "mamp:build_mamp",
    "videomae-s": "pictures.videomae:build_videomae",
    "videomae-b": "pictures.videomae:build_videomae",
    "rgbpose-conv3d": "pictures.rgbpose:build_rgbpose",
    "dscnet": "pictures.dscnet:build_dscnet",
}
GRAPH_SIZES: Sizes = {
    "small": {"width": 16, "depths": [2, 1, 1]},
    "paper": {"width": 64, "depths": [4, 3, 3]},
}
SMALL_MAMP = {"width": 64, "depth": 3, "heads": 4}
SMALL_VIDEO_MAE = {"patch": 8, "width": 64, "depth": 3, "heads": 4}
SMALL_RESNET = {"depths": [1, 1, 1, 1], "inner": 8}
SWIN_SIZES: Sizes = {"small": {"stages": [16, [1, 1, 1, 1], [1, 2, 4, 8]]}, "paper": {}}
SIZES: dict[str, Sizes] = {
    **dict.fromkeys(SKELETON_BUILDERS, GRAPH_SIZES),
    "st-gcn": GRAPH_SIZES | {"paper": GRAPH_SIZES["paper"] | {"dropout": 0.5}},
    "poseconv3d": {"small": {"width": 8, "depths": [1, 1, 1]}, "paper": {}},
    "slowonly": {"small": {"width": 8, "depths": [1, 1, 1, 1]}, "paper": {}},
    "tsm": {"small": SMALL_RESNET, "paper": {}},
    **{name: SWIN_SIZES for name in PICTURE_BUILDERS if name.startswith("video-swin")},
    "mvitv2-s": {"small": {"size": "tiny"}, "paper": {}},
    "mamp": {"small": SMALL_MAMP, "paper": {}},
    "videomae-s": {"small": SMALL_VIDEO_MAE, "paper": {"width": 384, "depth": 12, "heads": 6}},
    "videomae-b": {"small": SMALL_VIDEO_MAE, "paper": {}},
    "rgbpose-conv3d": {
        "small": {"widths": [8, 8], "depths": [[1, 1, 1, 1], [1, 1, 1]]},
        "paper": {},
    },
    "dscnet": {"small": SMALL_RESNET | {"widths": [[4, 4]] * 7}, "paper": {}},
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
    RGBPose-Conv3D pictures and heatmaps (its outputs are two), for TSM
    (B, segments * 3, H, W), for other networks of pictures (B, 3, T, H, W), for DSCNet pictures,
    joints and bones.

    Args:
        name: a row of `TABLE`; StrongAug is ST-GCN++ with another recipe.
        keypoints: a layout as checkpoints store it, which gives the joints and the graph.
        channels, persons: of the skeletons; networks with one shared norm accept more persons.
        sizes: other arguments of the builder, such as those of `SIZES`; by default as published.

    Raises ValueError for an unknown name.
    """
    if name in SKELETON_BUILDERS:
        apart = persons if name in NORM_PER_PERSON else 1
        build = import_builder(SKELETON_BUILDERS[name])
        return build(keypoints, classes, channels=channels, persons=apart, **sizes)
    if name not in PICTURE_BUILDERS:
        known = ", ".join([*SKELETON_BUILDERS, *PICTURE_BUILDERS])
        raise ValueError(f"name must be one of {known}; got {name!r}")
    if name == "mamp":
        sizes = {"channels": channels, **sizes}
    if name in ("poseconv3d", "rgbpose-conv3d", "mamp"):
        sizes = {"joints": len(layout_of(keypoints).joints), **sizes}
    if name.startswith("video-swin"):
        sizes = {"size": {"t": "tiny", "s": "small", "b": "base"}[name[-1]], **sizes}
    return import_builder(PICTURE_BUILDERS[name])(classes=classes, **sizes)
