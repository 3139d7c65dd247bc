"""Settings of the emotion model (paper sections 3 and 5.2)."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from imigue_lab.models.emotion import Fusion, Gate
from imigue_lab.training.settings import TrainSettings


class EmotionSettings(TrainSettings):
    """Parameters of 02_train_emotion (paper sections 3 and 5.2)."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            "context": "context-mvitv2s",
            "face": "face-swinface",
            "width": 512,
            "depth": 8,
            "heads": 4,
            "dropout": 0.5,
            "gamma": 0.5,
            "epochs": 20,
            "patience": 7,
            "batch_size": 8,
            "lr": 1e-7,
        },
        "demo": {  # of `make demo`; chosen by subject folds of train of two synthetic sets
            "context": "context-lite0x2-blank",
            "face": "face-expression",
            "standardise": True,
            "dropout": 0.3,
            "epochs": 10,
            "keep": "last",
            "lr": 1e-3,
        },
    }

    context: str = Field(
        "synthetic-context", description="context features: encoder name or folder"
    )
    face: str = Field("synthetic-face", description="face features: encoder name or folder")
    labels: str = Field("", description="outcome CSV (video_id,label); empty: that of the data")
    positive: str = Field("", description="positive one of two outcomes; empty: docs/data.md")
    fold: int = Field(-1, ge=-1, le=4, description="-1 the official split; 0-4 a subject fold")
    move_negatives: int = Field(
        5, ge=0, description="interviews moved to a one-class validation (paper: 5)"
    )
    fusion: Fusion = Field(
        "interfusion", description="interfusion, late, concat, context_only or face_only"
    )
    gate: Gate = Field("shared", description="reading of InterFusion: shared, cross or convex")
    stages: int = Field(2, ge=0, le=2, description="InterFusion stages, 0-2 (paper: 2)")
    loss: Literal["focal", "bce"] = Field("focal", description="focal, or bce for cross-entropy")
    gamma: float = Field(
        0.5, ge=0, le=5, description="focal-loss focus; 0 is weighted cross-entropy (paper: 0.5)"
    )
    class_weights: Literal["balanced", "none"] = Field(
        "balanced", description="balanced (inverse frequency) or none"
    )
    standardise: bool = Field(False, description="features to mean 0, deviation 1 of train")
    width: int = Field(32, ge=2, description="token width (paper: 512)")
    depth: int = Field(1, ge=1, le=24, description="encoder layers per stream (paper: 8)")
    heads: int = Field(4, ge=1, description="attention heads; must divide width (paper: 4)")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout probability (paper: 0.5)")
    max_windows: int = Field(256, ge=0, description="training crop in windows; 0 uses all")
    average_crops: bool = Field(
        False, description="evaluation: mean over half overlapping crops of max_windows"
    )
    epochs: int = Field(40, ge=1, description="upper limit; may stop earlier (paper: 20)")
    patience: int = Field(
        7, ge=1, description="epochs without improvement of validation loss (paper: 7)"
    )
    batch_size: int = Field(8, ge=1, description="interviews per step (paper: 8)")
    lr: float = Field(1e-4, gt=0, le=1, description="AdamW learning rate (paper: 1e-7)")
    weight_decay: float = Field(1e-2, ge=0, le=1, description="AdamW weight decay")
    scheduler: Literal["none", "cosine", "plateau"] = Field(
        "none", description="none, cosine or plateau (halves lr when validation stalls)"
    )

    def model_post_init(self, _: Any) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide width {self.width}; change one")
        if self.average_crops and not self.max_windows:
            raise ValueError("average_crops: needs the length of a crop; set max_windows above 0")
