"""Reads the CSV files of a data root: what is right as values, what is wrong as problems."""

import csv
import re
from pathlib import Path

import pandas as pd

from imigue_lab.data.index import SPLITS, Problem
from imigue_lab.data.vocabulary import from_csv_id
from imigue_lab.errors import DataError, some

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
WIN = {"win": 1, "1": 1, "1.0": 1, "lose": 0, "loss": 0, "0": 0, "0.0": 0}
CORRECT_OR_EMPTY = "correct it, or leave it empty"


def read_table(path: Path, columns: list[str]) -> tuple[pd.DataFrame, list[Problem]]:
    """A CSV with a header as text, indexed by row; blank lines and spaces about cells are dropped.

    Where it lacks one of `columns` or cannot be read, the table is empty.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            read = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = f"not a readable CSV ({error})"
        return empty(columns), [Problem("unreadable", path, None, what, "save it again as UTF-8")]
    lines = {row: cells for row, cells in read if any(cells)}
    header = lines.pop(next(iter(lines))) if lines else []
    lacking = [column for column in columns if column not in header]
    if lacking:
        what = f"has the columns {', '.join(header)} and lacks {', '.join(lacking)}"
        return empty(columns), [Problem("columns", path, None, what, "add them")]
    if len(set(header)) < len(header):
        what = f"has two columns of one name ({', '.join(header)})"
        return empty(columns), [Problem("columns", path, None, what, "rename one")]
    problems = [
        Problem("row", path, row, f"has {len(cells)} cells, the header {len(header)}", "correct it")
        for row, cells in lines.items()
        if len(cells) != len(header)
    ]
    whole = {row: cells for row, cells in lines.items() if len(cells) == len(header)}
    rows = pd.Index(list(whole), dtype=int)
    return pd.DataFrame(list(whole.values()), rows, header, dtype=str), problems


def empty(columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=columns, dtype=str)


def check_ids(path: Path, ids: pd.Series) -> tuple[pd.Series, list[Problem]]:
    """Which rows have an id of their own, none that could lead out of the data root.

    Args:
        ids: text, indexed by row.

    Returns:
        True for the rows to keep (of doubled ids, the first), and the problems.
    """
    safe = ids.map(lambda name: SAFE_ID.fullmatch(name) is not None).astype(bool)
    advice = "rename it"
    problems = [
        Problem("id", path, row, f"{ids[row]!r} cannot be an id (letters, digits, _ . -)", advice)
        for row in ids.index[~safe]
    ]
    doubled = ids.duplicated()
    if names := sorted(set(ids[doubled & safe])):
        what = f"ids stand there twice: {some(names)}"
        problems.append(Problem("doubled id", path, None, what, "keep one row each"))
    return safe & ~doubled, problems


def split_problems(path: Path, splits: pd.Series) -> list[Problem]:
    """One for each row whose split is not one of the three."""
    return [
        Problem(
            "split", path, row, f"split {split!r} is not one of {', '.join(SPLITS)}", "correct it"
        )
        for row, split in splits.items()
        if split not in SPLITS
    ]


def parse_outcomes(path: Path, values: pd.Series) -> tuple[pd.Series, list[Problem]]:
    """win and lose, in any case, or 1 and 0, as 1 and 0; empty is null."""
    text = values.str.strip().str.lower()
    problems = [
        Problem(
            "outcome",
            path,
            row,
            f"outcome {values[row]!r} is neither win nor lose",
            CORRECT_OR_EMPTY,
        )
        for row in values.index[(text != "") & ~text.isin(WIN)]
    ]
    return text.map(WIN).astype("Int64"), problems


def parse_range(start: str, end: str) -> tuple[int, int] | str:
    """Frames from 0, end inclusive; a text says what is wrong."""
    if not (WHOLE.fullmatch(start.strip()) and WHOLE.fullmatch(end.strip())):
        return f"{start!r} to {end!r} are not whole frame numbers"
    first, last = int(start), int(end)
    if first < 0:
        return f"frame {first} is before the first, 0"
    if last < first:
        return f"the clip ends at frame {last}, before it starts at {first}"
    return first, last


def parse_class(text: str) -> int | str:
    """The 0-based class of 1 to 31 or 99; a text says what is wrong."""
    if not WHOLE.fullmatch(text.strip()):
        return f"class {text!r} is not a whole number"
    try:
        return from_csv_id(int(text))
    except DataError as error:
        return str(error)


def parse_clip(
    path: Path, row: int, cells: tuple[str, str, str], hidden: bool
) -> dict[str, object] | Problem:
    """start, end and label of the cells class, start, end.

    Args:
        row: as an editor counts, for the problem.
        hidden: a class that is none is a placeholder, as in a test split: its label is null.
    """
    label, frames = parse_class(cells[0]), parse_range(*cells[1:])
    if isinstance(frames, str):
        return Problem("range", path, row, frames, "correct it")
    if isinstance(label, str) and not hidden:
        return Problem("class", path, row, label, "correct it")
    known = None if isinstance(label, str) else label
    return {"start": frames[0], "end": frames[1], "label": known}


def read_label_file(path: Path, hidden: bool = False) -> tuple[dict[int, dict], list[Problem]]:
    """Clips of one `<id>_label.csv`: no header, `class,start,end` in frames from 0, end inclusive.

    Returns:
        row -> start, end, label; rows are counted from 0 over the lines that are not blank, those
        with a problem included, so `<id>_<row>` stays the clip's id.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        what = f"not a readable text file ({error})"
        return {}, [Problem("unreadable", path, None, what, "save it again as UTF-8")]
    written = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    clips: dict[int, dict] = {}
    problems = []
    for row, (number, line) in enumerate(written):
        cells = line.strip().split(",")
        if len(cells) != 3:
            what = f"{line.strip()!r} is not class,start,end"
            problems.append(Problem("row", path, number, what, "correct it"))
            continue
        clip = parse_clip(path, number, (cells[0], cells[1], cells[2]), hidden)
        if isinstance(clip, Problem):
            problems.append(clip)
        else:
            clips[row] = clip
    return clips, problems


def read_outcomes(labels: str) -> tuple[dict[str, int], dict[str, str], list[Problem]]:
    """What an outcome CSV says, from ``FILE`` or ``FILE:ID_COLUMN,LABEL_COLUMN``.

    Returns:
        video_id -> 1 (win) or 0 (lose); video_id -> subject, where it has that column; problems.
    """
    file, _, columns = labels.partition(":")
    id_column, _, label_column = (columns or "video_id,label").partition(",")
    path = Path(file).expanduser()
    if not path.is_file():
        advice = "give the outcome CSV, or leave `labels` empty"
        return {}, {}, [Problem("unreadable", path, None, "no such file", advice)]
    table, problems = read_table(path, [id_column, label_column])
    good, id_problems = check_ids(path, table[id_column])
    table = table[good]
    values, value_problems = parse_outcomes(path, table[label_column])
    named = list(zip(table[id_column], values, strict=True))
    outcomes = {video: int(value) for video, value in named if not pd.isna(value)}
    subjects = {}
    if "subject" in table:
        subjects = {v: s for v, s in zip(table[id_column], table.subject, strict=True) if s}
    return outcomes, subjects, [*problems, *id_problems, *value_problems]
