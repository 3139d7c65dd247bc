"""A gesture run on windows of whole videos: a class and its confidence for each.

`AnalyseSettings` are the parameters of 09_analyse_video. `open_encoder` builds the encoder that a
run was trained on; `score_windows` applies the run to new videos.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32

from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.keypoints import layout_of
from imigue_lab.data.splits import GestureSplit
from imigue_lab.data.store import open_features
from imigue_lab.errors import DataError, RunError
from imigue_lab.features import Detector
from imigue_lab.features.catalogue import CATALOGUE, build_streams
from imigue_lab.features.encoders import Precision
from imigue_lab.features.extraction import plan_extraction, run_extraction
from imigue_lab.features.streams import Stream
from imigue_lab.training.baselines.data import BaselineData
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.gesture_clips import GestureData
from imigue_lab.training.gestures.map_encoder import MappedClips, read_maps
from imigue_lab.training.gestures.pose_encoder import STREAMS, posed_clips
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.gestures.tokens import GestureTokens
from imigue_lab.training.gestures.train import load_gesture, predict
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import probabilities
from imigue_lab.training.session import open_device
from imigue_lab.training.settings import Settings, setting

BATCH_SIZE = 32  # windows
Keypoints = Mapping[str, Float32[np.ndarray, "T V 3"]]  # by video id


class AnalyseSettings(Settings):
    """Parameters of 09_analyse_video."""

    video: str = setting("", "an mp4 file; empty: a fetched film, or synthetic")
    keypoints: str = setting("", "mediapipe, rtmlib, a file, or OpenPose's folder; empty: none")
    gesture_run: str = setting("demo", "finished run of 01; demo: tiny, trained first")
    recognition_run: str = setting(
        "", "run of 11 that finds gestures; demo: trained first; empty: windows"
    )
    emotion_run: str = setting("demo", "finished run of 02; demo: tiny, trained first")
    threshold: float = setting(
        0.0, "confidence of a gesture; 0: as tuned for the run, else 0.5", ge=0, le=1
    )
    context_weights: str = setting("", "weights of the run's MViTv2-S, as for 00")
    face_weights: str = setting("", "weights of the run's SwinFace, as for 00")
    detector: Detector = setting("centerface", "face detector of the run, as for 00")
    detector_weights: str = setting("", "ONNX file, for yolo-face only")


def open_encoder(run: Run, kind: str, settings: AnalyseSettings, device: torch.device) -> Stream:
    """The encoder of the features `kind` (rgb, context or face) in a run's checkpoint.

    Precisions and, for rgb, grids are tried until the fingerprint matches.

    Raises RunError if no encoder produces these features (synthetic, or a user's own) or the given
    weights produce others, DataError for weights that are missing or belong to another network.
    """
    checkpoint = run.read_checkpoint("best")
    if kind == "rgb" and "pose_tokens" in checkpoint:
        raise RunError(
            f"{run.folder.name}: was trained on pose tokens of {checkpoint['pose_tokens']!r}, which"
            " cannot be extracted from a video; name a run on those of 2s-AGCN"
        )
    wanted = checkpoint[kind]
    encoder = wanted.rpartition("-")[0]
    if encoder not in CATALOGUE:
        known = ", ".join(name for name, entry in CATALOGUE.items() if entry.stream == kind)
        raise RunError(
            f"{run.folder.name}: was trained on {kind} features of {encoder!r}, which cannot be"
            f" extracted from a video; name a run on one of {known}"
        )
    tried = []
    weights = settings.context_weights, settings.face_weights
    detector = settings.detector, settings.detector_weights
    precisions: tuple[Precision | None, ...] = (None, "float32", "bf16")
    for precision in precisions:
        for grid in (0, 1) if kind == "rgb" else (0,):
            (stream,) = build_streams(encoder, device, *weights, *detector, grid, precision)
            if stream.encoding.name == wanted:
                return stream
            tried.append(stream.encoding.name)
    raise RunError(
        f"{run.folder.name}: expected features {wanted}, got {' or '.join(dict.fromkeys(tried))}"
        f" from {encoder} with these weights; give the weights and detector of its training"
    )


def extract_missing(index: Index, streams: list[Stream], store: str) -> None:
    """Extracts missing features, all streams in one pass; DataError if a video cannot be used."""
    report = run_extraction(plan_extraction(index, streams, store))
    if report.failed:
        raise DataError(next(iter(report.failed.values())))


def score_windows(
    run: Run, index: Index, keypoints: Keypoints, rgb: Stream, store: str = "", device: str = "auto"
) -> pd.DataFrame:
    """One row per clip of the index, in its order.

    Columns: clip_id, video_id, start, end (frames), label (the most probable class), confidence
    (its probability), based_on (both, rgb or pose), p0 ... of the classes.

    Args:
        index: its clips are the windows (`segments.with_windows`), all of split test.
        keypoints: of each video, in the run's layout; all 0 where there are none.
        rgb: the encoder that the run was trained on (`open_encoder`).

    Raises RunError if the run was trained on other RGB tokens, DataError for an unusable video.
    """
    opened = open_device(device)
    system, data = encode_windows(run, index, keypoints, rgb, store, opened.torch_device)
    table = predict(opened, system, data, "test", BATCH_SIZE)
    table["confidence"] = probabilities(table).max(axis=1)
    table = table.drop(columns="label").rename(columns={"predicted": "label"})
    spans = index.clips[["clip_id", "start", "end"]]
    return spans.merge(table.drop(columns=["subject", "split"]), validate="one_to_one")


def encode_windows(
    run: Run, index: Index, keypoints: Keypoints, rgb: Stream, store: str, device: torch.device
) -> tuple[GestureSystem, GestureTokens]:
    """The run's model, and the clips of the index as its input; see `score_windows`."""
    extract_missing(index, [rgb], store)
    features = open_features(rgb.encoding.name, store, index)
    maps, sizes = read_maps(features, index)
    found = run.read_checkpoint("best")
    split, clips = GestureSplit(index.clips, run.vocabulary()), index.clips
    layout = layout_of(found["keypoints"])
    gestures = GestureData(
        split, clips, keypoints.__getitem__, layout, joints=None, persons=1, digest="", notes=[]
    )
    data = GestureTokens(gestures, maps, features.encoding, {}, sizes=sizes)
    system = load_gesture(run, data).to(device)
    once = BaselineSettings(model="2s-agcn", frames=found["frames"])
    posed = MappedClips([], once, BaselineData(split, gestures), system.encoder, STREAMS)
    data.poses.update(posed_clips(posed, {}, sizes))
    return system, data
