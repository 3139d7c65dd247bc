"""Who trains, validates and tests: the official split, or folds grouped by subject.

Emotion splits interviews, gestures split clips; in both a subject stands on one side of a fold.

Folds within folds: for choosing settings by a score that neither training nor the test sees.

Whatever is chosen by many scores fits the items that were scored. So the official test split is
taken away, one fold of subjects is held out for the score, and the rest is divided once more, so
that early stopping has a part of its own.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from imigue_lab.data.index import SPLITS, Index
from imigue_lab.data.vocabulary import OUTCOMES
from imigue_lab.errors import DataError, some

FOLDS = 5


@dataclass(frozen=True)
class EmotionSplit:
    """Interviews with their part, and what a reader of the scores should know.

    Attributes:
        videos: video_id, subject (the video itself where unknown), split, outcome (null only in an
            unlabelled test).
        remarks: moved negatives, subjects on both sides, interviews left out.
    """

    videos: pd.DataFrame
    remarks: list[str] = field(default_factory=list)

    def part(self, split: str) -> pd.DataFrame:
        return self.videos[self.videos.split == split]


def split_emotion(index: Index, fold: int, move_negatives: int, seed: int) -> EmotionSplit:
    """Chooses train and validation; the test split is never touched.

    Args:
        fold: -1 is the official split; 0 to 4 is one of five folds over train and validation,
            grouped by subject and stratified by outcome.
        move_negatives: on the official split, and only when its validation holds one class: so many
            interviews of the other class, of as many subjects, go from train to validation (paper
            section 5.2; which ones is our reading, docs/paper_gaps.md).

    Raises:
        DataError: a part is empty, training holds one class, or there are too few to move.
    """
    videos = index.videos[["video_id", "subject", "split", "outcome"]].copy()
    videos["subject"] = videos.subject.where(videos.subject.notna(), videos.video_id)
    videos, remarks = leave_out(videos, videos.split.isna(), "interviews belong to no split")
    unlabelled = videos.outcome.isna() & (videos.split != "test")
    videos, told = leave_out(videos, unlabelled, "interviews have no outcome")
    remarks += told
    if videos.empty or videos.outcome.isna().all():
        raise DataError(
            f"{index.root}: no interview has an outcome; give a CSV of video_id,label by `labels`"
        )
    if fold >= 0:
        regroup(videos, videos[videos.split != "test"].outcome.astype(int), fold, seed)
    elif move_negatives and videos[videos.split == "validation"].outcome.nunique() == 1:
        remarks.append(move_to_validation(videos, move_negatives, seed))
    for split in ("train", "validation"):
        if not (videos.split == split).any():
            left_out = f" ({'; '.join(told)})" if told else ""
            raise DataError(
                f"{index.root}: the {split} split is empty{left_out}; see its label files"
            )
    train = videos[videos.split == "train"]
    if train.outcome.nunique() == 1:
        only = OUTCOMES[int(train.outcome.iloc[0])]
        raise DataError(
            f"{index.root}: every training interview is a {only}; a model needs both outcomes"
        )
    remarks += shared_subjects(videos)
    return EmotionSplit(videos.reset_index(drop=True), remarks)


@dataclass(frozen=True)
class GestureSplit:
    """Clips with their part, and what a reader of the scores should know.

    Attributes:
        clips: the index's clips with the chosen split; subject is the video itself where unknown.
        remarks: subjects on both sides, classes that a part lacks.
    """

    clips: pd.DataFrame
    remarks: list[str] = field(default_factory=list)

    def part(self, split: str) -> pd.DataFrame:
        return self.clips[self.clips.split == split]


def split_gestures(index: Index, fold: int, seed: int) -> GestureSplit:
    """Chooses train and validation; the test split is never touched.

    Args:
        fold: -1 is the official split, whose validation subjects are all in training too; 0 to 4 is
            one of five folds over train and validation, grouped by subject and stratified by class.

    Raises:
        DataError: train or validation is empty, or there are too few subjects for five folds.
    """
    clips = index.clips.copy()
    clips["subject"] = clips.subject.where(clips.subject.notna(), clips.video_id)
    clips, left_out = leave_out(clips, clips.split.isna(), "clips belong to no split")
    if fold >= 0:
        known = clips[clips.split != "test"]
        regroup(clips, pool_rare(known.label), fold, seed)
    for split in ("train", "validation"):
        if not (clips.split == split).any():
            raise DataError(f"{index.root}: no clip in the {split} split; see its label files")
    trained = set(clips[clips.split == "train"].label)
    remarks = [
        f"{split} lacks the classes {some(lacking, limit=32)} of train"
        for split in ("validation", "test")
        if (lacking := sorted(trained - set(clips[clips.split == split].label)))
        and (clips.split == split).any()
    ]
    return GestureSplit(clips.reset_index(drop=True), left_out + shared_subjects(clips) + remarks)


def leave_out(table: pd.DataFrame, rows: pd.Series, what: str) -> tuple[pd.DataFrame, list[str]]:
    """The table without some rows, and a sentence that counts and names them, if there are any."""
    if not rows.any():
        return table, []
    names = table.clip_id if "clip_id" in table else table.video_id
    return table[~rows], [f"{rows.sum()} {what} and are left out: {some(names[rows])}"]


def pool_rare(labels: pd.Series) -> pd.Series:
    """Classes with fewer clips than folds cannot be spread: they share a stratum with the next."""
    counts = labels.value_counts(ascending=True, sort=True)
    rare = counts[counts < FOLDS].index
    if not len(rare):
        return labels
    pooled = counts.index[: len(rare) + 1]
    return labels.where(~labels.isin(pooled), pooled[-1])


def regroup(
    table: pd.DataFrame, strata: pd.Series, fold: int, seed: int, count: int = FOLDS
) -> None:
    """Makes validation of one of `count` folds, and train of the others; `strata`: which rows."""
    known = table.loc[strata.index]
    if known.subject.nunique() < count:
        raise DataError(
            f"train and validation hold {known.subject.nunique()} subjects, {count} folds need at"
            f" least {count}; use fold=-1"
        )
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    parts = list(folds.split(known.index, strata, groups=known.subject))
    table.loc[known.index, "split"] = "train"
    table.loc[known.index[parts[fold][1]], "split"] = "validation"


def move_to_validation(videos: pd.DataFrame, count: int, seed: int) -> str:
    """Moves `count` interviews of the class that validation lacks, one a subject."""
    present = int(videos[videos.split == "validation"].outcome.iloc[0])
    candidates = videos[(videos.split == "train") & (videos.outcome != present)]
    rng = np.random.default_rng([seed, count])
    subjects = candidates.subject.unique()
    if len(subjects) < count:
        raise DataError(
            f"move_negatives={count}: training holds {len(subjects)} subjects with a"
            f" {OUTCOMES[1 - present]}; lower it to that"
        )
    moved = []
    for subject in rng.choice(np.array(sorted(subjects), dtype=object), count, replace=False):
        moved.append(rng.choice(candidates.index[candidates.subject == subject].to_numpy()))
    videos.loc[moved, "split"] = "validation"
    names = some(sorted(videos.loc[moved].video_id), limit=count)
    return f"moved from train to validation, which held one outcome: {names}"


def shared_subjects(videos: pd.DataFrame) -> list[str]:
    """One sentence for each pair of parts with subjects in common."""
    subjects = {split: set(videos[videos.split == split].subject) for split in SPLITS}
    pairs = (("train", "validation"), ("train", "test"), ("validation", "test"))
    return [
        f"{len(both)} subjects stand in {a} and in {b}: {some(sorted(both))}"
        for a, b in pairs
        if (both := subjects[a] & subjects[b])
    ]


def nest(index: Index, by: Literal["outcome", "label"], fold: int, seed: int) -> Index:
    """The index without its test split, whose `test` is now the held-out fold.

    Args:
        by: what is spread evenly over folds: outcomes of interviews, or classes of clips.
        fold: 0 to 4, grouped by subject.
        seed: of the folds; the same for all settings that are to be compared.

    Raises:
        DataError: too few subjects for folds within folds.
    """
    table = index.videos if by == "outcome" else index.clips
    known = table[table.split.isin(["train", "validation"]) & table[by].notna()].copy()
    known["subject"] = known.subject.where(known.subject.notna(), known.video_id)
    if known.subject.nunique() < FOLDS + 2:
        raise DataError(
            f"{index.root}: {known.subject.nunique()} subjects in train and validation; a search"
            f" within {FOLDS} folds needs {FOLDS + 2}"
        )
    regroup(known, strata(known, by), fold, seed)
    held = known.split == "validation"
    rest = known[~held].copy()
    regroup(rest, strata(rest, by), 0, seed, min(FOLDS, rest.subject.nunique()))
    known.loc[held, "split"] = "test"
    known.loc[rest.index, "split"] = rest.split
    part = known.drop_duplicates("video_id").set_index("video_id").split
    return replace(index, videos=seen(index.videos, part), clips=seen(index.clips, part))


def strata(table: pd.DataFrame, by: str) -> pd.Series:
    return table[by].astype(int) if by == "outcome" else pool_rare(table[by])


def seen(table: pd.DataFrame, part: pd.Series) -> pd.DataFrame:
    """The rows of videos that have a part, with it."""
    kept = table[table.video_id.isin(part.index)]
    return kept.assign(split=kept.video_id.map(part)).reset_index(drop=True)
