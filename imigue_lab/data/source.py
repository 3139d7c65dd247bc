"""Opens the data that a notebook or command names: a root on disk, or the synthetic set."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imigue_lab.data.index import SYNTHETIC, Index, Problem
from imigue_lab.data.layouts.recognise import read_index, survey_root, with_outcomes
from imigue_lab.data.store import store_folder

if TYPE_CHECKING:
    from imigue_lab.data.checks.root import Report


def open_data(data: str, labels: str = "", store: str = "", subjects: str = "") -> Index:
    """The index of a data root; see `read_index` for its labels, subjects and errors.

    `data` is the path of a root, or a synthetic set, generated on first use: ``"synthetic"``, or
    ``"synthetic-long"``, of long interviews. Features of these are in the feature store, the folder
    `store`, as are keypoints for videos without any.
    """
    index = read_index(find_root(data, store), labels, subjects)
    if not any(store_folder(store, index).glob("keypoints-*")):
        return index
    from imigue_lab.data.keypoint_files.clips import with_extracted

    return with_extracted(index, store)


def check_data(data: str, labels: str = "", store: str = "", subjects: str = "") -> "Report":
    """The data check of the same root: findings, and an index of what can be used."""
    from imigue_lab.data.checks.root import check_root

    report = check_root(find_root(data, store), subjects=subjects, store=store)
    return replace(report, index=with_outcomes(report.index, labels))


def survey_data(data: str, store: str = "") -> tuple[Index, list[Problem]]:
    """The index of what can be used, and the table rows that cannot.

    Videos that cannot be opened are in the index; the code that opens them reports them.
    """
    from imigue_lab.data.layouts.inventory import is_video

    survey = survey_root(find_root(data, store))
    return survey.to_index(), [p for p in survey.problems if not is_video(p.file)]


def find_root(data: str, store: str) -> Path:
    if data not in SYNTHETIC:
        return Path(data)
    from imigue_lab.data.synthetic.tree import LONG, ensure_synthetic

    return ensure_synthetic(LONG if data == SYNTHETIC[1] else None, store)
