"""The parameters of 09_analyse_video.

The encoders that a finished run was trained on, opened again for other videos.

A gesture run on windows of whole videos: a class and its confidence for each.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from pydantic import Field

from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.splits import GestureSplit
from imigue_lab.data.store import open_features
from imigue_lab.errors import DataError, RunError
from imigue_lab.features.catalogue import CATALOGUE, build_streams
from imigue_lab.features.detectors import Detector
from imigue_lab.features.encoders import Precision
from imigue_lab.features.extract import extract
from imigue_lab.features.plan import plan_extraction
from imigue_lab.features.streams import Stream
from imigue_lab.training.gesture_clips import GestureData
from imigue_lab.training.gesture_scores import probabilities
from imigue_lab.training.gestures.pose_encoder import STREAMS, encode_clips
from imigue_lab.training.gestures.rgb_encoder import read_maps
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.gestures.tokens import GestureTokens
from imigue_lab.training.gestures.train import load_gesture, predict
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device
from imigue_lab.training.settings import Settings


class AnalyseSettings(Settings):
    """Parameters of 09_analyse_video."""

    video: str = Field("", description="your own mp4; empty: a synthetic interview")
    keypoints: str = Field("", description="file, folder of OpenPose JSON, or rtmlib; empty: none")
    gesture_run: str = Field("demo", description="finished run of 01; demo: made first, tiny")
    emotion_run: str = Field("demo", description="finished run of 02; demo: made first, tiny")
    threshold: float = Field(
        0.0, ge=0, le=1, description="surety of a gesture; 0: as chosen for the run, else 0.5"
    )
    context_weights: str = Field("", description="of the run's MViTv2-S, as in 00")
    face_weights: str = Field("", description="of the run's SwinFace, as in 00")
    detector: Detector = Field("centerface", description="of the run's faces, as in 00")
    detector_weights: str = Field("", description="ONNX file, for yolo-face alone")


def open_encoder(run: Run, kind: str, settings: AnalyseSettings, device: torch.device) -> Stream:
    """What made the features named `kind` (rgb, context or face) in a run's checkpoint.

    Precision and, of rgb, the grid are tried until the fingerprint is the same.

    Raises:
        RunError: the features are made by no encoder here (synthetic, or someone's own), or the
            weights that are given make others.
        DataError: weights are missing or are another network's.
    """
    wanted = run.read_checkpoint("best")[kind]
    encoder = wanted.rpartition("-")[0]
    if encoder not in CATALOGUE:
        known = ", ".join(name for name, entry in CATALOGUE.items() if entry.stream == kind)
        raise RunError(
            f"{run.folder.name}: was trained on {kind} features of {encoder!r}, which nothing here"
            f" can make of a video; name a run on one of {known}"
        )
    made = []
    for precision in ("auto", "float32", "bf16"):
        for grid in (0, 1) if kind == "rgb" else (0,):
            (stream,) = build_streams(
                encoder,
                device,
                settings.context_weights,
                settings.face_weights,
                settings.detector,
                settings.detector_weights,
                grid,
                None if precision == "auto" else cast(Precision, precision),
            )
            if stream.encoding.name == wanted:
                return stream
            made.append(stream.encoding.name)
    raise RunError(
        f"{run.folder.name}: was trained on {wanted}, with these weights {encoder} is"
        f" {' or '.join(dict.fromkeys(made))}; give the weights and the detector that it was"
        " trained with"
    )


AT_ONCE = 32  # windows


def make_features(index: Index, streams: list[Stream], store: str) -> None:
    """Extracts what is not there yet, all streams in one pass over each video.

    Raises:
        DataError: a video cannot be used.
    """
    report = extract(plan_extraction(index, streams, store))
    if report.failed:
        raise DataError(next(iter(report.failed.values())))


def score_windows(
    run: Run,
    index: Index,
    keypoints: Mapping[str, Float32[np.ndarray, "T V 3"]],
    rgb: Stream,
    store: str = "",
    device: str = "auto",
) -> pd.DataFrame:
    """One row a clip of the index, in its order.

    Columns: clip_id, video_id, start, end (frames), label (the most probable class), confidence
    (its probability), based_on (both, rgb or pose), p0 ... of the classes.

    Args:
        index: its clips are the windows (`own_video.with_windows`), all of split test.
        keypoints: of each video, joints as the run takes them; all 0 where there are none.
        rgb: the encoder that the run was trained on (`run_encoders.open_encoder`).

    Raises:
        RunError: the run takes other RGB tokens.
        DataError: a video cannot be used.
    """
    opened = open_device(device)
    system, data = encode_windows(run, index, keypoints, rgb, store, opened.torch_device)
    table = predict(opened, system, data, "test", AT_ONCE)
    table["confidence"] = probabilities(table).max(axis=1)
    table = table.drop(columns="label").rename(columns={"predicted": "label"})
    spans = index.clips[["clip_id", "start", "end"]]
    return spans.merge(table.drop(columns=["subject", "split"]), validate="one_to_one")


def encode_windows(
    run: Run,
    index: Index,
    keypoints: Mapping[str, Float32[np.ndarray, "T V 3"]],
    rgb: Stream,
    store: str,
    device: torch.device,
) -> tuple[GestureSystem, GestureTokens]:
    """The run's model, and the clips of the index as it takes them; see `score_windows`."""
    make_features(index, [rgb], store)
    features = open_features(rgb.encoding.name, store, index)
    maps, sizes = read_maps(features, index)
    found = run.read_checkpoint("best")
    gestures = GestureData(
        GestureSplit(index.clips),
        index.clips,
        keypoints.__getitem__,
        LAYOUTS[found["keypoints"]],
        joints=None,
        persons=1,
        digest="",
        notes=[],
    )
    data = GestureTokens(gestures, [], maps, features.encoding, {}, sizes=sizes)
    system = load_gesture(run, data).to(device)
    clips = gestures.clips("test", found["frames"], list(STREAMS))
    data.poses.update(encode_clips(system.encoder, clips, sizes, device, None))
    return system, data
