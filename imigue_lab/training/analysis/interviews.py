"""A gesture run on whole interviews of its own data: the threshold it asks for, and how it does."""

import json
from dataclasses import dataclass

import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.segments import as_segments, by_frame, find_segments, slide
from imigue_lab.data.source import open_data
from imigue_lab.errors import DataError
from imigue_lab.features.poses import fit_layout, read_file
from imigue_lab.training.analysis.online import score_windows
from imigue_lab.training.analysis.own_video import with_windows
from imigue_lab.training.analysis.run_encoders import open_encoder
from imigue_lab.training.analysis.segment_scores import (
    OnlineScore,
    choose_threshold,
    constant_answer,
    online_score,
)
from imigue_lab.training.analysis.settings import AnalyseSettings
from imigue_lab.training.finished.opened import given_of
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_fabric

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
    rgb = open_encoder(run, "rgb", settings, open_fabric(settings.device).device)
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
