"""Reads the CSV files of a data root: valid rows as values, the others as problems."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path

import pandas as pd

from imigue_lab.data.index import SPLITS, Problem, Row
from imigue_lab.data.vocabulary import WHOLE, WORDS, Vocabulary
from imigue_lab.errors import DataError, advice, some

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
START, END = re.compile("start|begin|first|from"), re.compile("end|stop|last|to$")  # of a header
UTF8 = "save it again as UTF-8"
TYPO = 0.65  # similarity of two outcomes, 0 to 1, from which that of one video is a typo


def read_table(path: Path, columns: list[str]) -> tuple[pd.DataFrame, list[Problem]]:
    """A CSV with a header as text, indexed by row; blank lines and outer spaces are dropped.

    Cells are separated by commas, semicolons or tabs, as the header shows. The table is empty if
    one of `columns` is missing or the file cannot be read.
    """
    empty = pd.DataFrame(columns=columns, dtype=str)
    try:
        text = read_text(path)
        first = next((line for line in text.splitlines() if line.strip()), "")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator(first))
        read = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = f"not a readable CSV ({error})"
        return empty, [Problem("unreadable", path, None, what, advice(error, UTF8))]
    lines = {row: cells for row, cells in read if any(cells)}
    header = lines.pop(next(iter(lines))) if lines else []
    missing = [column for column in columns if column not in header]
    if missing:
        what = f"expected the columns {', '.join(columns)}, got {', '.join(header) or 'none'}"
        return empty, [Problem("columns", path, None, what, f"add {', '.join(missing)}")]
    if len(set(header)) < len(header):
        what = f"two columns have the same name ({', '.join(header)})"
        return empty, [Problem("columns", path, None, what, "rename one")]
    problems = []
    for row in [row for row, cells in lines.items() if len(cells) != len(header)]:
        what = f"expected {len(header)} cells, got {len(lines.pop(row))}"
        problems.append(Problem("row", path, row, what, "correct the row"))
    rows = pd.Index(list(lines), dtype=int)
    return pd.DataFrame(list(lines.values()), rows, header, dtype=str), problems


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 with its mark, or else Windows' western code page."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def separator(line: str) -> str:
    """Between the cells of a line: a comma unless there are more semicolons or tabs."""
    return max(",;\t", key=line.count)


def restore_zeros(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Ids that lost zeros in a spreadsheet program (1 or 1.0 for 0001) -> the one id they fit."""
    same: dict[str, tuple[list[str], list[str]]] = {}
    lost, kept = set(names) - set(known), set(known) - set(names)
    for side, ids in enumerate((lost, kept)):
        for name in sorted(ids):
            if (number := name.removesuffix(".0")).isdigit():
                same.setdefault(number.lstrip("0"), ([], []))[side].append(name)
    return {short[0]: own[0] for short, own in same.values() if len(short) == len(own) == 1}


def read_rows(path: Path, columns: list[str]) -> tuple[pd.DataFrame, list[Problem]]:
    """The rows of `read_table` with a valid id, and split if there is that column.

    An id, the first column, must be unique and safe as a file name; the first of duplicates is
    kept.
    """
    table, problems = read_table(path, columns)
    ids = table[columns[0]]
    safe = ids.map(lambda name: SAFE_ID.fullmatch(name) is not None).astype(bool)
    for row, name in ids[~safe].items():
        what = f"expected an id of up to 200 letters, digits, _ . -, got {name!r:.60}"
        problems.append(Problem("id", path, row, what, "rename it"))
    duplicate = ids.duplicated()
    if names := sorted(set(ids[duplicate & safe])):
        what = f"expected unique ids, got duplicates: {some(names)}"
        problems.append(Problem("duplicate id", path, None, what, "keep one row for each"))
    good = safe & ~duplicate
    if "split" in columns:
        known = table.split.isin(SPLITS)
        for row, split in table.split[~known].items():
            what = f"expected {', '.join(SPLITS)}, got {split!r}"
            problems.append(Problem("split", path, row, what, "correct it"))
        good &= known
    return table[good], problems


def outcome_problem(path: Path, row: int, value: str, expected: str) -> Problem:
    what = f"expected the outcome {expected}, got {value!r}"
    return Problem("outcome", path, row, what, "correct it, or leave it empty")


def misspelt(path: Path, outcomes: pd.Series) -> list[Problem]:
    """The outcomes that one video has and that are spelt almost like a more frequent one."""
    counts = Counter(outcomes.str.casefold())
    frequent = [name for name, count in counts.items() if count > 1]
    problems = []
    for row, value in outcomes.items() if not counts.keys() <= {"", *WORDS} else ():
        if counts[value.casefold()] == 1:
            like = [name for name in frequent if similarity(value, name) >= TYPO]
            problems += [outcome_problem(path, row, value, name) for name in like[:1]]
    return problems


def similarity(name: str, other: str) -> float:
    """0 to 1 of two names; 0 of numbers, and of a word and its negation, such as unhappy."""
    one, two = sorted((name.casefold(), other.casefold()), key=len)
    comparable = two.isalpha() and not two.endswith(one)
    return SequenceMatcher(None, one, two).ratio() if comparable else 0.0


def parse_range(start: str, end: str) -> tuple[int, int] | str:
    """Frames from 0, end inclusive; or a text that says what is wrong."""
    numbers = [WHOLE.fullmatch(cell.strip()) for cell in (start, end)]
    if not (numbers[0] and numbers[1]):
        return f"expected integer frame numbers, got {start!r} to {end!r}"
    first, last = int(numbers[0][1]), int(numbers[1][1])
    if first < 0:
        return f"expected a first frame from 0 on, got {first}"
    if last < first:
        return f"expected an end from the start {first} on, got {last}"
    return first, last


def parse_clip(
    path: Path, row: int, cells: tuple[str, str, str], hidden: bool, vocabulary: Vocabulary
) -> Row | Problem:
    """start, end and label (the place of the class) of the cells class, start, end.

    Where labels are `hidden`, as in a test split, an unknown class is a placeholder: null.
    """
    frames = parse_range(*cells[1:])
    if isinstance(frames, str):
        return Problem("range", path, row, frames, "correct it")
    label = None
    try:
        label = vocabulary.place(cells[0])
    except DataError as error:
        if not hidden:
            advice = "correct it; `imigue-lab classes` lists them"
            return Problem("class", path, row, str(error), advice)
    return {"start": frames[0], "end": frames[1], "label": label}


def read_label_file(
    path: Path, hidden: bool, vocabulary: Vocabulary
) -> tuple[dict[int, Row], list[Problem]]:
    """Clips of one `<id>_label.csv`: `class,start,end` in frames from 0, end inclusive.

    A header is not needed; one that names start and end gives the order of the columns.

    Returns row -> start, end, label, and the problems. Rows are counted from 0 over the lines that
    are not blank, including those with a problem, so `<id>_<row>` remains the clip's id.
    """
    try:
        lines = re.split(r"\r\n|\n|\r", read_text(path))
    except (OSError, UnicodeDecodeError) as error:
        what = f"not a readable text file ({error})"
        return {}, [Problem("unreadable", path, None, what, advice(error, UTF8))]
    written = [(n, line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]
    between = separator(written[0][1]) if written else ","
    header = [cell.strip(' "').lower() for cell in written[0][1].split(between)] if written else []
    kinds = [bool(START.match(cell)) + 2 * bool(END.match(cell)) for cell in header]
    order = [0, 1, 2]  # of class, start, end
    if sorted(kinds) == order:
        written, order = written[1:], [kinds.index(kind) for kind in order]
    clips: dict[int, Row] = {}
    problems = []
    for row, (number, line) in enumerate(written):
        cells = line.split(between)
        if len(cells) != 3:
            what = f"expected class,start,end, got {line!r}"
            problems.append(Problem("row", path, number, what, "correct it"))
            continue
        label, start, end = (cells[n].strip(' "') for n in order)
        clip = parse_clip(path, number, (label, start, end), hidden, vocabulary)
        if isinstance(clip, Problem):
            problems.append(clip)
        else:
            clips[row] = clip
    return clips, problems


def read_outcomes(labels: str) -> tuple[dict[str, str], dict[str, str], list[Problem]]:
    """Outcomes and subjects of a CSV, ``FILE`` or ``FILE:ID_COLUMN,LABEL_COLUMN``.

    Returns video_id -> category, without empty cells; video_id -> subject, if that column exists;
    problems.
    """
    file, _, columns = labels.partition(":")
    id_column, _, label_column = (columns or "video_id,label").partition(",")
    path = Path(file).expanduser()
    if not path.is_file():
        advice = "name the outcome CSV, or leave `labels` empty"
        return {}, {}, [Problem("unreadable", path, None, "no such file", advice)]
    table, problems = read_rows(path, [id_column, label_column])
    problems += misspelt(path, table[label_column])
    table = table.set_index(id_column)
    outcomes = table[label_column][table[label_column] != ""].to_dict()
    subjects = table.subject[table.subject != ""].to_dict() if "subject" in table else {}
    return outcomes, subjects, problems


def read_subjects(subjects: str) -> tuple[dict[str, str], list[Problem]]:
    """video_id -> subject of a CSV with these columns, without empty cells; problems."""
    path = Path(subjects).expanduser()
    if not path.is_file():
        advice = "name the CSV of video_id,subject, or leave `subjects` empty"
        return {}, [Problem("unreadable", path, None, "no such file", advice)]
    table, problems = read_rows(path, ["video_id", "subject"])
    named = table[table.subject != ""]
    return dict(zip(named.video_id, named.subject, strict=True)), problems
