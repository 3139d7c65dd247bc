"""A gesture run on windows of whole videos: a class and its confidence for each."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32

from imigue_lab.data.index import Index
from imigue_lab.data.keypoints import LAYOUTS
from imigue_lab.data.splits import GestureSplit
from imigue_lab.data.store import open_features
from imigue_lab.errors import DataError
from imigue_lab.features.extract import extract
from imigue_lab.features.plan import plan_extraction
from imigue_lab.features.streams import Stream
from imigue_lab.training.gesture_data import GestureData
from imigue_lab.training.gesture_scores import probabilities
from imigue_lab.training.gestures.pose_encoder import STREAMS, encode_clips
from imigue_lab.training.gestures.rgb_maps import read_maps
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.gestures.tokens import GestureTokens
from imigue_lab.training.gestures.train import load_gesture, predict
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_fabric

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
    (its probability), decided_by (both, rgb or pose), p0 ... of the classes.

    Args:
        index: its clips are the windows (`own_video.with_windows`), all of split test.
        keypoints: of each video, joints as the run takes them; all 0 where there are none.
        rgb: the encoder that the run was trained on (`run_encoders.open_encoder`).

    Raises:
        RunError: the run takes other RGB tokens.
        DataError: a video cannot be used.
    """
    fabric = open_fabric(device)
    system, data = encode_windows(run, index, keypoints, rgb, store, fabric.device)
    table = predict(fabric, system, data, "test", AT_ONCE)
    table["confidence"] = probabilities(table).max(axis=1)
    table = table.drop(columns="label").rename(columns={"said": "label"})
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
