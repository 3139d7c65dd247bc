"""Online recognition: detected segments against true ones, F1 at an overlap (MiGA track 2).

A detected segment is correct if it has the class of a true one and overlaps it enough; each true
segment is matched once, by the most confident detection.

    precision = correct / found      recall = correct / true      F1 = 2 correct / (found + true)

The matching of track 2 is not published in detail; counts are summed over videos, not averaged.
`score_interviews` applies a gesture run to interviews of its own data root, `find_threshold` tunes
the confidence threshold on validation, `compare_online` scores it against a constant predictor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from imigue_lab.data.keypoint_files.clips import read_file
from imigue_lab.data.segments import (
    Times,
    as_segments,
    by_frame,
    find_segments,
    overlap,
    slide,
    spans,
    with_windows,
)
from imigue_lab.data.skeletons.keypoints import layout_of
from imigue_lab.data.source import open_data
from imigue_lab.data.videos.frame_table import frame_table
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.errors import DataError
from imigue_lab.features.poses import fit_layout
from imigue_lab.inference.windows import AnalyseSettings, open_encoder, score_windows
from imigue_lab.results.open import stored_settings
from imigue_lab.training.gesture_clips import with_richer_files
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device


class OnlineScore(NamedTuple):
    """Counts over all videos, and their ratios; 0 where the denominator is 0."""

    correct: int
    found: int
    true: int

    @property
    def precision(self) -> float:
        return self.correct / max(1, self.found)

    @property
    def recall(self) -> float:
        return self.correct / max(1, self.true)

    @property
    def f1(self) -> float:
        return 2 * self.correct / max(1, self.found + self.true)


Tables = Mapping[str, pd.DataFrame]  # video id -> segments


def online_score(found: Tables, true: Tables, iou: float = 0.5) -> OnlineScore:
    """Segments against segments, video by video; `iou` is the least that matches.

    `true` is of every video that counts; one without gestures is an empty table.
    """
    unknown = set(found) - set(true)
    assert not unknown, f"segments of videos without true segments: {sorted(unknown)}"
    correct = sum(count_correct(found[video], true[video], iou) for video in found)
    return OnlineScore(correct, sum(map(len, found.values())), sum(map(len, true.values())))


def count_correct(found: pd.DataFrame, true: pd.DataFrame, iou: float) -> int:
    """Matches greedily by confidence, each to the true segment of its class that overlaps most."""
    order = found.sort_values("confidence", ascending=False, kind="stable")
    iou_table = overlap(spans(order), spans(true))
    iou_table[order.label.to_numpy()[:, None] != true.label.to_numpy()[None]] = 0
    correct = 0
    for row in iou_table:
        if row.size and row.max() >= iou:
            correct += 1
            iou_table[:, row.argmax()] = 0
    return correct


def choose_threshold(
    windows: Tables, true: Tables, times: Mapping[str, Times]
) -> tuple[float, OnlineScore]:
    """The confidence threshold of a frame with the best F1 on validation videos.

    Windows have the columns start, end, p0 ...; 20 quantiles of the frames' confidences are tried.
    """
    curves = {video: by_frame(own) for video, own in windows.items()}
    confidence = np.concatenate([own.max(axis=1) for own in curves.values()])
    scores = {}
    for threshold in np.unique(np.quantile(confidence, np.arange(0, 1, 0.05))).tolist():
        found = {
            video: find_segments(own, times[video], threshold) for video, own in curves.items()
        }
        scores[threshold] = online_score(found, true)
    best = max(scores, key=lambda threshold: scores[threshold].f1)
    return best, scores[best]


def constant_predictor(
    windows: Tables, label: int, times: Mapping[str, Times]
) -> dict[str, pd.DataFrame]:
    """One class throughout: the windows of each video that do not overlap."""
    segments = {}
    for video, own in windows.items():
        longest = own[(own.end - own.start) == (own.end - own.start).max()].sort_values("start")
        kept, end = [], -1
        for row in longest.itertuples():
            if row.start > end:
                kept.append(row.Index)
                end = row.end
        rows = own.loc[kept].assign(label=label, confidence=1.0)
        segments[video] = as_segments(rows, times[video])
    return segments


THRESHOLD_FILE = "threshold.json"  # in a run's folder


@dataclass(frozen=True)
class Interviews:
    """Scored windows, true segments and times of the frames of whole interviews, by video id."""

    windows: dict[str, pd.DataFrame]
    true: dict[str, pd.DataFrame]
    times: dict[str, Times]
    vocabulary: Vocabulary


def score_interviews(run: Run, split: str, settings: AnalyseSettings, limit: int = 0) -> Interviews:
    """Windows over the interviews of a split; a limit takes the first ones only.

    Raises DataError if none has a video, keypoints and labelled clips, or frame rates differ,
    RunError if the run's encoder cannot be built.
    """
    trained = stored_settings(run, "gesture")
    layout = layout_of(run.read_checkpoint("best")["keypoints"])
    index = with_richer_files(open_data(trained["data"], store=trained["store"]), layout.name)
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
    chosen = replace(index, videos=videos.assign(split="test"))
    windowed = with_windows(chosen, ranges)
    rgb = open_encoder(run, "rgb", settings, open_device(settings.device).torch_device)
    scored = score_windows(run, windowed, points, rgb, settings.store, settings.device)
    windows = {str(video): own for video, own in scored.groupby("video_id")}
    true = {
        video: as_segments(labelled[labelled.video_id == video].assign(confidence=None), own)
        for video, own in times.items()
    }
    return Interviews(windows, true, times, run.vocabulary())


def find_threshold(run: Run, settings: AnalyseSettings) -> float:
    """The best threshold on the run's validation interviews, stored in its folder."""
    if (run.folder / THRESHOLD_FILE).exists():
        return float(run.read_json(THRESHOLD_FILE, "threshold")["threshold"])
    found = score_interviews(run, "validation", settings)
    threshold, score = choose_threshold(found.windows, found.true, found.times)
    kept = {"threshold": threshold, "videos": len(found.true), "iou": 0.5, "f1": score.f1}
    run.write_json(THRESHOLD_FILE, kept)
    return threshold


def compare_online(found: Interviews, threshold: float) -> pd.DataFrame:
    """The run and the constant predictor of the most frequent true class.

    Columns: predictor, interviews, correct, found, true, precision, recall, f1.
    """
    predicted = {
        video: find_segments(by_frame(own), found.times[video], threshold)
        for video, own in found.windows.items()
    }
    label = int(pd.concat(found.true.values()).label.mode().iloc[0])
    constant = constant_predictor(found.windows, label, found.times)
    rows = []
    majority = f"always {found.vocabulary.classes[label]}"
    for name, segments in (("model", predicted), (majority, constant)):
        score = online_score(segments, found.true)
        row = {"predictor": name, "interviews": len(found.true), **score._asdict()}
        rows.append(row | {n: getattr(score, n) for n in ("precision", "recall", "f1")})
    return pd.DataFrame(rows)
