"""Settings of the emotion model (paper sections 3 and 5.2)."""

from typing import Any, ClassVar, Literal

from imigue_lab.models import EmotionFusion, Gate
from imigue_lab.training.settings import TrainSettings, setting


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

    context: str = setting("synthetic-context", "context features: encoder name or folder")
    face: str = setting("synthetic-face", "face features: encoder name or folder")
    labels: str = setting("", "outcome CSV (video_id,label); empty: that of the data")
    positive: str = setting("", "positive one of two outcomes; empty: docs/data.md")
    fold: int = setting(-1, "-1 the official split; 0-4 a subject fold", ge=-1, le=4)
    move_negatives: int = setting(5, "interviews moved to a one-class validation (paper: 5)", ge=0)
    fusion: EmotionFusion = setting(
        "interfusion", "interfusion, late, concat, context_only or face_only"
    )
    gate: Gate = setting("shared", "reading of InterFusion: shared, cross or convex")
    stages: int = setting(2, "InterFusion stages, 0-2 (paper: 2)", ge=0, le=2)
    loss: Literal["focal", "bce"] = setting("focal", "focal, or bce for cross-entropy")
    gamma: float = setting(
        0.5, "focal-loss focus; 0 is weighted cross-entropy (paper: 0.5)", ge=0, le=5
    )
    class_weights: Literal["balanced", "none"] = setting(
        "balanced", "balanced (inverse frequency) or none"
    )
    standardise: bool = setting(False, "features to mean 0, deviation 1 of train")
    width: int = setting(32, "token width (paper: 512)", ge=2)
    depth: int = setting(1, "encoder layers per stream (paper: 8)", ge=1, le=24)
    heads: int = setting(4, "attention heads; must divide width (paper: 4)", ge=1)
    dropout: float = setting(0.1, "dropout probability (paper: 0.5)", ge=0, lt=1)
    max_windows: int = setting(256, "training crop in windows; 0 uses all", ge=0)
    average_crops: bool = setting(
        False, "evaluation: mean over half overlapping crops of max_windows"
    )
    epochs: int = setting(40, "upper limit; may stop earlier (paper: 20)", ge=1)
    patience: int = setting(7, "epochs without improvement of validation loss (paper: 7)", ge=1)
    batch_size: int = setting(8, "interviews per step (paper: 8)", ge=1)
    lr: float = setting(1e-4, "AdamW learning rate (paper: 1e-7)", gt=0, le=1)
    weight_decay: float = setting(1e-2, "AdamW weight decay", ge=0, le=1)
    decay_norms: bool = setting(True, "norms and biases also decay")
    scheduler: Literal["none", "cosine", "plateau"] = setting(
        "none", "none, cosine or plateau (halves lr when validation stalls)"
    )

    def model_post_init(self, _: Any) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide width {self.width}; change one")
        if self.average_crops and not self.max_windows:
            raise ValueError("average_crops: needs the length of a crop; set max_windows above 0")
