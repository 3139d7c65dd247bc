"""Opens the data that a notebook or command names: a root on disk, or the made-up set."""

from dataclasses import replace
from pathlib import Path

from imigue_lab.data.check import Report, check_root
from imigue_lab.data.index import Index, Problem
from imigue_lab.data.layout import read_index, survey_root, with_outcomes
from imigue_lab.data.synthetic.tree import ensure_synthetic


def open_data(data: str, labels: str = "", store: str = "") -> Index:
    """The index of a root; ``"synthetic"`` is the made-up set, written first where absent."""
    return read_index(find_root(data, store), labels)


def check_data(data: str, labels: str = "", store: str = "") -> Report:
    """The data check on the same; a faulty tree has a report, and an index of what can be used."""
    report = check_root(find_root(data, store))
    return replace(report, index=with_outcomes(report.index, labels))


def survey_data(data: str, store: str = "") -> tuple[Index, list[Problem]]:
    """The index of what can be used, and each row of a table that cannot.

    Videos that cannot be opened are in the index: whoever opens them says so.
    """
    survey = survey_root(find_root(data, store))
    return survey.to_index(), [p for p in survey.problems if p.kind != "unreadable"]


def is_made_up(data: str) -> bool:
    """Whether this package wrote what a notebook or command names."""
    return data == "synthetic" or (Path(data).expanduser() / "made_up.json").exists()


def find_root(data: str, store: str) -> Path:
    return ensure_synthetic(store=store) if data == "synthetic" else Path(data)
