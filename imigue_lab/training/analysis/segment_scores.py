"""Online recognition: found segments against true ones, F1 at an overlap (MiGA track 2).

A found segment is right where it has the class of a true one and overlaps it by enough; each true
segment is found once, by the surest.

    precision = right / found      recall = right / true      F1 = 2 right / (found + true)

Track 2's own matching is not published in detail; counts are summed over videos, not averaged.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from imigue_lab.data.segments import as_segments, by_frame, find_segments, overlap, spans


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
