"""Feature extraction as notebook 00 and the command line run it: settings, device, processes.

Encoders are imported when they are first used: a command's help needs the settings alone.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from imigue_lab.features import Detector, parse_names
from imigue_lab.training.settings import Settings, setting

if TYPE_CHECKING:
    from imigue_lab.data.index import Index
    from imigue_lab.features.extraction import Plan, Report, Trial


class ExtractSettings(Settings):
    """Parameters of `imigue-lab extract`."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"encoders": "full", "context_weights": "kinetics400", "detector": "yolo-face"}
    }

    encoders: str = setting("tiny", "tiny, full, or names with commas: context-tiny,face-swinface")
    context_weights: str = setting("", "MViTv2-S: kinetics400 downloads, or file; empty: untrained")
    face_weights: str = setting("", "SwinFace: its checkpoint file; empty: untrained")
    detector: Detector = setting("centerface", "centerface or yolo-face (paper)")
    detector_weights: str = setting("", "ONNX file, for yolo-face only")
    grid: int = setting(0, "cells of rgb: 0 all (7 x 7), 1 their mean", ge=0, le=1)
    precision: Literal["auto", "float32", "bf16"] = setting(
        "auto", "auto: bf16 for full encoders if the processor supports it"
    )
    limit: int = setting(0, "number of videos; 0 all", ge=0)

    def model_post_init(self, _: Any) -> None:
        parse_names(self.encoders)


class PrepareSettings(ExtractSettings):
    """Parameters of 00_prepare."""

    split: Literal["train", "validation", "test"] = setting(
        "train", "split to browse: train, validation or test"
    )
    labels: str = setting("", "outcome CSV (video_id,label); empty: that of the data")
    subjects: str = setting("", "CSV (video_id,subject); empty: those of the data")
    limit: int = setting(6, "maximum number of videos to extract and browse; 0 all", ge=0)


def extract_features(settings: ExtractSettings, index: "Index") -> "Report":
    """Prints the plan and extracts; under torchrun or `srun` each process has its share of files.

    Raises LabError if an encoder, its weights or the store is not available.
    """
    from imigue_lab.features.extraction import run_extraction
    from imigue_lab.training.ranks import find_process

    process = find_process()
    plan = plan_features(settings, index)
    if process.rank == 0:
        print(plan)
    return run_extraction(plan, (process.rank, process.count))


def plan_features(settings: ExtractSettings, index: "Index") -> "Plan":
    """Opens the encoders and lists what is to be extracted."""
    from imigue_lab.features.catalogue import build_streams
    from imigue_lab.features.extraction import plan_extraction
    from imigue_lab.training.session import open_device

    device = open_device(settings.device).torch_device
    weights = settings.context_weights, settings.face_weights
    detector = settings.detector, settings.detector_weights
    precision = None if settings.precision == "auto" else settings.precision
    built = build_streams(settings.encoders, device, *weights, *detector, settings.grid, precision)
    return plan_extraction(index, built, settings.store, settings.limit)


def try_features(settings: ExtractSettings, index: "Index") -> "Trial":
    """Prints the plan and estimates its duration from two windows."""
    from imigue_lab.features.extraction import run_trial

    plan = plan_features(settings, index)
    print(plan)
    return run_trial(plan)
