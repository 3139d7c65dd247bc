"""Settings of the networks of Table 1 and of the pose encoder (paper sections 2 and 5.1)."""

from typing import Any, ClassVar, Literal, get_args

from pydantic import model_validator

from imigue_lab.data.skeletons.augment import Augment
from imigue_lab.data.skeletons.graphs import Stream
from imigue_lab.models.baselines import ROWS, Both, Name, Optimizer, Region, Sampling
from imigue_lab.training.settings import SCHEDULERS, ClipSettings, setting

TOKENS: dict[Name, int] = {"mamp": 4, "videomae-s": 2, "videomae-b": 2}  # frames of one
STREAMS: tuple[Stream, ...] = get_args(Stream)


class BaselineSettings(ClipSettings):
    """Parameters of 04_baselines.

    The preset `paper` is the recipe in the model's row of Table 1, at the published size.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {"size": "paper", "prior": "sampled"}}

    model: Name = setting("2s-agcn", "a row of Table 1, such as st-gcn++ or ctr-gcn")
    stream: Literal[Stream, "all"] = setting(
        "joint", "joint, bone, joint_motion, bone_motion (heatmaps: joint, bone) or all"
    )
    weights: Literal["published", "folds"] = setting(
        "published", "of stream all: published, or folds: out of fold, by 5 more runs each"
    )
    size: Literal["small", "paper"] = setting("small", "small for a quick look, paper as published")
    checkpoint: str = setting("", "start: a file, runs, kinetics400 or imagenet; empty: random")
    frames: int = setting(32, "frames per clip; pictures 16 or 8; 0: not resampled", ge=0)
    sampling: Sampling = setting(
        "resample", "resample evenly; uniform: a random frame of each segment; window"
    )
    stride: int = setting(2, "of the frames of a window", ge=1)
    test_clips: int = setting(1, "uniform draws or windows averaged in evaluation", ge=1)
    test_crops: int = setting(1, "1 or 3 of pictures, averaged in evaluation", ge=1, le=3)
    test_flips: bool = setting(False, "pictures and heatmaps also mirrored in evaluation")
    pictures: str = setting(
        "rgb", "what is seen of pictures: rgb, taylor, flow[:RAFT_FILE] or a folder"
    )
    region: Region = setting("centre", "of RGB: centre, or person: the box of the joints")
    augment: Augment = setting(
        "none", "none, turn (and scale; pictures: crop), or mirror (also flip half)"
    )
    rotation: float = setting(
        0.0, "largest random angle, radians; 0: that of augment", ge=0, le=3.15
    )
    temporal_crop: float = setting(
        1.0, "a random part of each clip, at least so large; 1: the whole", gt=0, le=1
    )
    distort: bool = setting(False, "RGB with augment: RandAugment and random erasing too")
    smoothing: float = setting(0.0, "label smoothing of the cross-entropy", ge=0, lt=1)
    mixup: float = setting(0.0, "alpha of mixup of clips and labels; 0: off", ge=0)
    cutmix: float = setting(0.0, "alpha of cutmix, for pictures alone; 0: off", ge=0)
    optimizer: Optimizer = setting("adamw", "adamw, or sgd with momentum 0.9")
    nesterov: bool = setting(True, "Nesterov's momentum in sgd")
    lr: float = setting(3e-3, "learning rate (paper's pose encoder: 1e-4)", gt=0, le=1)
    backbone_lr: float = setting(1.0, "share of lr below the head", gt=0, le=1)
    layer_decay: float = setting(1.0, "share of lr of each block below", gt=0, le=1)
    weight_decay: float = setting(1e-4, "weight decay (paper: 1e-4)", ge=0, le=1)
    decay_norms: bool = setting(True, "norms, biases and positions also decay")
    drop_path: float = setting(-1.0, "of transformers; -1: as published", ge=-1, lt=1)
    scheduler: str = setting(
        "plateau",
        "none, plateau (halves as validation stalls), cosine (to 0; :1e-5 to that) or steps:10:50",
        pattern=SCHEDULERS,
    )

    @model_validator(mode="before")
    @classmethod
    def default_frames(cls, values: Any) -> Any:
        """Networks of heatmaps and pictures have another default number of frames."""
        row = ROWS.get(values.get("model", "")) if isinstance(values, dict) else None
        if row is None or row.modality == "skeleton":
            return values
        return {"frames": 8 if row.name in ("tsm", "slowonly", *get_args(Both)) else 16, **values}

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All that the network can read, one at a time."""
        modality = ROWS[self.model].modality
        return STREAMS if modality == "skeleton" else STREAMS[: 1 + ("heatmaps" in modality)]

    @classmethod
    def built_in_preset(cls, preset: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The recipe of the requested model."""
        row = ROWS.get(arguments.get("model", cls.model_fields["model"].default))
        if row is None:
            return {}
        recipe = row.recipe._asdict()
        if recipe["scheduler"] != "plateau":
            recipe["patience"] = recipe["epochs"]
        return {**cls.presets[preset], **recipe}

    def model_post_init(self, _: Any) -> None:
        modality = ROWS[self.model].modality
        known = [*self.streams, *["all"] * (len(self.streams) > 1)]
        if self.stream not in known:
            raise ValueError(f"stream: {self.model} reads {modality}; choose {' or '.join(known)}")
        if self.weights == "folds" and (self.stream != "all" or self.fold >= 0):
            raise ValueError(
                "weights: expected stream=all and the official split for folds, got"
                f" {self.stream} and fold {self.fold}; leave it at published"
            )
        if self.model == "dscnet" and self.sampling != "resample":
            raise ValueError(
                "sampling: dscnet sees the centres of equal segments; leave it at resample"
            )
        if self.layer_decay < 1 and "and" in modality:
            raise ValueError(f"layer_decay: {self.model} has parallel paths; leave it at 1")
        with_paths = ("video-swin", "mvitv2", "mamp", "videomae")
        if self.drop_path >= 0 and not self.model.startswith(with_paths):
            raise ValueError(f"drop_path: {self.model} has none; leave it at -1")
        if self.test_crops == 2:
            raise ValueError("test_crops: expected 1 or 3, got 2; set either")
        if self.test_crops > 1 and modality != "RGB":
            raise ValueError(f"test_crops: {self.model} sees one region; leave it at 1")
        if self.cutmix and modality != "RGB":
            raise ValueError(f"cutmix: {self.model} sees {modality}; leave it at 0, or set mixup")
        if self.distort and (modality != "RGB" or self.augment == "none"):
            raise ValueError(
                "distort: expected a network of RGB with augment=turn or mirror, got"
                f" {self.model} with {self.augment}; set it to false"
            )
        if self.region == "person" and (modality != "RGB" or self.test_crops > 1):
            raise ValueError(
                "region: expected a network of RGB alone with test_crops=1 for the person, got"
                f" {modality} and {self.test_crops}; leave it at centre"
            )
        if self.test_flips and "skeleton" in modality:
            raise ValueError(f"test_flips: {self.model} sees no mirror images; leave it at false")
        if self.rotation and modality != "skeleton":
            raise ValueError(f"rotation: {self.model} reads {modality}; leave it at 0")
        if self.temporal_crop < 1 and "RGB" in modality:
            raise ValueError(f"temporal_crop: {self.model} reads {modality}; leave it at 1")
        refuse_cut_tokens(self.model, self.frames)
        if modality != "skeleton" and not self.frames:
            raise ValueError(f"frames: {self.model} needs clips of one length; set a number")
        if self.sampling != "resample" and not self.frames:
            raise ValueError(
                f"frames: {self.sampling} sampling needs a number; set it, such as 100"
            )
        if self.sampling == "resample" and self.test_clips > 1:
            raise ValueError(
                f"test_clips: {self.test_clips} evenly resampled clips would be identical; set"
                " sampling=uniform"
            )


def refuse_cut_tokens(model: Name, frames: int) -> None:
    """Raises ValueError unless the frames are whole tokens."""
    part = TOKENS.get(model)
    if part and (not frames or frames % part):
        what = f"frames: {model} has tokens of {part} frames, got {frames}"
        raise ValueError(f"{what}; choose a multiple of {part}")
