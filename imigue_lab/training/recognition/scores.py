"""Scores of segments found in whole videos: pooled F1 at an overlap, mean average precision.

A table of segments has video_id, label, start and end (frames from 0, end inclusive), and of found
ones the confidence. A found segment matches a true one of its class in its video if they overlap
enough. Two rules decide what counts as correct (`Rule`):

    one-to-one  by falling confidence each found segment takes the free true one that it overlaps
                most, with an IoU of at least the limit (as in MMA-52's mAP)
    organisers  a true segment counts if any found one overlaps it by more than the limit, so one
                found segment may serve several true ones; the last frame does not count in the
                lengths (code of MiGA track 2 on SMG)

    precision = correct / found      recall = correct / true      F1 = 2 correct / (found + true)

Counts are summed over videos, not averaged. Letters in shapes: N found and M true segments, R
resamples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from imigue_lab.data.segments import overlap
from imigue_lab.training.recognition.settings import Rule
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import clusters_of
from imigue_lab.training.statistics import draw_groups, percentiles

IOUS = (0.1, 0.3, 0.5)  # of F1
MMA_IOUS = tuple(round(0.1 * n, 1) for n in range(1, 10))  # of MMA-52's mAP
ABOVE = 1e-6  # its code adds 1e-4 s to the union: an overlap at the limit does not match
TRUTH_FILE = "truth.parquet"  # in a run's folder
SEGMENT = ["video_id", "label", "start", "end"]
NEVER = -np.inf


def match(
    found: pd.DataFrame, true: pd.DataFrame, iou: float, rule: Rule = "one-to-one"
) -> Int[np.ndarray, " M"]:
    """The row of the found segment that each true one is matched to; -1 for none."""
    order = np.argsort(-found.confidence.to_numpy(dtype=float), kind="stable")
    groups = found.iloc[order].groupby(["video_id", "label"]).indices
    rows = np.full(len(true), -1)
    ends = [np.array(own[["start", "end"]], dtype=float) for own in (found, true)]
    for both in ends if rule == "one-to-one" else ():
        both[:, 1] += 1
    for key, places in true.groupby(["video_id", "label"]).indices.items():
        own = order[groups.get(key, [])]
        with np.errstate(invalid="ignore"):  # of two segments without a length
            shared = np.nan_to_num(overlap(ends[0][own], ends[1][places]))
        for row, values in zip(own, shared, strict=True):
            if rule == "organisers":
                rows[places[(values > iou) & (rows[places] < 0)]] = row
            elif values.max() >= iou:
                rows[places[values.argmax()]] = row
                shared[:, values.argmax()] = -1
    return rows


def recovered(
    found: pd.DataFrame, true: pd.DataFrame, iou: float, rule: Rule = "one-to-one"
) -> Float[np.ndarray, " M"]:
    """The confidence at which each true segment is found: at thresholds up to it; -inf for never.

    So at any threshold `correct` is the number of these that reach it.
    """
    return np.append(found.confidence.to_numpy(float), NEVER)[match(found, true, iou, rule)]


def ratios(correct: Any, found: Any, true: Any) -> dict[str, Any]:
    """Precision, recall and F1 of counts, numbers or arrays; 0 where the denominator is 0."""
    pairs = {"precision": (correct, found), "recall": (correct, true)}
    pairs["f1"] = (2 * correct, found + true)
    return {name: own / np.maximum(1, of) for name, (own, of) in pairs.items()}


def curve(
    found: pd.DataFrame, true: pd.DataFrame, iou: float = 0.5, rule: Rule = "one-to-one"
) -> pd.DataFrame:
    """Threshold, counts, precision, recall and F1 at every confidence that occurs, falling."""
    threshold, counts = np.unique(found.confidence.to_numpy(dtype=float), return_counts=True)
    at = np.sort(recovered(found, true, iou, rule))
    counted = {
        "correct": len(at) - np.searchsorted(at, threshold[::-1]),
        "found": np.cumsum(counts[::-1]),
        "true": len(true),
    }
    return pd.DataFrame({"threshold": threshold[::-1], **counted, **ratios(**counted)})


def best_threshold(
    found: pd.DataFrame, true: pd.DataFrame, iou: float = 0.5, rule: Rule = "one-to-one"
) -> tuple[float, float]:
    """The threshold of the best F1, the highest of equal ones, and that F1; (1, 0) of nothing."""
    own = curve(found, true, iou, rule)
    if own.empty:
        return 1.0, 0.0
    best = own.loc[own.f1.idxmax()]
    return float(best.threshold), float(best.f1)


def average_precision(found: pd.DataFrame, true: pd.DataFrame, iou: float) -> float:
    """The area below the interpolated precision over recall (PASCAL VOC 2010) of one class."""
    own = curve(found, true, iou + ABOVE)
    precision = np.maximum.accumulate(own.precision[::-1])[::-1]
    return float((precision * np.diff(own.recall, prepend=0)).sum())


def mean_average_precision(
    found: pd.DataFrame, true: pd.DataFrame, ious: Sequence[float] = MMA_IOUS
) -> float:
    """Over the classes that occur, and over overlaps: MMA-52's measure."""
    labels = true.label.unique()
    values = [
        average_precision(found[found.label == label], true[true.label == label], iou)
        for label in labels
        for iou in ious
    ]
    return float(np.mean(values)) if values else float("nan")


def count_segments(
    found: pd.DataFrame, true: pd.DataFrame, videos: Sequence[str], iou: float, rule: Rule
) -> pd.DataFrame:
    """correct, found and true of each video, with `videos` as rows.

    A segment of another video is a mistake of the caller.
    """
    foreign = {*found.video_id, *true.video_id} - {*videos}
    assert not foreign, f"segments of videos that are not scored: {sorted(foreign)}"
    correct = true[match(found, true, iou, rule) >= 0]
    tables = {"correct": correct, "found": found, "true": true}
    counts = {name: own.video_id.value_counts() for name, own in tables.items()}
    return pd.DataFrame({n: own.reindex(videos, fill_value=0) for n, own in counts.items()})


def read_truth(run: Run) -> pd.DataFrame:
    """A row for each true segment of a run's data, or for a video without any; see `of_split`."""
    with run.reading(TRUTH_FILE) as path:
        return pd.read_parquet(path)


def of_split(truth: pd.DataFrame, split: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The videos of a split whose segments are known, and these; both empty if none are."""
    own = truth[truth.split == split]
    true = own.dropna(subset="label").astype(dict.fromkeys(SEGMENT[1:], int))
    videos = own.drop(columns=["clip_id", *SEGMENT[1:]]).drop_duplicates(ignore_index=True)
    return videos if len(true) else videos.iloc[:0], true


def score_segments(
    found: Mapping[str, pd.DataFrame],
    true: pd.DataFrame,
    videos: pd.DataFrame,
    rule: Rule = "one-to-one",
    seed: int = 0,
) -> pd.DataFrame:
    """One row per predictor, with 95 % intervals over draws of whole subjects.

    Columns: predictor, n true segments, clusters and their unit, rule; F1 at each of `IOUS` as
    `f1_<percent>`; precision, recall, correct, found and true at the last of them.

    Args:
        found: segments above the threshold, by predictor.
        videos: video_id and subject of every video that counts, also of those without a segment.
    """
    cluster, unit = clusters_of(videos)
    group, names = pd.factorize(cluster)
    draws, ids = draw_groups(len(names), seed), videos.video_id.tolist()
    rows = []
    for predictor, own in found.items():
        row: dict[str, Any] = {"predictor": predictor, "n": len(true)}
        row |= {"clusters": len(names), "unit": unit, "rule": rule}
        for iou in IOUS:
            counts = count_segments(own, true, ids, iou, rule)
            sums = counts.groupby(group).sum()
            drawn = {name: draws @ sums[name].to_numpy() for name in counts}
            intervals = percentiles(ratios(**drawn), len(names))
            totals = {name: int(counts[name].sum()) for name in counts}
            at = ratios(**totals)
            name = f"f1_{round(100 * iou)}"
            row |= {name: at.pop("f1"), f"{name}_interval": intervals.get("f1")}
        rows.append(row | at | totals)
    return pd.DataFrame(rows)


def constant_windows(videos: Mapping[str, int], label: int, length: int) -> pd.DataFrame:
    """One class in windows of `length` frames over each video of so many frames, side by side."""
    rows = [
        (video, label, start, min(start + length, frames) - 1, 1.0)
        for video, frames in videos.items()
        for start in range(0, frames, length)
    ]
    return pd.DataFrame(rows, columns=[*SEGMENT, "confidence"])


def best_constant(
    true: pd.DataFrame, videos: Mapping[str, int], iou: float = 0.5, rule: Rule = "one-to-one"
) -> tuple[int, int]:
    """The class, and the length in frames of its windows, of the constant predictor with most F1.

    Each class is tried with windows of the median length of its segments.
    """
    lengths = (true.end - true.start + 1).groupby(true.label).median().astype(int)
    scores = {
        (int(label), int(length)): best_threshold(
            constant_windows(videos, int(label), int(length)), true, iou, rule
        )[1]
        for label, length in lengths.items()
    }
    return max(scores, key=lambda own: scores[own])
