"""Builds encoders and face detectors by their names in settings and in the feature store."""

from functools import cache
from typing import cast

import torch

from imigue_lab.features import CATALOGUE, Detector, parse_names
from imigue_lab.features.detectors import FaceDetector, Shared, open_detector
from imigue_lab.features.encoders import (
    ExpressionEncoder,
    FaceEncoder,
    FrameEncoder,
    Name,
    Precision,
    VideoEncoder,
    fastest_precision,
)
from imigue_lab.features.streams import (
    ClipStream,
    ContextStream,
    FaceStream,
    KeypointStream,
    Stream,
)
from imigue_lab.models.weights import load_lite0, load_mvit, load_swinface


def build_streams(
    encoders: str,
    device: torch.device,
    context_weights: str = "",
    face_weights: str = "",
    detector: Detector = "centerface",
    detector_weights: str = "",
    grid: int = 0,
    precision: Precision | None = None,
) -> list[Stream]:
    """Builds the streams of the requested encoders; context and rgb share one model.

    Args:
        encoders: see `parse_names`.
        context_weights: of MViTv2-S, see `load_mvit`; tiny encoders are always untrained.
        face_weights: of SwinFace, see `load_swinface`.
        grid: see `ClipStream`.
        precision: None selects bf16 for full encoders if the processor supports it.

    Raises SettingsError for an unknown encoder, DataError for weights that are missing or belong to
    another network.
    """
    names = parse_names(encoders)

    @cache
    def faces() -> FaceDetector:
        return Shared(open_detector(detector, detector_weights))

    if any(CATALOGUE[name].stream in ("face", "keypoints") for name in names):
        faces()  # before larger weights are loaded

    def precision_for(full: bool) -> Precision:
        return precision or (fastest_precision(device) if full else "float32")

    @cache
    def video(full: bool) -> VideoEncoder:
        loaded = load_mvit(context_weights, "small") if full else load_mvit("", "tiny")
        return VideoEncoder(*loaded, device, precision_for(full))

    streams: list[Stream] = []
    for name in names:
        entry = CATALOGUE[name]
        full = entry.size == "full"
        batch = entry.batch_cpu if device.type == "cpu" else entry.batch_gpu
        if name.startswith("context-lite0"):
            blank = faces() if name.endswith("-blank") else None
            lite0 = FrameEncoder(*load_lite0(), device, 2 if "x2" in name else 16, blank)
            streams.append(ContextStream(lite0, name, batch))
        elif entry.stream == "keypoints":
            streams.append(KeypointStream(faces(), name))
        elif entry.stream == "context":
            streams.append(ContextStream(video(full), name, batch))
        elif entry.stream == "rgb":
            streams.append(ClipStream(video(full), name, batch, grid))
        else:
            encoder: ExpressionEncoder | FaceEncoder
            if entry.size == "shipped":
                encoder = ExpressionEncoder(cast(Name, name))
            else:
                loaded = load_swinface(face_weights if full else "", entry.size)
                encoder = FaceEncoder(*loaded, device, precision_for(full))
            streams.append(FaceStream(encoder, faces(), name, batch, torch.get_num_threads()))
    return streams
