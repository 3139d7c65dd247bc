"""Finished runs on the same clips: joined by id, and what one gains over the other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from imigue_lab.errors import RunError, some
from imigue_lab.training.gesture_scores import probabilities
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import draw_groups

SHARED = ("video_id", "subject", "split", "label")


class Gain(NamedTuple):
    """How much more of the clips the first model gets right.

    Attributes:
        top1: difference of the shares, first minus second.
        interval: of it, 95 %: whole videos are drawn, the same ones for both.
        n, videos: what it rests on.
    """

    top1: float
    interval: tuple[float, float]
    n: int
    videos: int


def paired_gain(
    first: pd.DataFrame, second: pd.DataFrame, seed: int = 0, unit: str = "video_id"
) -> Gain:
    """Two tables of labelled predictions, joined by clip id.

    Args:
        unit: column of what is drawn; `subject` where videos of one subject hang together.

    Raises:
        RunError: they are not of the same clips.
    """
    other = second.set_index("clip_id")
    if len(first) != len(second) or set(first.clip_id) != set(other.index):
        raise RunError(
            f"two models are compared on the same clips; {len(first)} and {len(second)} were given,"
            f" {len(set(first.clip_id) & set(other.index))} in both"
        )
    gained = right(first) - right(other.loc[first.clip_id])
    group, names = pd.factorize(first[unit])
    draws = draw_groups(len(names), seed)
    shares = draws @ np.bincount(group, weights=gained) / (draws @ np.bincount(group))
    low, high = np.quantile(shares, [0.025, 0.975])
    return Gain(float(gained.mean()), (float(low), float(high)), len(first), len(names))


def right(predictions: pd.DataFrame) -> np.ndarray:
    """1 where the most probable class is the label."""
    said = probabilities(predictions).argmax(axis=1)
    return (said == predictions.label.to_numpy(dtype=int)).astype(float)


def join_runs(runs: Sequence[Run]) -> list[pd.DataFrame]:
    """The predictions of each run, rows in the order of clip ids.

    Of train, the clips that all of them have: some lack what one network reads.

    Raises:
        RunError: they are not of the same clips of validation and test, or differ in parts, labels
            or classes; the sentence names the runs and what differs.
    """
    if len(runs) < 2 or len({run.folder for run in runs}) < len(runs):
        raise RunError("two runs or more are due, each once; name others")
    tables = [clips_of(run) for run in runs]
    first, known = tables[0], classes_of(runs[0])
    for run, table in zip(runs[1:], tables[1:], strict=True):
        pair = f"{runs[0].folder.name} and {run.folder.name}"
        if probabilities(table).shape[1] != probabilities(first).shape[1]:
            raise RunError(f"{pair}: tell different numbers of classes; join runs of one task")
        if known and classes_of(run) and classes_of(run) != known:
            raise RunError(f"{pair}: their classes have other names; join runs of one task")
        differing = held_out(first) ^ held_out(table)
        if differing:
            raise RunError(
                f"{pair}: {len(differing)} clips are not held out in both,"
                f" {some(sorted(differing))}; join runs of the same data and fold"
            )
    shared = set.intersection(*(set(table.clip_id) for table in tables))
    tables = [t[t.clip_id.isin(shared)].reset_index(drop=True) for t in tables]
    first = tables[0]
    for run, table in zip(runs[1:], tables[1:], strict=True):
        pair = f"{runs[0].folder.name} and {run.folder.name}"
        for column in SHARED:
            same = table[column].eq(first[column]).fillna(False)
            same |= table[column].isna() & first[column].isna()
            if not same.all():
                raise RunError(
                    f"{pair}: differ in the {column} of {(~same).sum()} clips,"
                    f" {some(first.clip_id[~same])}; join runs of the same data, fold and seed"
                )
    return tables


def held_out(table: pd.DataFrame) -> set[str]:
    return set(table.clip_id[table.split != "train"])


def clips_of(run: Run) -> pd.DataFrame:
    """Its predictions in the order of clip ids."""
    predictions = run.predictions()
    if "clip_id" not in predictions or "p0" not in predictions:
        raise RunError(f"{run.folder.name}: does not tell classes of clips; name another run")
    return predictions.sort_values("clip_id", ignore_index=True)


def classes_of(run: Run) -> list[str]:
    """The names of its classes; of a fusion, which has no checkpoint, nothing is known."""
    if not (run.folder / "best.safetensors").exists():
        return []
    return run.read_checkpoint("best")["classes"]
