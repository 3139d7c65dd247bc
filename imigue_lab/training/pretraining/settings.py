"""Settings of masked pre-training."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from imigue_lab.models.baselines import Name
from imigue_lab.training.loop import SCHEDULERS
from imigue_lab.training.settings import TrainSettings

Kind = Literal["motion", "video"]
PAPER: dict[str, dict[str, Any]] = {
    "motion": {
        "frames": 120,
        "epochs": 400,
        "lr_warmup": 20,
        "batch_size": 128,
        "rotation": 0.3,
        "temporal_crop": 0.5,
    },
    "video": {"epochs": 800, "lr_warmup": 40, "batch_size": 1024, "lr": 6e-4},
}


ROW: dict[Kind, Name] = {"motion": "mamp", "video": "videomae-b"}  # that start from these


class PretrainSettings(TrainSettings):
    """Parameters of 10_pretrain.

    The preset `paper` is the published recipe, at the published size, of MAMP or VideoMAE with
    ViT-B.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {"size": "paper"}}

    kind: Kind = Field("motion", description="motion of skeletons (MAMP), or video (VideoMAE)")
    size: Literal["small", "paper"] = Field(
        "small", description="small for a quick look, or paper as published"
    )
    windows: float = Field(
        4.0, ge=0, description="seconds of a window of whole interviews; 0: the labelled clips"
    )
    use_test: bool = Field(False, description="also learn from the interviews of the test split")
    keypoints: str = Field("auto", description="layout of joints; auto: the richest in the files")
    fold: int = Field(-1, ge=-1, le=4, description="-1 the official split; 0-4 a subject fold")
    frames: int = Field(32, ge=4, description="frames per window; of video 16")
    stride: int = Field(2, ge=1, description="video: of the frames within a window")
    ratio: float = Field(0.9, gt=0, lt=1, description="share of tokens that are masked")
    temperature: float = Field(
        0.8, ge=0, description="motion: of masking by motion; 0: independent of it"
    )
    together: bool = Field(False, description="motion: mask the joints of a limb together")
    skipped: float = Field(
        0.0, ge=0, lt=1, description="video: share of places not decoded (VideoMAE V2: 0.5)"
    )
    rotation: float = Field(0.0, ge=0, le=3.15, description="motion: largest random angle, radians")
    temporal_crop: float = Field(
        1.0, gt=0, le=1, description="motion: a random part of each window, at least so large"
    )
    probe: bool = Field(
        True, description="after each epoch classify labelled clips by their nearest neighbours"
    )
    epochs: int = Field(10, ge=1, description="upper limit; may stop earlier")
    patience: int = Field(1000, ge=1, description="epochs without improvement of validation loss")
    batch_size: int = Field(32, ge=1, description="windows per step")
    lr: float = Field(1e-3, gt=0, le=1, description="AdamW learning rate")
    weight_decay: float = Field(0.05, ge=0, le=1, description="AdamW weight decay")
    scheduler: str = Field(
        "cosine",
        pattern=SCHEDULERS,
        description="none, plateau (halves when validation stalls), cosine, or steps:10:50",
    )

    @model_validator(mode="before")
    @classmethod
    def default_frames(cls, values: Any) -> Any:
        """Video has another default number of frames."""
        video = isinstance(values, dict) and values.get("kind") == "video"
        return {"frames": 16, **values} if video else values

    @classmethod
    def built_in_preset(cls, preset: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return cls.presets[preset] | PAPER.get(arguments.get("kind", "motion"), {})

    def model_post_init(self, _: Any) -> None:
        part = 4 if self.kind == "motion" else 2
        if self.frames % part:
            raise ValueError(
                f"frames: {self.kind} has tokens of {part} frames; choose a multiple of {part}"
            )
