"""Opens the data that a notebook or command names: a root on disk, or the synthetic set."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imigue_lab.data.index import Index, Problem
from imigue_lab.data.layouts.recognise import read_index, survey_root, with_outcomes

if TYPE_CHECKING:
    from imigue_lab.data.checks.root import Report


def open_data(data: str, labels: str = "", store: str = "") -> Index:
    """The index of a root; ``"synthetic"`` is the synthetic set, written first where absent."""
    return read_index(find_root(data, store), labels)


def check_data(data: str, labels: str = "", store: str = "") -> "Report":
    """The data check on the same; a faulty tree has a report, and an index of what can be used."""
    from imigue_lab.data.checks.root import check_root

    report = check_root(find_root(data, store))
    return replace(report, index=with_outcomes(report.index, labels))


def survey_data(data: str, store: str = "") -> tuple[Index, list[Problem]]:
    """The index of what can be used, and each row of a table that cannot.

    Videos that cannot be opened are in the index: whoever opens them says so.
    """
    survey = survey_root(find_root(data, store))
    return survey.to_index(), [p for p in survey.problems if p.kind != "unreadable"]


def find_root(data: str, store: str) -> Path:
    if data != "synthetic":
        return Path(data)
    from imigue_lab.data.synthetic.tree import ensure_synthetic

    return ensure_synthetic(store=store)
