"""Recognises a copy of iMiGUE, or anyone's own data, by what lies there, and indexes it.

Three families, each described in its own file: the full distribution (`layouts/full.py`), the trees
of the MiGA challenges 2023 to 2026 (`layouts/miga.py`), and the plain form (`layouts/plain.py`).
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from imigue_lab.data.index import Index, Problem, Survey
from imigue_lab.data.layouts.full import label_file, read_full
from imigue_lab.data.layouts.inventory import take_inventory
from imigue_lab.data.layouts.miga import read_miga
from imigue_lab.data.layouts.plain import read_folder, read_plain
from imigue_lab.data.layouts.tables import read_outcomes
from imigue_lab.errors import DataError, some


def read_index(root: Path | str, labels: str = "") -> Index:
    """Recognises the tree at `root`.

    Args:
        labels: an outcome CSV that takes the place of what the tree carries, with the columns
            `video_id,label`; other names as ``FILE:ID_COLUMN,LABEL_COLUMN``.

    Raises:
        DataError: nothing known lies there, or a table is faulty; the sentence names file and row,
            and how many more there are.
    """
    survey = survey_root(root)
    stop_at(survey.problems)
    return with_outcomes(survey.to_index(), labels)


def with_outcomes(index: Index, labels: str) -> Index:
    """The index with the outcomes of another CSV (see `read_index`); empty is the tree's own.

    Raises:
        DataError: the CSV is faulty, or labels videos that are not there.
    """
    if not labels:
        return index
    outcomes, _, problems = read_outcomes(labels)
    stop_at(problems)
    unknown = sorted(set(outcomes) - set(index.videos.video_id))
    if unknown:
        raise DataError(
            f"{labels}: labels videos that {index.root} does not hold: {some(unknown)}; remove them"
        )
    values = [outcomes.get(video_id) for video_id in index.videos.video_id]
    videos = index.videos.assign(outcome=pd.array(values, dtype="Int64"))
    return replace(index, videos=videos)


def survey_root(root: Path | str) -> Survey:
    """Reads everything and refuses nothing: rows that are right, and every problem there is.

    Raises:
        DataError: there is no such folder, or nothing in it is known.
    """
    root = Path(root).expanduser().resolve()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the root of an iMiGUE copy or your own data")
    if (root / "videos.csv").exists():
        return read_plain(root)
    inventory = take_inventory(root)
    if label_file(inventory):
        return read_full(inventory)
    if inventory.of_kind("clip keypoints") and not inventory.of_kind("label"):
        return read_full(inventory)
    if inventory.found:
        return read_miga(inventory)
    if inventory.videos_of_any_name:
        return read_folder(inventory)
    raise DataError(
        f"{root}: neither videos.csv, nor a video, label or keypoint file lies there;"
        " see docs/data.md for the layouts that are read"
    )


def stop_at(problems: list[Problem]) -> None:
    """Raises the first problem."""
    if problems:
        others = len(problems) - 1
        more = f" ({others} more problem{'s' * (others > 1)} after this one)" if others else ""
        raise DataError(f"{problems[0]}{more}")
