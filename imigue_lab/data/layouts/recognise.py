"""Recognises the layout of a data root by its files, and reads its index.

iMiGUE's own trees (`imigue.py`), the plain layout for anyone's own data (`plain.py`), also of one
annotation pickle (`pickles.py`), and trees of SMG, MA-52, MMA-52 and BoLD (`others.py`), recognised
by a file that only one of them has.
"""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from imigue_lab.data.index import Index, Problem, Survey
from imigue_lab.data.layouts.tables import read_values
from imigue_lab.data.vocabulary import code_outcomes
from imigue_lab.errors import DataError, advice, some

PICKLES = (".pkl", ".pickle")
SIGNS = {  # data set -> `sign_of` one of its files
    "smg": r".*/Sample\d{4}_(skeleton|finelabels|color)\.\w+",
    "ma52": r".*/(train|val|test)_list_videos\.txt",
    "mma52": r"anns/(train|val|test)\.csv id,video_id,start_frame,.*",
    "bold": r"annotations/(train|val|test_meta)\.csv \d+/[^,]+\.mp4/\d+\.mp4,.*",
}


def read_index(root: Path | str, labels: str = "", subjects: str = "") -> Index:
    """The index of the tree at `root`.

    `labels` is an outcome CSV that replaces the outcomes of the tree, with the columns
    `video_id,label`; other names as ``FILE:ID_COLUMN,LABEL_COLUMN``. `subjects`, a CSV of
    `video_id,subject`, replaces the subjects. Raises DataError for no known layout, a faulty table
    (the message names file and row, and counts further problems), or a clip past the known end of
    its video: what the data check calls an error and the tables show.
    """
    survey = survey_root(root)
    raise_first(survey.problems)
    index = with_people(with_outcomes(survey.to_index(), labels), subjects)
    from imigue_lab.data.checks.tables import refuse_errors  # an import must not load the check

    refuse_errors(index)
    return index


def with_outcomes(index: Index, labels: str) -> Index:
    """The index with the outcomes of another CSV (see `read_index`); unchanged if it is empty.

    Raises DataError if the CSV is faulty, or labels videos that do not exist.
    """
    if not labels:
        return index
    outcomes, index = read_column(index, labels, "label")
    names, values = code_outcomes(outcomes.get(video_id) for video_id in index.videos.video_id)
    videos = index.videos.assign(outcome=pd.array(values, dtype="Int64"))
    return replace(index, videos=videos, vocabulary=replace(index.vocabulary, outcomes=names))


def with_people(index: Index, subjects: str) -> Index:
    """The index with the subjects of another CSV (see `read_index`); unchanged if it is empty.

    A video that is not in the CSV, or without a name there, has no known subject. Raises DataError
    if the CSV is faulty, or names videos that do not exist.
    """
    if not subjects:
        return index
    people, index = read_column(index, subjects, "subject")
    videos, clips = (
        table.assign(subject=table.video_id.map(people).astype(str))
        for table in (index.videos, index.clips)
    )
    return replace(index, videos=videos, clips=clips)


def read_column(index: Index, source: str, column: str) -> tuple[dict[str, str], Index]:
    """The values of another CSV by video, without empty cells, and the index with remarks on it."""
    survey, known = Survey(index.root, index.layout), index.videos.video_id
    values = read_values(source, column, survey, known)[column]
    raise_first(survey.problems)
    named = values[values != ""].to_dict()
    if unknown := sorted(named.keys() - {*known}):
        what = f"{column}s of videos in {index.root}"
        raise DataError.expected(source, what, some(unknown), "remove them")
    return named, replace(index, absent=[*index.absent, *survey.absent])


def survey_root(root: Path | str) -> Survey:
    """Reads everything without refusing anything: the usable rows, and every problem.

    Raises DataError if the folder does not exist, has no known layout, or may not be read.
    """
    root = Path(root).expanduser().resolve()
    try:
        return survey_layout(root)
    except OSError as error:
        what, todo = "a file or folder that can be read", advice(error, "copy it again")
        raise DataError.expected(error.filename or root, what, error.strerror, todo) from error


def survey_layout(root: Path) -> Survey:
    if root.suffix.lower() in PICKLES and root.is_file():
        from imigue_lab.data.layouts.pickles import read_pickle_root

        return read_pickle_root(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; name the root of an iMiGUE copy or your own data")
    if any(path.name.lower() == "videos.csv" for path in root.iterdir()):
        from imigue_lab.data.layouts.plain import read_plain

        return read_plain(root)
    # most data have one layout, and the others' readers are not loaded
    from imigue_lab.data.layouts.imigue import label_file, read_full, read_miga
    from imigue_lab.data.layouts.inventory import take_inventory
    from imigue_lab.data.layouts.plain import KEYPOINTS, read_folder

    inventory = take_inventory(root)
    signs = [sign_of(path) for path in (*inventory.lists, *inventory.unknown)]
    for name, pattern in SIGNS.items():
        if any(re.fullmatch(pattern, sign, re.DOTALL) for sign in signs):
            from imigue_lab.data.layouts.others import survey_other

            return survey_other(name, inventory)
    spreadsheets = inventory.of_kind("clip keypoints") and not inventory.of_kind("label")
    if label_file(inventory) or spreadsheets:
        return read_full(inventory)
    if inventory.found:
        return read_miga(inventory)
    if inventory.videos_of_any_name:
        return read_folder(inventory)
    pickles = [path for path in root.iterdir() if path.suffix.lower() in PICKLES]
    if len(pickles) == 1:
        return survey_layout(pickles[0])
    kinds = {path.suffix.lower() for path in root.iterdir()} & {*KEYPOINTS[:-1]}
    raise DataError(
        f"{root}: expected videos.csv, or a video, label or keypoint file of iMiGUE, got"
        f" {some(sorted(kinds)) or 'none'}; unpack archives, move keypoints into keypoints/ beside"
        " videos.csv and clips.csv, and see docs/data.md for the layouts"
    )


def sign_of(path: Path) -> str:
    """Folder and name of a file; of a table of annotations also its first line."""
    name = f"{path.parent.name}/{path.name}"
    if path.parent.name not in ("annotations", "anns") or path.suffix.lower() != ".csv":
        return name
    with path.open(encoding="utf-8", errors="replace") as file:
        return f"{name} {file.readline(300)}"


def raise_first(problems: list[Problem]) -> None:
    if problems:
        others = len(problems) - 1
        more = f" ({others} more problem{'s' * (others > 1)} after this one)" if others else ""
        raise DataError(f"{problems[0]}{more}")
