"""The parameters of notebooks and commands: names, types, ranges, help, and presets.

One pydantic model a notebook. Its fields, in their order, are the notebook's parameters cell; the
defaults are what the committed notebook runs with, on made-up data.
"""

from difflib import get_close_matches
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import SettingsError
from imigue_lab.features.catalogue import parse_names
from imigue_lab.features.faces import Detector
from imigue_lab.models.emotion import Fusion
from imigue_lab.models.interfusion import Gate
from imigue_lab.training.presets import kept_presets, read_preset

S = TypeVar("S", bound="Settings")
WHERE = (
    *("data", "store", "context", "face", "rgb", "rgb_run", "joint_run", "bone_run", "labels"),
    *("checkpoint", "preset", "name", "device"),
)
# They say where, not what: what they lead to is in the digest of the data.
HOW = ("accumulate", "deterministic")  # the same result but for rounding
# What every run had before there was a choice.
UNSAID = (("precision", "float32"), ("finetune_rgb", False))


class Settings(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    data: str = Field("synthetic", description='"synthetic", or the root of an iMiGUE copy')
    store: str = Field("", description="feature store; empty: features/ of the workspace")
    preset: str = Field("", description='"paper" for the paper\'s values where nothing is said')
    seed: int = Field(0, ge=0, description="seeds Python, NumPy, torch and the loaders")
    name: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][\w.-]*)?$",
        description="run folder under runs/; empty: made from the settings",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto, cpu, cuda or mps"
    )

    @classmethod
    def from_given(cls: type[S], given: dict[str, Any]) -> S:
        """Settings from what was said: given values first, then the preset's, then the defaults.

        Raises:
            SettingsError: an unknown name, a wrong type or a value out of range, in one sentence.
        """
        for name in given:
            if name not in cls.model_fields:
                near = get_close_matches(name, cls.model_fields, n=1)
                known = f"there are: {', '.join(cls.model_fields)}"
                hint = f"did you mean {near[0]}?" if near else known
                raise SettingsError(f"{name}: no such parameter; {hint}")
        preset = given.get("preset", "")
        try:
            return cls(**{**(cls.find_preset(preset, given) if preset else {}), **given})
        except ValidationError as error:
            raise SettingsError(say(cls, error)) from error

    @classmethod
    def find_preset(cls, preset: str, given: dict[str, Any]) -> dict[str, Any]:
        """What a preset says: one of ours, or one that a search has kept in the workspace.

        One that was kept for another task's settings stands for the preset it was searched upon.
        """
        kept = None if preset in cls.presets else read_preset(preset)
        if kept and kept["of"] == cls.__name__:
            return kept["settings"]
        if kept:
            return cls.find_preset(kept["base"], given) if kept["base"] else {}
        if preset not in cls.presets:
            known = ", ".join([*cls.presets, *kept_presets()]) or "none"
            raise SettingsError(f"preset: {preset!r} is not known; there are: {known}")
        return cls.values_of(preset, given)

    @classmethod
    def values_of(cls, preset: str, given: dict[str, Any]) -> dict[str, Any]:
        """What a preset says where nothing is given."""
        return cls.presets[preset]

    def what(self) -> dict[str, Any]:
        """The settings that change a result: all but places, names, the device and memory."""
        aside = (*WHERE, *HOW)
        said = [(name, value) for name, value in self.model_dump().items() if name not in aside]
        return dict(pair for pair in said if pair not in UNSAID)

    def fingerprint(self, data_digest: str) -> str:
        """8 hex digits of all settings that change the result, and of the data."""
        return short_hash(sorted(self.what().items()), data_digest)


def say(cls: type[BaseModel], error: ValidationError) -> str:
    """The first complaint of pydantic as one sentence a person can act on."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if not name:
        return first["msg"].removeprefix("Value error, ")
    value, help_text = first["input"], cls.model_fields[name].description
    if first["type"] == "string_type":
        return (
            f"{name}: text is due and the number {value!r} arrived; papermill reads -p values as"
            f" numbers where it can: use -r {name} {value} as you typed it"
        )
    return f"{name}: {first['msg'].lower()}, got {value!r} ({help_text})"


class ExtractSettings(Settings):
    """Parameters of `imigue-lab extract`."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"encoders": "full", "context_weights": "kinetics400", "detector": "yolo-face"}
    }

    encoders: str = Field(
        "tiny", description="tiny, full, or names with commas such as context-tiny,face-swinface"
    )
    context_weights: str = Field(
        "", description="MViTv2-S: kinetics400 downloads, or a file; empty: untrained"
    )
    face_weights: str = Field("", description="SwinFace: its checkpoint file; empty: untrained")
    detector: Detector = Field("centerface", description="centerface or yolo-face (paper)")
    detector_weights: str = Field("", description="ONNX file, for yolo-face alone")
    grid: int = Field(0, ge=0, le=1, description="places of rgb: 0 all (7 x 7), 1 their mean")
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="auto is bf16 for full encoders where the processor has it"
    )
    limit: int = Field(0, ge=0, description="the first videos only; 0 all")

    def model_post_init(self, _: Any) -> None:
        parse_names(self.encoders)


class PrepareSettings(ExtractSettings):
    """Parameters of 00_prepare."""

    split: Literal["train", "validation", "test"] = Field(
        "train", description="part to browse: train, validation or test"
    )
    labels: str = Field("", description="outcome CSV (video_id,label); empty: the tree's own")
    limit: int = Field(12, ge=0, description="videos to look at and to extract, at most; 0 all")


class TrainSettings(Settings):
    """What every training takes beside its own parameters."""

    precision: Literal["float32", "bf16"] = Field(
        "float32", description="float32, or bf16: products in bfloat16"
    )
    accumulate: int = Field(1, ge=1, description="pieces of a step, for less memory")
    deterministic: bool = Field(False, description="the same bits every time, slower on a GPU")


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
        }
    }

    context: str = Field("made-up-context", description="context features: encoder name or folder")
    face: str = Field("made-up-face", description="face features: encoder name or folder")
    labels: str = Field("", description="outcome CSV (video_id,label); empty: the tree's own")
    fold: int = Field(-1, ge=-1, le=4, description="-1 the official split; 0-4 a subject fold")
    move_negatives: int = Field(
        5, ge=0, description="moved to a one-class validation (paper: 5); 0 none"
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
    width: int = Field(32, ge=2, description="token width (paper: 512)")
    depth: int = Field(1, ge=1, le=24, description="encoder layers a stream (paper: 8)")
    heads: int = Field(4, ge=1, description="attention heads; must divide width (paper: 4)")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of values dropped (paper: 0.5)")
    max_windows: int = Field(256, ge=0, description="training crop in windows; 0 takes all")
    epochs: int = Field(40, ge=1, description="upper limit; may stop earlier (paper: 20)")
    patience: int = Field(7, ge=1, description="epochs without a better validation loss (paper: 7)")
    batch_size: int = Field(8, ge=1, description="interviews a step (paper: 8)")
    lr: float = Field(1e-4, gt=0, le=1, description="AdamW's learning rate (paper: 1e-7)")
    weight_decay: float = Field(1e-2, ge=0, le=1, description="AdamW's weight decay")
    scheduler: Literal["none", "cosine", "plateau"] = Field(
        "none", description="none, cosine or plateau (halves lr when validation stalls)"
    )

    def model_post_init(self, _: Any) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide width {self.width}; change one")


class GatesSettings(Settings):
    """Parameters of 07_gates."""

    run: str = Field("demo", description="finished run of 02, by name; demo: as 02 is committed")
    video: str = Field("", description="interview; empty: held out, most windows without a face")
