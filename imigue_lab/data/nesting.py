"""Folds within folds: for choosing settings by a score that neither training nor the test sees.

Whatever is chosen by many scores fits the items that were scored. So the official test split is
taken away, one fold of subjects is held out for the score, and the rest is divided once more, so
that early stopping has a part of its own.
"""

from dataclasses import replace
from typing import Literal

import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.splits import FOLDS, pool_rare, regroup
from imigue_lab.errors import DataError


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
