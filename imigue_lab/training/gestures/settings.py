"""Settings of the gesture model (paper sections 2 and 5.1)."""

from typing import Any, ClassVar

from pydantic import model_validator

from imigue_lab.models import CRITERIA, Criterion, GestureFusion, LossOn, Reads
from imigue_lab.training.settings import ClipSettings, setting

ATTENTIVE = ("cmtf", "cross_attention")  # fusions in which modalities attend to each other


class GestureSettings(ClipSettings):
    """Parameters of 01_train_gesture."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            "rgb": "rgb-mvitv2s",
            "frames": 0,
            "width": 512,
            "heads": 8,
            "epochs": 60,
            "warmup": 5,
            "ramp": 5,
            "loss_on": "averaged",
            "patience": 15,
            "lr": 1e-4,
            "weight_decay": 1e-4,
            "prior": "sampled",
        }
    }

    rgb: str = setting("synthetic-rgb", "RGB tokens: encoder name or folder; none: pose alone")
    rgb_run: str = setting("", "finished run on pictures (04) that computes them instead")
    joint_run: str = setting("", "finished run of the joint stream; empty: trained first")
    bone_run: str = setting("", "finished run of the bone stream; empty: trained first")
    pose_run: str = setting("", "finished run of poseconv3d or mamp instead of joint and bone")
    frames: int = setting(16, "resampled frames of pose; 0: not resampled (paper: 0)", ge=0)
    fusion: GestureFusion = setting("cmtf", "late, concat, cross_attention or cmtf")
    memory: bool = setting(True, "refinement by the memory bank; not with late fusion")
    criteria: str = setting(",".join(CRITERIA), "criteria of CMTF attention, separated by commas")
    centred: bool = setting(True, "subtract the clip's mean from each token (not paper)")
    width: int = setting(48, "width of fused tokens (paper: 512)", ge=2)
    heads: int = setting(6, "attention heads; must divide width (paper: 8)", ge=1)
    merge: float = setting(0.25, "share of tokens that merge, 0-0.5", ge=0, le=0.5)
    bank: int = setting(50, "entries per class (paper: 50)", ge=1)
    reads: Reads = setting("predicted", "entries of the predicted class, or of all")
    top_k: int = setting(5, "entries retrieved per clip (paper: 5)", ge=1)
    momentum: float = setting(0.9, "momentum of an entry (paper: 0.9)", ge=0, lt=1)
    warmup: int = setting(3, "epochs in which the bank is only written", ge=0)
    ramp: int = setting(3, "epochs after warm-up until alpha is reached", ge=1)
    alpha: float = setting(1.0, "weight of the prototype loss (paper: 1)", ge=0)
    loss_on: LossOn = setting("weighted", "weighted logits, averaged (paper), or each head alone")
    margin: float = setting(0.0, "radians added to the true class's angle", ge=0, le=1)
    finetune: bool = setting(False, "fine-tune the pose encoder; false keeps it frozen")
    finetune_rgb: bool = setting(False, "fine-tune the RGB encoder; needs rgb_run")
    lr: float = setting(1e-3, "AdamW learning rate (paper: 1e-4)", gt=0, le=1)
    backbone_lr: float = setting(1.0, "share of lr of fine-tuned encoders", gt=0, le=1)
    layer_decay: float = setting(1.0, "share of that of each of their blocks below", gt=0, le=1)
    weight_decay: float = setting(1e-4, "AdamW weight decay (paper: 1e-4)", ge=0, le=1)
    decay_norms: bool = setting(True, "norms, biases and positions also decay")

    @model_validator(mode="before")
    @classmethod
    def late_fusion_has_no_memory(cls, values: Any) -> Any:
        """Changes the default only: an explicit `memory=true` is an error."""
        late = isinstance(values, dict) and values.get("fusion") == "late"
        return {"memory": False, **values} if late else values

    def model_post_init(self, _: Any) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide width {self.width}; change one")
        if self.fusion == "late" and self.memory:
            raise ValueError("memory: late fusion has no feature to remember; set it to false")
        if self.finetune_rgb and not self.rgb_run:
            raise ValueError(
                "finetune_rgb: stored tokens have no encoder to fine-tune; name a finished run on"
                " pictures by rgb_run"
            )
        for name in ("backbone_lr", "layer_decay"):
            if getattr(self, name) < 1 and not (self.finetune or self.finetune_rgb):
                raise ValueError(
                    f"{name}: frozen encoders have no learning rate; leave it at 1, or set finetune"
                    " or finetune_rgb"
                )
        if self.pose_run and (self.joint_run or self.bone_run or self.finetune):
            other = "finetune" if self.finetune else "joint_run and bone_run"
            raise ValueError(
                f"pose_run: its tokens are used frozen and alone, without {other}; leave one out"
            )
        if self.top_k > self.bank:
            raise ValueError(
                f"top_k: {self.top_k} exceeds bank, {self.bank}; lower it, or raise bank"
            )
        names = self.criteria_named
        if not names or set(names) - set(CRITERIA):
            known = ", ".join(CRITERIA)
            raise ValueError(
                f"criteria: expected names out of {known}, with commas, got {self.criteria!r}"
            )

    @property
    def settled(self) -> int:
        """The first epoch in which the whole model is active, including reads of the memory."""
        return self.warmup if self.memory else 0

    @property
    def criteria_named(self) -> list[str]:
        return [name.strip() for name in self.criteria.split(",") if name.strip()]

    @property
    def criteria_on(self) -> tuple[Criterion, ...]:
        return tuple(name for name in CRITERIA if name in self.criteria_named)
