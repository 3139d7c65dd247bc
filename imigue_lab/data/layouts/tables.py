"""Reads the CSV files of a data root: valid rows as values, problems into the survey."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

import pandas as pd

from imigue_lab.data.index import SPLITS, Row, Survey
from imigue_lab.data.vocabulary import WHOLE, WORDS
from imigue_lab.errors import TABLE, DataError, advice, bounded, some

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
START = re.compile("start|begin|first|from|onset")  # columns of a header
END = re.compile("end|stop|last|to$|offset")
UTF8 = "save it again as UTF-8"
TYPO = 0.65  # similarity of two outcomes, 0 to 1, from which that of one video is a typo
Cells = dict[int, list[str]]
EMPTY: tuple[list[str], ...] = ([], [""])  # cells of a blank line


def read_cells(path: Path, survey: Survey, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Cells:
    """The cells of each line, without outer spaces, by the number of the line in an editor.

    They are separated by commas, semicolons or tabs, as the first line that is not blank shows.
    """
    try:
        text = read_text(path)
        first = next((line for line in text.splitlines() if line.strip()), "")
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=separator(first), quoting=quoting)
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
        return dict(rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = f"not a readable CSV ({getattr(error, 'strerror', None) or error})"
        survey.report("unreadable", path, None, what, advice(error, UTF8))
        return {}


def read_table(path: Path, columns: list[str], survey: Survey) -> pd.DataFrame:
    """A CSV with a header as text, indexed by row; blank lines are dropped.

    The table is empty if one of `columns` is missing or the file cannot be read.
    """
    known, what, todo = len(survey.problems), "", ""
    lines = {row: cells for row, cells in read_cells(path, survey).items() if any(cells)}
    header = lines.pop(next(iter(lines))) if lines else []
    if missing := [column for column in columns if column not in header]:
        what = f"expected the columns {', '.join(columns)}, got {', '.join(header) or 'none'}"
        todo = f"add {', '.join(missing)}"
    elif len(set(header)) < len(header):
        what, todo = f"two columns have the same name ({', '.join(header)})", "rename one"
    if what:
        if len(survey.problems) == known:  # else the file cannot be read
            survey.report("unreadable", path, None, what, todo)
        return pd.DataFrame(columns=columns, dtype=str)
    for row in [row for row, cells in lines.items() if len(cells) != len(header)]:
        what = f"expected {len(header)} cells, got {len(lines.pop(row))}"
        survey.report("unreadable", path, row, what, "correct the row")
    return pd.DataFrame(list(lines.values()), pd.Index(list(lines), dtype=int), header, dtype=str)


def read_text(path: Path, most: int = TABLE) -> str:
    """The text of a file in UTF-8, UTF-16 with its mark, or else Windows' western code page."""
    content = bounded(path, most).read_bytes()
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


def read_rows(path: Path, columns: list[str], survey: Survey) -> pd.DataFrame:
    """The rows of `read_table` with a valid id, and split if there is that column.

    An id, the first column, must be unique and safe as a file name; the first of duplicates is
    kept.
    """
    table = read_table(path, columns, survey)
    ids = table[columns[0]]
    safe = ids.map(lambda name: SAFE_ID.fullmatch(name) is not None).astype(bool)
    for row, name in ids[~safe].items():
        what = f"expected an id of up to 200 letters, digits, _ . -, got {name!r:.60}"
        survey.report("unsafe name", path, row, what, "rename it")
    duplicate = ids.duplicated()
    if names := sorted(set(ids[duplicate & safe])):
        what = f"expected unique ids, got duplicates: {some(names)}"
        survey.report("duplicate video", path, None, what, "keep one row for each")
    good = safe & ~duplicate
    if "split" in columns:
        known = table.split.isin(SPLITS)
        for row, split in table.split[~known].items():
            what = f"expected {', '.join(SPLITS)}, got {split!r}"
            survey.report("unknown split", path, row, what, "correct it")
        good &= known
    return table[good]


def read_values(source: str, column: str, survey: Survey, known: Iterable[str]) -> pd.DataFrame:
    """The rows of a CSV by their id, one of `known` where it lacks only the zeros of that.

    `source` is ``FILE``, or ``FILE:ID_COLUMN,COLUMN`` where they are not `video_id` and `column`,
    which the result has in any case.
    """
    file, _, columns = (source, "", "") if Path(source).is_file() else source.partition(":")
    id_column, _, own = (columns or f"video_id,{column}").partition(",")
    path = Path(file).expanduser()
    if not path.is_file():
        advice = f"name the CSV of {id_column},{own}, or leave `{column}s` empty"
        survey.report("unreadable", path, None, "no such file", advice)
        return pd.DataFrame(columns=[column], dtype=str)
    table = read_rows(path, [id_column, own], survey)
    if column == "label":
        check_spelling(path, table[own], survey)
    fit = restore_zeros(table[id_column], known)
    survey.note(f"{path.name} lacks leading zeros, added to", fit)
    return table.set_index(id_column).rename(index=fit, columns={own: column})


def check_spelling(path: Path, outcomes: pd.Series, survey: Survey) -> None:
    """Reports the outcome of one video that is almost "win" or "lose", where others have these."""
    counts = Counter(outcomes.str.casefold())
    frequent = [name for name, count in counts.items() if count > 1 and name in WORDS]
    for row, value in outcomes.items():
        if counts[value.casefold()] == 1 and value.casefold() not in WORDS:
            for name in [name for name in frequent if similarity(value, name) >= TYPO][:1]:
                what = f"expected the outcome {name}, got {value!r}"
                survey.report("unknown outcome", path, row, what, "correct it, or leave it empty")


def similarity(name: str, other: str) -> float:
    """0 to 1 of two names; 0 of numbers, and of a word and its negation, such as unhappy."""
    one, two = sorted((name.casefold(), other.casefold()), key=len)
    comparable = two.isalpha() and not two.endswith(one)
    return SequenceMatcher(None, one, two).ratio() if comparable else 0.0


def parse_clip(
    path: Path, row: int, cells: tuple[str, str, str], hidden: bool, survey: Survey
) -> Row | None:
    """start, end (from 0, inclusive) and label (the place of the class) of class, start, end.

    Where labels are `hidden`, as in a test split, an unknown class is a placeholder: null.
    """
    label, what = None, ""
    numbers = [int(own[1]) for cell in cells[1:] if (own := WHOLE.fullmatch(cell.strip()))]
    if len(numbers) < 2:
        what = f"expected integer frame numbers, got {cells[1]!r} to {cells[2]!r}"
    elif numbers[0] < 0:
        what = f"expected a first frame from 0 on, got {numbers[0]}"
    elif numbers[1] < numbers[0]:
        what = f"expected an end from the start {numbers[0]} on, got {numbers[1]}"
    if what:
        survey.report("reversed range", path, row, what, "correct it")
        return None
    try:
        label = survey.vocabulary.place(cells[0])
    except DataError as error:
        if not hidden:
            advice = "correct it; `imigue-lab classes` lists them"
            survey.report("unknown class", path, row, str(error), advice)
            return None
    return {"start": numbers[0], "end": numbers[1], "label": label}


def read_label_file(path: Path, hidden: bool, survey: Survey) -> dict[int, Row]:
    """Clips of one `<id>_label.csv`: `class,start,end` in frames from 0, end inclusive.

    A header is not needed; one that names start and end gives the order of the columns.

    Returns row -> start, end, label. Rows are counted from 0 over the lines that are not blank,
    including those with a problem, so `<id>_<row>` remains the clip's id.
    """
    lines = read_cells(path, survey, csv.QUOTE_NONE).items()
    written = [(n, [cell.strip(' "') for cell in own]) for n, own in lines if own not in EMPTY]
    header = written[0][1] if written else []
    kinds = [bool(START.match(c.lower())) + 2 * bool(END.match(c.lower())) for c in header]
    order = [0, 1, 2]  # of class, start, end
    if sorted(kinds) == order:
        written, order = written[1:], [kinds.index(kind) for kind in order]
    clips: dict[int, Row] = {}
    for row, (number, cells) in enumerate(written):
        if len(cells) != 3:
            what = f"expected class,start,end, got {','.join(cells)!r}"
            survey.report("unreadable", path, number, what, "correct it")
            continue
        label, start, end = (cells[n] for n in order)
        if clip := parse_clip(path, number, (label, start, end), hidden, survey):
            clips[row] = clip
    return clips


def add_label_file(path: Path, video: Row, survey: Survey) -> None:
    """Adds the clips of the label file of one video; their ids are `<id>_<row>`."""
    for row, clip in read_label_file(path, video["split"] == "test", survey).items():
        ids = {"clip_id": f"{video['video_id']}_{row}", "video_id": video["video_id"]}
        survey.clips.append(ids | clip)
