"""Settings of the recognition of gestures in untrimmed video (challenge track 2)."""

from typing import Literal

from imigue_lab.training.settings import SCHEDULERS, TrainSettings, setting

Rule = Literal["one-to-one", "organisers"]  # of matching segments


class RecognitionSettings(TrainSettings):
    """Parameters of 11_recognise."""

    data: str = setting("synthetic-long", '"synthetic-long", or the root of an iMiGUE copy')
    model: Literal["frames", "pyramid"] = setting(
        "frames", "frames: a class per frame; pyramid: points with distances to both ends"
    )
    inputs: Literal["pose", "run", "both"] = setting(
        "pose", "pose: joints and their velocity; run: features of encoder_run; or both"
    )
    encoder_run: str = setting("", "finished run of 04, whose features of short windows are used")
    step: int = setting(4, "frames between the windows of encoder_run", ge=1)
    corrections: str = setting("", "CSV of labels that people corrected; empty: none")
    keypoints: str = setting("auto", "layout of joints; auto: the richest in the files")
    fold: int = setting(-1, "-1 the official split; 0-4 a subject fold", ge=-1, le=4)
    matching: Rule = setting(
        "one-to-one", "one-to-one; organisers: a found segment may serve several true ones"
    )
    iou: float = setting(0.5, "overlap at which the threshold is chosen", gt=0, lt=1)
    width: int = setting(64, "channels of every layer", ge=8)
    depth: int = setting(6, "dilated layers, that see 2^depth frames to each side", ge=1, le=10)
    dropout: float = setting(0.1, "dropout probability", ge=0, lt=1)
    window: int = setting(512, "frames of a training window; they overlap by half", ge=32)
    epochs: int = setting(40, "upper limit; may stop earlier", ge=1)
    patience: int = setting(10, "epochs without improvement of validation F1", ge=1)
    batch_size: int = setting(8, "windows per step", ge=1)
    lr: float = setting(2e-3, "AdamW learning rate", gt=0, le=1)
    weight_decay: float = setting(0.05, "AdamW weight decay", ge=0, le=1)
    scheduler: str = setting(
        "cosine",
        "none, plateau (halves when validation stalls), cosine, or steps:10:50",
        pattern=SCHEDULERS,
    )

    def model_post_init(self, _: object) -> None:
        if (self.inputs != "pose") != bool(self.encoder_run):
            raise ValueError(
                f"encoder_run: expected a run if and only if inputs are run or both, got"
                f" {self.encoder_run!r} with {self.inputs}; set both"
            )
