"""Gestures of whole videos, by a run of 11 or a clip model on sliding windows, its baseline.

`score_interviews` applies a gesture run to interviews of its own data root, `find_threshold` tunes
the confidence threshold on validation, `segments_of` gives what `training.recognition.scores`
compares. `recognise_video` applies a recogniser to a user's video.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from imigue_lab.data.corrections import open_corrected
from imigue_lab.data.keypoint_files.clips import read_file
from imigue_lab.data.segments import (
    SHORTEST,
    Times,
    as_segments,
    by_frame,
    find_segments,
    slide,
    with_windows,
)
from imigue_lab.data.skeletons.keypoints import layout_of
from imigue_lab.data.videos.frame_table import frame_table
from imigue_lab.errors import DataError
from imigue_lab.features.poses import fit_layout
from imigue_lab.inference.keypoints import OwnVideo
from imigue_lab.inference.windows import AnalyseSettings, open_encoder, score_windows
from imigue_lab.models.recognition import read
from imigue_lab.results.open import stored_settings
from imigue_lab.training.gesture_clips import with_richer_files
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.recognition.data import Features, pose_features
from imigue_lab.training.recognition.encoder import open_run_features
from imigue_lab.training.recognition.scores import count_segments, ratios
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import THRESHOLD_FILE, load_recognition, recognise
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device

Tables = Mapping[str, pd.DataFrame]  # by video id
IOU = 0.5  # at which the threshold is tuned


def segments_of(windows: Tables, times: Mapping[str, Times], threshold: float) -> pd.DataFrame:
    """The segments of all videos with their video_id, from windows with start, end and p0 ..."""
    curves = {video: by_frame(own) for video, own in windows.items()}
    found = {video: find_segments(own, times[video], threshold) for video, own in curves.items()}
    return joined(found)


def joined(segments: Tables) -> pd.DataFrame:
    """The segments of all videos in one table, with their video_id."""
    return pd.concat(segments, names=["video_id"]).reset_index("video_id").astype({"video_id": str})


def choose_threshold(
    windows: Tables, true: pd.DataFrame, times: Mapping[str, Times]
) -> tuple[float, float]:
    """The confidence threshold of a frame with the best F1 on validation videos, and that F1.

    20 quantiles of the frames' confidences are tried.
    """
    confidence = np.concatenate([by_frame(own).max(axis=1) for own in windows.values()])
    scores = {}
    for threshold in np.unique(np.quantile(confidence, np.arange(0, 1, 0.05))).tolist():
        found = segments_of(windows, times, threshold)
        counts = count_segments(found, true, [*windows], IOU, "one-to-one").sum()
        scores[threshold] = float(ratios(**counts)["f1"])
    best = max(scores, key=lambda threshold: scores[threshold])
    return best, scores[best]


@dataclass(frozen=True)
class Interviews:
    """Whole interviews: windows and times of the frames by video id, and true segments."""

    videos: pd.DataFrame  # as in the index
    windows: dict[str, pd.DataFrame]
    true: pd.DataFrame
    times: dict[str, Times]


def score_interviews(run: Run, split: str, settings: AnalyseSettings, limit: int = 0) -> Interviews:
    """Windows over the interviews of a split; a limit takes the first ones only.

    Raises DataError if none has a video, keypoints and labelled clips, or frame rates differ,
    RunError if the run's encoder cannot be built.
    """
    trained = stored_settings(run, "gesture")
    layout = layout_of(run.read_checkpoint("best")["keypoints"])
    index = open_corrected(GestureSettings.from_arguments(trained))
    index = with_richer_files(index, layout.name)
    labelled = index.clips[index.clips.label.notna()]
    videos = index.videos[(index.videos.split == split) & index.videos.video.notna()]
    videos = videos[videos.keypoints.notna() & videos.video_id.isin(labelled.video_id)]
    videos = videos.head(limit) if limit else videos
    if videos.fps.nunique() != 1:
        raise DataError(
            f"{index.root}: expected {split} interviews with video, keypoints and labels at one"
            f" frame rate, got {len(videos)} at {videos.fps.nunique()}; name another run or split"
        )
    fps = float(videos.fps.iloc[0])
    points, ranges, times = {}, {}, {}
    for video in videos.itertuples():
        found = read_file(index, video.keypoints, video.video_id, layout)
        points[video.video_id] = fit_layout(found, layout)[0][0]
        ranges[video.video_id] = slide(len(points[video.video_id]), fps)
        times[video.video_id] = frame_table(video.video).seconds
    windowed = with_windows(replace(index, videos=videos.assign(split="test")), ranges)
    rgb = open_encoder(run, "rgb", settings, open_device(settings.device).torch_device)
    scored = score_windows(run, windowed, points, rgb, settings.store, settings.device)
    windows = {str(video): own for video, own in scored.groupby("video_id")}
    true = {
        video: as_segments(labelled[labelled.video_id == video].assign(confidence=None), own)
        for video, own in times.items()
    }
    return Interviews(videos, windows, joined(true), times)


def find_threshold(run: Run, settings: AnalyseSettings) -> dict[str, Any]:
    """The best threshold on the run's validation interviews, stored in its folder: threshold, f1,
    iou, and the number of videos.
    """
    if (run.folder / THRESHOLD_FILE).exists():
        return run.read_json(THRESHOLD_FILE, "f1", "iou", "threshold", "videos")
    found = score_interviews(run, "validation", settings)
    threshold, f1 = choose_threshold(found.windows, found.true, found.times)
    kept = {"threshold": threshold, "videos": len(found.videos), "iou": IOU, "f1": f1}
    run.write_json(THRESHOLD_FILE, kept)
    return kept


def count_dropped(curves: Float[np.ndarray, "F C"], times: Times, threshold: float) -> str:
    """A remark on what `find_segments` drops of what it would find without a limit."""
    short = len(find_segments(curves, times, threshold, 0.0))
    short -= len(find_segments(curves, times, threshold))
    spans = find_segments(curves, times, 0.0)[["start", "end"]].itertuples(index=False)
    below = sum(curves[start : end + 1].max() < threshold for start, end in spans)
    what = f"{below} stretches of one class below the threshold, {short} above it"
    return f"not shown as gestures: {what} shorter than {SHORTEST} s"


def recognise_video(
    run: Run, own: OwnVideo, threshold: float, settings: AnalyseSettings
) -> tuple[Float[np.ndarray, "F C"], pd.DataFrame, str]:
    """Class probabilities of each frame, the segments that a run of 11 finds in a video, and a
    remark that counts those that are dropped.

    The keypoints are those of the run. Of segments with the same ends the most confident is kept.
    """
    found, parts = run.read_checkpoint("best"), list[Features]()
    if found["inputs"] != "run":
        parts.append(pose_features(own.keypoints[None], layout_of(found["keypoints"])))
    if found["inputs"] != "pose":
        where = {"store": settings.store, "device": settings.device}
        stored = stored_settings(run, "recognition") | where
        trained = RecognitionSettings.from_arguments(stored)
        videos = own.index.videos.assign(frames=own.frames)
        encoded = open_run_features(trained, own.index, videos, found["length"])
        parts.append(encoded(own.video_id, own.frames))
    features = np.concatenate(parts, axis=1)
    every = recognise(run, {own.video_id: features}, settings.device, np.finfo(float).tiny)
    table = every[every.confidence >= threshold]
    best = table.sort_values("confidence", ascending=False, kind="stable")
    best = best.drop_duplicates(["start", "end"]).sort_values(["start", "end"])
    frames = read(load_recognition(run), torch.from_numpy(features))[0]
    remark = (
        f"not shown of {len(every)} candidates: {len(every) - len(table)} below the threshold,"
        f" {len(table) - len(best)} with the ends of a more confident one"
    )
    return frames.softmax(dim=1)[:, :-1].numpy(), as_segments(best, own.times), remark
