"""Online recognition: found segments against true ones, F1 at an overlap (MiGA track 2).

A found segment is right where it has the class of a true one and overlaps it by enough; each true
segment is found once, by the surest.

    precision = right / found      recall = right / true      F1 = 2 right / (found + true)

Track 2's own matching is not published in detail; counts are summed over videos, not averaged.

A gesture run on whole interviews of its own data: the threshold it asks for, and how it does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.segments import as_segments, by_frame, find_segments, overlap, slide, spans
from imigue_lab.data.source import open_data
from imigue_lab.errors import DataError
from imigue_lab.features.poses import fit_layout, read_file
from imigue_lab.inference.keypoints import with_windows
from imigue_lab.inference.windows import AnalyseSettings, open_encoder, score_windows
from imigue_lab.results.open import given_of
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device


class OnlineScore(NamedTuple):
    """Counts over all videos, and what they come to; 0 where there is nothing to divide by."""

    right: int
    found: int
    true: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        both = self.found + self.true
        return 2 * self.right / both if both else 0.0


Tables = Mapping[str, pd.DataFrame]  # video id -> segments


def online_score(found: Tables, true: Tables, iou: float = 0.5) -> OnlineScore:
    """Segments against segments, video by video.

    Args:
        true: of every video that counts; one without gestures is an empty table.
        iou: intersection over union from which on a segment is found.
    """
    strangers = set(found) - set(true)
    assert not strangers, f"segments of videos that have no truth: {sorted(strangers)}"
    right = sum(count_right(found[video], true[video], iou) for video in found)
    return OnlineScore(right, sum(map(len, found.values())), sum(map(len, true.values())))


def count_right(found: pd.DataFrame, true: pd.DataFrame, iou: float) -> int:
    """The surest chooses first, of the true segments of its class the one it overlaps most."""
    order = found.sort_values("confidence", ascending=False, kind="stable")
    alike = overlap(spans(order), spans(true))
    alike[order.label.to_numpy()[:, None] != true.label.to_numpy()[None]] = 0
    right = 0
    for row in alike:
        if row.size and row.max() >= iou:
            right += 1
            alike[:, row.argmax()] = 0
    return right


def choose_threshold(
    windows: Tables, true: Tables, fps: int | float, iou: float = 0.5
) -> tuple[float, OnlineScore]:
    """The confidence below which a frame is in no gesture: the best F1 on validation videos.

    Args:
        windows: scored windows of each video: start, end, p0 ...; of what they say of the frames
            20 quantiles are tried.
    """
    curves = {video: by_frame(own) for video, own in windows.items()}
    sure = np.concatenate([own.max(axis=1) for own in curves.values()])
    grid = np.unique(np.quantile(sure, np.arange(0, 1, 0.05))).tolist()
    scores = {
        threshold: online_score(
            {video: find_segments(own, fps, threshold) for video, own in curves.items()}, true, iou
        )
        for threshold in grid
    }
    best = max(scores, key=lambda threshold: scores[threshold].f1)
    return best, scores[best]


def constant_answer(windows: Tables, label: int, fps: int | float) -> dict[str, pd.DataFrame]:
    """What says the same class all the time: the windows of a video that do not overlap."""
    answers = {}
    for video, own in windows.items():
        longest = own[(own.end - own.start) == (own.end - own.start).max()].sort_values("start")
        kept, end = [], -1
        for row in longest.itertuples():
            if row.start > end:
                kept.append(row.Index)
                end = row.end
        answers[video] = as_segments(own.loc[kept].assign(label=label, confidence=1.0), fps)
    return answers


CHOSEN = "threshold.json"  # in a run's folder: what its validation interviews asked for


@dataclass(frozen=True)
class Interviews:
    """Scored windows of whole interviews by video id, and the segments that are true."""

    windows: dict[str, pd.DataFrame]
    true: dict[str, pd.DataFrame]
    fps: float


def score_interviews(run: Run, split: str, settings: AnalyseSettings, limit: int = 0) -> Interviews:
    """Windows over the interviews of a part.

    Args:
        limit: the first interviews only; 0 takes all.

    Raises:
        DataError: none of them has a video, keypoints and labelled clips, all at one rate.
        RunError: the run's encoder cannot be had.
    """
    given = given_of(run, "gesture")
    index = open_data(given["data"], store=given["store"])
    labelled = index.clips[index.clips.label.notna()]
    videos = index.videos[(index.videos.split == split) & index.videos.video.notna()]
    videos = videos[videos.keypoints.notna() & videos.video_id.isin(labelled.video_id)]
    videos = videos.head(limit) if limit else videos
    if videos.fps.nunique() != 1:
        raise DataError(
            f"{index.root}: {len(videos)} {split} interviews have a video, keypoints and labels, at"
            f" {videos.fps.nunique()} frame rates; one rate is due: name another run or part"
        )
    fps = float(videos.fps.iloc[0])
    layout = run.read_checkpoint("best")["keypoints"]
    points, ranges = {}, {}
    for video in videos.itertuples():
        points[video.video_id] = fit_layout(read_file(video.keypoints), layout)[0][0]
        ranges[video.video_id] = slide(len(points[video.video_id]), fps)
    chosen = Index(index.root, index.layout, videos.assign(split="test"), index.clips)
    looked = with_windows(chosen, ranges)
    rgb = open_encoder(run, "rgb", settings, open_device(settings.device).torch_device)
    scored = score_windows(run, looked, points, rgb, settings.store, settings.device)
    windows = {str(video): own for video, own in scored.groupby("video_id")}
    true = {
        video: as_segments(labelled[labelled.video_id == video].assign(confidence=None), fps)
        for video in points
    }
    return Interviews(windows, true, fps)


def find_threshold(run: Run, settings: AnalyseSettings) -> float:
    """The best on the run's validation interviews, kept in its folder."""
    if (file := run.folder / CHOSEN).exists():
        return float(json.loads(file.read_text())["threshold"])
    found = score_interviews(run, "validation", settings)
    threshold, score = choose_threshold(found.windows, found.true, found.fps)
    kept = {"threshold": threshold, "videos": len(found.true), "iou": 0.5, "f1": score.f1}
    run.write_json(CHOSEN, kept)
    return threshold


def compare_online(found: Interviews, threshold: float) -> pd.DataFrame:
    """The run beside the better of the constant answers, which knows the most frequent class.

    Columns: answer, interviews, right, found, true, precision, recall, f1.
    """
    answers = {
        video: find_segments(by_frame(own), found.fps, threshold)
        for video, own in found.windows.items()
    }
    label = int(pd.concat(found.true.values()).label.mode().iloc[0])
    constant = constant_answer(found.windows, label, found.fps)
    scores: dict[str, OnlineScore] = {
        "model": online_score(answers, found.true),
        f"always class {label}": online_score(constant, found.true),
    }
    return pd.DataFrame(
        [
            {"answer": name, "interviews": len(found.true), **score._asdict()}
            | {"precision": score.precision, "recall": score.recall, "f1": score.f1}
            for name, score in scores.items()
        ]
    )
