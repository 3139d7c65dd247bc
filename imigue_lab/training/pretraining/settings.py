"""Settings of masked pre-training."""

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from imigue_lab.models.baselines import Name
from imigue_lab.training.baselines.settings import refuse_cut_tokens
from imigue_lab.training.settings import SCHEDULERS, TrainSettings, setting

Kind = Literal["motion", "video"]
PAPER: dict[str, dict[str, Any]] = {
    "motion": {
        "frames": 120,
        "epochs": 400,
        "lr_warmup": 20,
        "scheduler": "cosine:5e-4",
        "keep": "last",
        "batch_size": 128,
        "rotation": 0.3,
        "temporal_crop": 0.5,
    },
    "video": {
        "stride": 4,
        "epochs": 800,
        "lr_warmup": 40,
        "scheduler": "cosine:4e-6:4e-5",
        "batch_size": 1024,
        "lr": 6e-4,
        "keep": "last",
    },
}
ROW: dict[Kind, Name] = {"motion": "mamp", "video": "videomae-b"}  # that start from these


class PretrainSettings(TrainSettings):
    """Parameters of 10_pretrain.

    The preset `paper` is the published recipe, at the published size, of MAMP or VideoMAE with
    ViT-B.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {"size": "paper"}}

    kind: Kind = setting("motion", "motion of skeletons (MAMP), or video (VideoMAE)")
    size: Literal["small", "paper"] = setting("small", "small for a quick look, paper as published")
    windows: float = setting(4.0, "seconds of a window of interviews; 0: labelled clips", ge=0)
    use_test: bool = setting(False, "also learn from the interviews of the test split")
    keypoints: str = setting("auto", "layout of joints; auto: the richest in the files")
    fold: int = setting(-1, "-1 the official split; 0-4 a subject fold", ge=-1, le=4)
    frames: int = setting(32, "frames per window; of video 16", ge=4)
    stride: int = setting(2, "video: of the frames within a window", ge=1)
    ratio: float = setting(0.9, "share of tokens that are masked", gt=0, lt=1)
    temperature: float = setting(0.8, "motion: of masking by motion; 0: independent of it", ge=0)
    together: bool = setting(False, "motion: mask the joints of a limb together")
    skipped: float = setting(0.0, "video: share not decoded (VideoMAE V2: 0.5)", ge=0, lt=1)
    rotation: float = setting(0.0, "motion: largest random angle, radians", ge=0, le=3.15)
    temporal_crop: float = setting(1.0, "motion: least random part of a window", gt=0, le=1)
    probe: bool = setting(True, "after each epoch classify labelled clips by neighbours")
    epochs: int = setting(6, "upper limit; may stop earlier", ge=1)
    patience: int = setting(1000, "epochs without improvement of validation loss", ge=1)
    batch_size: int = setting(32, "windows per step", ge=1)
    lr: float = setting(1e-3, "AdamW learning rate", gt=0, le=1)
    weight_decay: float = setting(0.05, "AdamW weight decay", ge=0, le=1)
    scheduler: str = setting(
        "cosine",
        "none, plateau (halves as validation stalls), cosine (to 0; :1e-5 to that) or steps:10:50",
        pattern=SCHEDULERS,
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
        if self.kind == "motion" and self.frames < 8:
            raise ValueError(f"frames: motion needs at least 8, got {self.frames}; set more")
        if self.refit:
            raise ValueError("refit: pre-training holds validation out; leave it at false")
        refuse_cut_tokens(ROW[self.kind], self.frames)
