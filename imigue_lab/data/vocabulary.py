"""The vocabulary of a data set: its gesture classes, their groups, outcomes of its videos.

Inside, a class is its place in the list, from 0. Files, tables, figures and messages show its id as
the data's own files write it. Built-in lists are `vocabularies/<name>.csv`, in the same form as the
`classes.csv` of a plain root.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from imigue_lab.errors import DataError, some

BUILTIN = {"imigue": "iMiGUE", "smg": "SMG", "ma52": "MA-52", "bold": "BoLD"}  # by file


@dataclass(frozen=True)
class Vocabulary:
    """The names of one data set; two are the same if they are equal.

    Attributes:
        name: of the data set, such as iMiGUE; "own" for a root's own list.
        classes: names in order, unique.
        ids: of each class in the data's own files, unique: ``("1", ..., "31", "99")`` for iMiGUE.
        groups: of each class; all "" where there are none.
        background: place of the class that is no micro-gesture, if there is one.
        outcomes: categories of a video in order; of two, the last is the positive one.
    """

    name: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    background: int | None = None
    outcomes: tuple[str, ...] = ("lose", "win")

    def __len__(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def place(self, text: str) -> int:
        """The place of a class, given by its id or its name; DataError if it has none."""
        wanted = text.strip()
        if wanted in self.ids:
            return self.ids.index(wanted)
        names = [name.lower() for name in self.classes]
        if wanted.lower() in names:
            return names.index(wanted.lower())
        raise DataError(
            f"expected a class of {self.name} ({some(self.ids, limit=3)}), got {text!r}"
        )

    def label(self, place: int) -> str:
        """A class as tables and figures show it: ``"7 rubbing eyes"``, or its name if equal."""
        own, name = self.ids[place], self.classes[place]
        return name if own == name else f"{own} {name}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it; the inverse of `from_dict`."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> "Vocabulary":
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
        }
        return Vocabulary(**known)

    @staticmethod
    def from_rows(name: str, rows: Iterable[Mapping[str, str]]) -> "Vocabulary":
        """The list of a table with columns `class`, `name`, and perhaps `group`, `background`.

        Raises DataError for no class, doubled ids or names, or several background classes.
        """
        table = list(rows)
        ids = tuple(row["class"].strip() for row in table)
        names = tuple(row["name"].strip() or own for row, own in zip(table, ids, strict=True))
        marked = [n for n, row in enumerate(table) if row.get("background", "").strip() in YES]
        for what, values in (("ids", ids), ("names", names)):
            if doubled := sorted({value for value in values if values.count(value) > 1}):
                raise DataError(f"expected unique {what} of classes, got {some(doubled)} twice")
        if not table or len(marked) > 1:
            found = f"{len(table)} classes" if not table else f"{len(marked)} background classes"
            raise DataError(f"expected classes and at most one background class, got {found}")
        groups = tuple((row.get("group") or "").strip() for row in table)
        return Vocabulary(name, names, ids, groups, marked[0] if marked else None)


YES = ("1", "true", "yes", "x")


@cache
def builtin(name: str) -> Vocabulary:
    """The list of a data set in `BUILTIN`."""
    path = Path(__file__).parent / "vocabularies" / f"{name}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return Vocabulary.from_rows(BUILTIN[name], csv.DictReader(file))


CLASSES = builtin("imigue").classes
ILLUSTRATIVE = 31  # not a micro-gesture; its CSV id is 99

_groups = builtin("imigue").groups
GROUPS = {g: tuple(n for n, own in enumerate(_groups) if own == g) for g in dict.fromkeys(_groups)}

OUTCOMES = ("lose", "win")  # emotion label 0 and 1


def from_csv_id(value: int) -> int:
    """The 0-based class of a CSV id: 1 to 31 are 0 to 30, 99 is 31."""
    if value == 99:
        return ILLUSTRATIVE
    if 1 <= value <= 31:
        return value - 1
    raise DataError(f"expected a class of 1 to 31 or 99, got {value}")


def to_csv_id(label: int) -> int:
    """The CSV id of a 0-based class; the inverse of `from_csv_id`."""
    return 99 if label == ILLUSTRATIVE else label + 1


def group_of(label: int) -> str:
    """The group of a 0-based class, a key of `GROUPS`."""
    return next(name for name, members in GROUPS.items() if label in members)
