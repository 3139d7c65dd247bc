"""Train, validation and test: the official split, or folds grouped by subject.

Emotion splits interviews, gestures split clips; in a fold each subject belongs to one split.

`nest` makes folds within folds, for choosing settings by a score that neither training nor the test
uses. The best of many scores is biased towards the items that were scored, so the official test
split is removed, one fold of subjects is held out for the score, and the rest is divided again:
early stopping needs a validation split of its own.
"""

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from imigue_lab.data.index import SPLITS, Index
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.errors import DataError, some

FOLDS = 5
UNKNOWN_SUBJECTS = "subjects are unknown"  # the first words of a remark that figures repeat


@dataclass(frozen=True)
class EmotionSplit:
    """Interviews with their split, and remarks for a reader of the scores.

    `videos` has video_id, subject (the video itself where unknown), split and outcome (its place in
    `outcomes`; null only in an unlabelled test).
    """

    videos: pd.DataFrame
    vocabulary: Vocabulary
    remarks: list[str] = field(default_factory=list)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Of two, the last is the positive one."""
        return self.vocabulary.outcomes

    def part(self, split: str) -> pd.DataFrame:
        return self.videos[self.videos.split == split]

    def refitted(self, remark: str) -> "EmotionSplit":
        return EmotionSplit(with_validation(self.videos), self.vocabulary, [*self.remarks, remark])


def with_validation(items: pd.DataFrame) -> pd.DataFrame:
    """A table whose validation items belong to train."""
    return items.assign(split=items.split.replace("validation", "train"))


def split_emotion(index: Index, fold: int, move_negatives: int, seed: int) -> EmotionSplit:
    """Chooses train and validation; the test split is never changed.

    Args:
        fold: -1 is the official split; 0 to 4 is one of five folds over train and validation,
            grouped by subject and stratified by outcome.
        move_negatives: on the official split, and only when its validation has one of two outcomes:
            number of interviews of the other, of as many subjects, that move from train to
            validation (paper section 5.2; which ones is our reading, docs/paper_gaps.md).

    Raises DataError if train is empty or has one outcome, or there are too few to move.
    """
    names = index.vocabulary.outcomes
    videos = with_subjects(index.videos[["video_id", "subject", "split", "outcome"]])
    videos, remarks = leave_out(videos, videos.split.isna(), "interviews belong to no split")
    remarks = index.remarks + (unknown_subjects(index) if fold >= 0 else []) + remarks
    unlabelled = videos.outcome.isna() & (videos.split != "test")
    videos, dropped = leave_out(videos, unlabelled, "interviews have no outcome")
    remarks += dropped
    if videos.empty or videos.outcome.isna().all():
        raise DataError(
            f"{index.root}: no interview has an outcome; set `labels` to a CSV of video_id,label"
        )
    held_out = videos[videos.split == "validation"]
    if fold >= 0:
        regroup(videos, videos[videos.split != "test"].outcome.astype(int), fold, seed)
    elif move_negatives and len(names) == 2 and held_out.outcome.nunique() == 1:
        remarks.append(move_to_validation(videos, names, move_negatives, seed))
    if not (videos.split == "train").any():
        left_out = f" ({'; '.join(dropped)})" if dropped else ""
        raise DataError(f"{index.root}: the train split is empty{left_out}; check its label files")
    found = set(videos[videos.split == "train"].outcome)
    if len(found) == 1:
        raise DataError(
            f"{index.root}: the outcome of every training interview is {names[found.pop()]!r};"
            " training needs two outcomes"
        )
    from imigue_lab.data.checks.tables import doubtful_outcomes  # its module is large

    remarks += [f"outcome {doubt}" for doubt in doubtful_outcomes(index)]
    lacking = [name for place, name in enumerate(names) if place not in found]
    remarks += [f"train lacks the outcomes {some(lacking)}"] * bool(lacking)
    remarks += shared_subjects(videos) + unvalidated(videos)
    return EmotionSplit(videos.reset_index(drop=True), index.vocabulary, remarks)


@dataclass(frozen=True)
class GestureSplit:
    """The index's clips with the chosen split, their classes, and remarks on the scores."""

    clips: pd.DataFrame  # subject is the video itself where unknown
    vocabulary: Vocabulary
    remarks: list[str] = field(default_factory=list)

    def part(self, split: str) -> pd.DataFrame:
        return self.clips[self.clips.split == split]

    def refitted(self, remark: str) -> "GestureSplit":
        clips, remarks = with_validation(self.clips), [*self.remarks, remark]
        return replace(self, clips=clips, remarks=remarks)


def split_gestures(index: Index, fold: int, seed: int) -> GestureSplit:
    """Chooses train and validation; the test split is never changed.

    Fold -1 is the official split, whose validation subjects are all in training too; 0 to 4 is one
    of five folds over train and validation, grouped by subject and stratified by class. Raises
    DataError if train is empty, or there are too few subjects for five folds.
    """
    clips = with_subjects(index.clips)
    clips, left_out = leave_out(clips, clips.split.isna(), "clips belong to no split")
    if fold >= 0:
        regroup(clips, pool_rare(clips[clips.split != "test"].label), fold, seed)
    if not (clips.split == "train").any():
        raise DataError(f"{index.root}: no clip in the train split; check its label files")
    labels = clips[clips.label.notna()].groupby("split").label.agg(set)
    ids = index.vocabulary.ids
    remarks = [
        f"{split} lacks the classes {', '.join(ids[label] for label in missing)} of train"
        for split in ("validation", "test")
        if split in labels and (missing := sorted(labels["train"] - labels[split]))
    ]
    unknown = index.remarks + (unknown_subjects(index) if fold >= 0 else [])
    remarks = unknown + left_out + shared_subjects(clips) + remarks + unvalidated(clips)
    return GestureSplit(clips.reset_index(drop=True), index.vocabulary, remarks)


def unvalidated(items: pd.DataFrame) -> list[str]:
    if (items.split == "validation").any():
        return []
    return ["there is no validation split: nothing was selected, the last epoch is scored"]


def with_subjects(table: pd.DataFrame) -> pd.DataFrame:
    """A copy in which a video of an unknown subject is a subject by itself."""
    return table.assign(subject=table.subject.where(table.subject.notna(), table.video_id))


def unknown_subjects(index: Index) -> list[str]:
    """The warning that folds of this index are of videos, not of people."""
    unknown = index.videos.subject.isna() & index.videos.split.notna()
    if not (unknown & (index.videos.split != "test")).any():
        return []
    return [
        f"{UNKNOWN_SUBJECTS} for {unknown.sum()} of {index.videos.split.notna().sum()} videos: each"
        " counts as a subject of its own, so a person may be in both train and validation; give a"
        " CSV of video_id,subject by `subjects`"
    ]


def leave_out(table: pd.DataFrame, rows: pd.Series, what: str) -> tuple[pd.DataFrame, list[str]]:
    """The table without some rows, and a sentence that counts and names them, if there are any."""
    if not rows.any():
        return table, []
    names = table.clip_id if "clip_id" in table else table.video_id
    return table[~rows], [f"{rows.sum()} {what} and are left out: {some(names[rows])}"]


def pool_rare(labels: pd.Series) -> pd.Series:
    """Merges the classes with fewer clips than folds, and the next larger, into one stratum."""
    counts = labels.value_counts(ascending=True, sort=True)
    rare = (counts < FOLDS).sum()
    pooled = counts.index[: rare + 1]
    return labels.where(~labels.isin(pooled), pooled[-1]) if rare else labels


def regroup(
    table: pd.DataFrame, strata: pd.Series, fold: int, seed: int, count: int = FOLDS
) -> None:
    """Sets the split of the rows of `strata`: one of `count` folds validates, the others train."""
    known = table.loc[strata.index]
    if known.subject.nunique() < count:
        raise DataError(
            f"expected at least {count} subjects in train and validation for {count} folds, got"
            f" {known.subject.nunique()}; use fold=-1"
        )
    validating = known.subject.map(subject_folds(known.subject, strata, seed, count)) == fold
    table.loc[known.index, "split"] = "train"
    table.loc[known.index[validating], "split"] = "validation"


def subject_folds(subjects: pd.Series, strata: pd.Series, seed: int, count: int) -> pd.Series:
    """The fold of each subject: in random order, each to where shares of strata stay most even.

    scikit-learn's `StratifiedGroupKFold` orders subjects by size, so that its seed only decides
    between subjects with equal counts: with iMiGUE's the folds of all seeds are the same. Here
    sizes count within a factor of three.
    """
    table = pd.crosstab(subjects, strata)
    rng = np.random.default_rng(seed)
    order = np.argsort(-table.sum(axis=1).to_numpy() * rng.uniform(0.5, 1.5, len(table)))
    shares = (table / table.sum()).to_numpy()
    filled, folds = np.zeros((count, shares.shape[1])), np.empty(len(table), int)
    for subject in order:
        after = filled[None] + np.eye(count)[:, :, None] * shares[subject]  # one row per choice
        uneven = after.std(axis=1).mean(axis=1).round(12)
        folds[subject] = np.lexsort((filled.sum(axis=1), uneven))[0]
        filled[folds[subject]] += shares[subject]
    return pd.Series(folds, table.index)


def move_to_validation(videos: pd.DataFrame, both: tuple[str, ...], count: int, seed: int) -> str:
    """Moves `count` interviews of the outcome that validation lacks, one per subject."""
    present = int(videos[videos.split == "validation"].outcome.iloc[0])
    candidates = videos[(videos.split == "train") & (videos.outcome != present)]
    rng = np.random.default_rng([seed, count])
    subjects = candidates.subject.unique()
    if len(subjects) < count:
        raise DataError(
            f"move_negatives={count}: training has {len(subjects)} subjects with the outcome"
            f" {both[1 - present]!r}; reduce it to {len(subjects)}"
        )
    moved = [
        rng.choice(candidates.index[candidates.subject == subject].to_numpy())
        for subject in rng.choice(np.array(sorted(subjects), dtype=object), count, replace=False)
    ]
    videos.loc[moved, "split"] = "validation"
    names = some(sorted(videos.loc[moved].video_id), limit=count)
    return f"moved from train to validation, which had one outcome: {names}"


def shared_subjects(videos: pd.DataFrame) -> list[str]:
    """One sentence for each pair of splits with subjects in common."""
    subjects = {split: set(videos[videos.split == split].subject) for split in SPLITS}
    return [
        f"{len(both)} subjects are in both {a} and {b}: {some(sorted(both))}"
        for a, b in combinations(SPLITS, 2)
        if (both := subjects[a] & subjects[b])
    ]


def nest(index: Index, by: Literal["outcome", "label"], fold: int, seed: int) -> Index:
    """The index without its test split; its new `test` is the held-out fold.

    Args:
        by: stratification: outcomes of interviews, or classes of clips.
        fold: 0 to 4, grouped by subject.
        seed: of the folds; the same for all settings that are to be compared.

    Raises DataError if there are too few subjects for folds within folds.
    """

    def strata(rows: pd.DataFrame) -> pd.Series:
        return rows[by].astype(int) if by == "outcome" else pool_rare(rows[by])

    table = index.videos if by == "outcome" else index.clips
    known = with_subjects(table[table.split.isin(["train", "validation"]) & table[by].notna()])
    if known.subject.nunique() < FOLDS + 2:
        where = f"in train and validation for a search within {FOLDS} folds"
        what, todo = f"at least {FOLDS + 2} subjects {where}", "add interviews of other subjects"
        raise DataError.expected(index.root, what, known.subject.nunique(), todo)
    regroup(known, strata(known), fold, seed)
    held_out = known.split == "validation"
    rest = known[~held_out].copy()
    regroup(rest, strata(rest), 0, seed, min(FOLDS, rest.subject.nunique()))
    known.loc[held_out, "split"] = "test"
    known.loc[rest.index, "split"] = rest.split
    split = known.drop_duplicates("video_id").set_index("video_id").split
    videos, clips = (
        kept.assign(split=kept.video_id.map(split)).reset_index(drop=True)
        for kept in (t[t.video_id.isin(split.index)] for t in (index.videos, index.clips))
    )
    return replace(index, videos=videos, clips=clips, remarks=unknown_subjects(index))
