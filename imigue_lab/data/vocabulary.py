"""The vocabulary of a data set: its gesture classes, their groups, outcomes of its videos.

Inside, a class is its place in the list, from 0. Files, tables, figures and messages show its id as
the data's own files write it. Built-in lists are `vocabularies/<name>.csv`, in the same form as the
`classes.csv` of a plain root.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, SupportsIndex

from imigue_lab.errors import DataError, some

BUILTIN = {"imigue": "iMiGUE", "smg": "SMG", "ma52": "MA-52", "bold": "BoLD"}  # by file
OWN = "own"
HEADER = ("class", "name", "group", "background")
WHOLE = re.compile(r"([+-]?[0-9]{1,9})([.,]0*)?")  # spreadsheets write 7.0, or 7,0
YES = ("1", "true", "yes", "x")


@dataclass(frozen=True)
class Vocabulary:
    """The names of one data set; two are the same if they are equal.

    Attributes:
        name: of the data set, such as iMiGUE; `OWN` for a root's own list.
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

    @property
    def group_names(self) -> tuple[str, ...]:
        """In the order of their first classes; empty where there are no groups."""
        return tuple(dict.fromkeys(self.groups)) if any(self.groups) else ()

    @property
    def known_ids(self) -> str:
        """For messages: ``1 to 31 or 99``."""
        found = [number for own in self.ids if (number := WHOLE.fullmatch(own))]
        if len(found) < len(self.ids):
            return some(self.ids)
        numbers = sorted(int(number[1]) for number in found)
        first = [number for number in numbers if number - 1 not in numbers]
        last = [number for number in numbers if number + 1 not in numbers]
        spans = zip(first, last, strict=True)
        return " or ".join(str(a) if a == b else f"{a} to {b}" for a, b in spans)

    def place(self, text: str) -> int:
        """The place of a class, given by its id or its name; DataError if it has none."""
        wanted = text.strip()
        number = WHOLE.fullmatch(wanted)
        for own in (wanted, str(int(number[1])) if number else ""):
            if own in self.ids:
                return self.ids.index(own)
        names = [name.lower() for name in self.classes]
        if wanted.lower() in names:
            return names.index(wanted.lower())
        raise DataError(f"expected a class of {self.known_ids}, got {text!r}")

    def label(self, place: SupportsIndex) -> str:
        """A class as tables and figures show it: ``"7 rubbing eyes"``, or its name if equal."""
        own, name = self.ids[place], self.classes[place]
        return name if own == name else f"{own} {name}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it; the inverse of `from_dict`."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> "Vocabulary":
        lists: Mapping[str, Any] = {k: tuple(v) for k, v in content.items() if isinstance(v, list)}
        return Vocabulary(**{**content, **lists})

    def to_csv(self) -> str:
        """As `classes.csv` of a plain root; the inverse of `from_rows`."""
        marks = ["1" if n == self.background else "" for n in range(len(self))]
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([HEADER, *zip(self.ids, self.classes, self.groups, marks, strict=True)])
        return file.getvalue()

    @staticmethod
    def from_rows(name: str, rows: Iterable[Mapping[str, str]]) -> "Vocabulary":
        """The list of a table with columns `class`, `name`, and perhaps `group`, `background`.

        A list that is equal to a built-in one is that one. Raises DataError for no class, an empty
        or doubled id or name, a name that is another's id, or several background classes.
        """
        table = list(rows)
        ids = tuple(row["class"].strip() for row in table)
        names = tuple(row["name"].strip() or own for row, own in zip(table, ids, strict=True))
        marked = [n for n, row in enumerate(table) if row.get("background", "").strip() in YES]
        lower = [name.lower() for name in names]
        for what, values in (("ids", ids), ("names", lower)):
            if doubled := sorted({value for value in values if values.count(value) > 1}):
                raise DataError(f"expected unique {what} of classes, got {some(doubled)} twice")
        known = [own.lower() for own in ids]
        taken = [name for n, name in enumerate(lower) if name in known and name != known[n]]
        if taken:
            raise DataError(f"expected names that are no other class's id, got {some(taken)}")
        if "" in ids or not table or len(marked) > 1:
            found = f"{len(marked)} background classes" if table else "no class"
            found = "an empty id" if "" in ids else found
            raise DataError(f"expected classes and at most one background class, got {found}")
        groups = tuple((row.get("group") or "").strip() for row in table)
        if any(groups):
            groups = tuple(group or "other" for group in groups)
        own = Vocabulary(name, names, ids, groups, marked[0] if marked else None)
        lists = (builtin(file) for file in BUILTIN if name == OWN)
        return next((found for found in lists if replace(own, name=found.name) == found), own)


@cache
def builtin(name: str) -> Vocabulary:
    """The list of a data set in `BUILTIN`."""
    path = Path(__file__).parent / "vocabularies" / f"{name}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return Vocabulary.from_rows(BUILTIN[name], csv.DictReader(file))


WORDS = dict.fromkeys(("win", "1", "1.0"), "win")
WORDS |= dict.fromkeys(("lose", "loss", "0", "0.0"), "lose")


def code_outcomes(texts: Iterable[str | None]) -> tuple[tuple[str, ...], list[int | None]]:
    """The categories in order, and for each video the place of its own; None where it is empty.

    Case does not matter; a category is shown as it is first written. Where all are in `WORDS`, they
    are lose and win. Others are in alphabetical order, numbers by value. Of two categories "win" or
    1 is the last, which is the positive one.
    """
    own = [(text or "").strip() for text in texts]
    known = {text.casefold() for text in own if text}
    if known <= WORDS.keys():
        outcomes = builtin("imigue").outcomes
        return outcomes, [outcomes.index(WORDS[t.casefold()]) if t else None for t in own]
    numbers = all(re.fullmatch(r"[+-]?\d+(\.\d+)?", text) for text in known)
    key: Any = float if numbers else str.casefold
    first: dict[Any, str] = {}
    for text in filter(None, own):
        first.setdefault(key(text), text)
    order = sorted(first)
    if len(order) == 2:
        order.sort(key=lambda value: value in ("win", 1))
    return tuple(first[o] for o in order), [order.index(key(t)) if t else None for t in own]
