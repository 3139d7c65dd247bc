"""Extraction as notebook 00 and the command line run it: settings, device, processes."""

from typing import Any, ClassVar, Literal, cast

import torch
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from pydantic import Field

from imigue_lab.data.index import Index
from imigue_lab.features.catalogue import build_streams, parse_names
from imigue_lab.features.detectors import Detector
from imigue_lab.features.encoders import Precision
from imigue_lab.features.extract import Report, extract
from imigue_lab.features.plan import Plan, Trial, plan_extraction, try_out
from imigue_lab.training.session import open_device
from imigue_lab.training.settings import Settings


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


def extract_features(settings: ExtractSettings, index: Index) -> Report:
    """Says what will be made, and makes it; under torchrun or SLURM each process takes its files.

    Raises:
        LabError: an encoder, its weights or the store cannot be had; one sentence.
    """
    rank, processes, device = place_among_processes(settings.device)
    plan = plan_features(settings, index, device)
    if rank == 0:
        print(plan)
    return extract(plan, (rank, processes))


def plan_features(settings: ExtractSettings, index: Index, device: torch.device) -> Plan:
    """Opens the encoders and looks at what is to be made."""
    streams = build_streams(
        settings.encoders,
        device,
        settings.context_weights,
        settings.face_weights,
        settings.detector,
        settings.detector_weights,
        settings.grid,
        None if settings.precision == "auto" else cast(Precision, settings.precision),
    )
    return plan_extraction(index, streams, settings.store, settings.limit)


def try_features(settings: ExtractSettings, index: Index) -> Trial:
    """Says what would be made, and tells from two windows how long it would take."""
    *_, device = place_among_processes(settings.device)
    plan = plan_features(settings, index, device)
    print(plan)
    return try_out(plan)


def place_among_processes(device: str) -> tuple[int, int, torch.device]:
    """Rank, number of processes, and this one's device."""
    kind = open_device(device).device.type
    for environment in (TorchElasticEnvironment, SLURMEnvironment):
        if environment.detect():
            place = environment()
            own = torch.device(kind, place.local_rank()) if kind == "cuda" else torch.device(kind)
            return place.global_rank(), place.world_size(), own
    return 0, 1, torch.device(kind)
