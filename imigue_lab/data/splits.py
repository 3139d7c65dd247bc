"""Which interview trains, validates and tests: the official split, or folds grouped by subject."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from imigue_lab.data.classes import OUTCOMES
from imigue_lab.data.index import SPLITS, Index
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
    remarks = []
    unlabelled = videos[videos.outcome.isna() & (videos.split != "test")]
    if len(unlabelled):
        remarks.append(
            f"{len(unlabelled)} interviews have no outcome and are left out:"
            f" {some(unlabelled.video_id)}"
        )
        videos = videos.drop(unlabelled.index)
    if fold >= 0:
        regroup(videos, fold, seed)
    elif move_negatives and videos[videos.split == "validation"].outcome.nunique() == 1:
        remarks.append(move_to_validation(videos, move_negatives, seed))
    for split in ("train", "validation"):
        if not (videos.split == split).any():
            raise DataError(f"{index.root}: the {split} split is empty; see its label files")
    train = videos[videos.split == "train"]
    if train.outcome.nunique() == 1:
        only = OUTCOMES[int(train.outcome.iloc[0])]
        raise DataError(
            f"{index.root}: every training interview is a {only}; a model needs both outcomes"
        )
    remarks += shared_subjects(videos)
    return EmotionSplit(videos.reset_index(drop=True), remarks)


def regroup(videos: pd.DataFrame, fold: int, seed: int) -> None:
    """Makes validation of one fold, and train of the others."""
    known = videos[videos.split != "test"]
    if known.subject.nunique() < FOLDS:
        raise DataError(
            f"train and validation hold {known.subject.nunique()} subjects, {FOLDS} folds need at"
            f" least {FOLDS}; use fold=-1"
        )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    outcome = known.outcome.astype(int)
    parts = list(folds.split(known.video_id, outcome, groups=known.subject))
    videos.loc[known.index, "split"] = "train"
    videos.loc[known.index[parts[fold][1]], "split"] = "validation"


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
