"""The encoders by the names that people type and the store keeps."""

from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from imigue_lab.errors import DataError, SettingsError
from imigue_lab.features.detectors import Detector, FaceDetector
from imigue_lab.features.encoders import FaceEncoder, Precision, VideoEncoder, fastest_precision
from imigue_lab.features.streams import ClipStream, ContextStream, FaceStream, Stream
from imigue_lab.models.weights import load_mvit, load_swinface


class Entry(NamedTuple):
    """What a name stands for: `tiny` is untrained, for demo and tests, `full` is the paper's.

    The batch of a GPU fills it; on a CPU small ones stay in its cache.
    """

    stream: Literal["context", "face", "rgb"]
    size: Literal["tiny", "full"]
    batch_cpu: int
    batch_gpu: int


CATALOGUE = {
    "context-tiny": Entry("context", "tiny", 8, 128),
    "face-tiny": Entry("face", "tiny", 16, 512),
    "rgb-tiny": Entry("rgb", "tiny", 8, 128),
    "context-mvitv2s": Entry("context", "full", 1, 32),
    "face-swinface": Entry("face", "full", 8, 128),
    "rgb-mvitv2s": Entry("rgb", "full", 1, 32),
}


def parse_names(encoders: str) -> list[str]:
    """Names of encoders out of `tiny`, `full`, or names with commas.

    Raises:
        SettingsError: a name that there is not.
    """
    words = [word.strip() for word in encoders.split(",")]
    names = [n for word in words for n, e in CATALOGUE.items() if word in (n, e.size)]
    unknown = [word for word in words if word not in (*CATALOGUE, "tiny", "full")]
    if unknown:
        raise SettingsError(
            f"encoders: {', '.join(map(repr, unknown))} is not known; there are: tiny, full,"
            f" {', '.join(CATALOGUE)}"
        )
    return list(dict.fromkeys(names))


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
    """Opens what is to be extracted; context and rgb share one model.

    Args:
        encoders: see `parse_names`.
        context_weights: of MViTv2-S, see `load_mvit`; the tiny ones are always untrained.
        face_weights: of SwinFace, see `load_swinface`.
        grid: see `ClipStream`.
        precision: None takes bf16 for the full encoders where the processor computes in it.

    Raises:
        SettingsError: an encoder that there is not.
        DataError: weights that are missing or are another network's.
    """
    names = parse_names(encoders)
    finders = {
        name: open_detector(detector, detector_weights)
        for name in names
        if CATALOGUE[name].stream == "face"
    }

    def numbers(full: bool) -> Precision:
        return precision or (fastest_precision(device) if full else "float32")

    @cache
    def video(full: bool) -> VideoEncoder:
        loaded = load_mvit(context_weights, "small") if full else load_mvit("", "tiny")
        return VideoEncoder(*loaded, device, numbers(full))

    def face(full: bool) -> FaceEncoder:
        loaded = load_swinface(face_weights, "full") if full else load_swinface("", "tiny")
        return FaceEncoder(*loaded, device, numbers(full))

    streams: list[Stream] = []
    for name in names:
        entry = CATALOGUE[name]
        full = entry.size == "full"
        batch = entry.batch_cpu if device.type == "cpu" else entry.batch_gpu
        if entry.stream == "context":
            streams.append(ContextStream(video(full), name, batch))
        elif entry.stream == "rgb":
            streams.append(ClipStream(video(full), name, batch, grid))
        else:
            threads = torch.get_num_threads()
            streams.append(FaceStream(face(full), finders[name], name, batch, threads))
    return streams


def open_detector(name: Detector, weights: str = "", threads: int = 1) -> FaceDetector:
    """A face detector by name.

    Args:
        weights: path of an ONNX file, for `yolo-face` alone; CenterFace brings its own.
        threads: of onnxruntime.

    Raises:
        DataError: weights are missing, are another network's, or were given to CenterFace.
    """
    if name == "centerface":
        if weights:
            raise DataError(
                f"detector_weights is {weights}, which detector centerface does not read: it brings"
                " its own; leave detector_weights empty or choose detector yolo-face"
            )
        from imigue_lab.features.centerface import CenterFace

        return CenterFace(threads)
    from imigue_lab.features.yolo_face import FILES, LICENCE, PLACE, YoloFace

    if not weights:
        raise DataError(
            f"detector yolo-face has no weights: fetch {FILES} from {PLACE} ({LICENCE}) and give"
            " its path as detector_weights, or choose detector centerface"
        )
    return YoloFace(Path(weights).expanduser(), threads)
