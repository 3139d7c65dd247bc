"""Recordings by file name, and keypoint tables: CSV and Excel files of iMiGUE, arrays of a user.

Letters in shapes: M persons, T frames, V joints, C channels: x, y in pixels and a score, or in
space x, y, z.
"""

import csv
import errno
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import Float32, Float64
from safetensors import SafetensorError, safe_open

from imigue_lab.data.keypoint_files import formats
from imigue_lab.data.keypoint_files.openpose import HIGHEST, PEAK, checked, read_openpose_json
from imigue_lab.data.layouts.tables import read_text, separator
from imigue_lab.data.skeletons.geometry import Skeleton, as_persons
from imigue_lab.data.skeletons.keypoints import FILE, LAYOUTS, Layout
from imigue_lab.data.workspace import map_array
from imigue_lab.errors import RECORDING, DataError, unreadable

# Of a workbook: a row's number, and the place of a cell that is too far to the right or down
NUMBER = re.compile(rb"[^<]*?\br\s*=\s*[\"']([0-9]{1,9})")
FAR = rb"""r(?<=[\s"':]r)\s*=\s*["'](?i:((?:O[V-Z]|[P-Z][A-Z]|[A-Z]{3,})[0-9]+|[A-Z]+[0-9]{%d,}))"""
UNNAMED = (".npy", ".csv", ".json")  # of joints without names: `keypoints.json` declares them


@dataclass(frozen=True)
class Recording:
    """The keypoints of one recording, their layout, and what `clips.in_pixels` changed."""

    skeleton: Skeleton
    layout: Layout
    remarks: tuple[str, ...] = ()


def read_recording(
    path: Path, declared: Layout | None = None, wanted: Layout | None = None
) -> Recording:
    """Keypoints of one recording, as in the file; `clips.in_pixels` converts them.

    The arguments are those of `layout_of_file`. Raises DataError for files of another kind, and for
    any that cannot be used.
    """
    return as_recording(path, read_points(path), declared, wanted)


def as_recording(
    path: Path, points: np.ndarray, declared: Layout | None = None, wanted: Layout | None = None
) -> Recording:
    """The same of what `read_points` gave for a file: (T, V, C) or (M, T, V, C)."""
    layout = layout_of_file(path, points.shape, declared, wanted)
    if path.suffix.lower() not in (".npy", ".csv") or named_layout(path):
        return Recording(as_persons(points), layout)
    alone = layout.axes == 2 and (points.shape[-1] == 2 or not layout.scores)
    remarks = ("there are no scores: a joint is missing at (0, 0)",) * alone
    return Recording(with_scores(path, points, layout), layout, remarks)


def read_points(path: Path) -> np.ndarray:
    """The numbers of a file of any format, whose name may end in capitals; an array is mapped.

    ``*_light_hand.csv`` is `light_hand35`, ``*_light.csv`` `body25`, ``*.xlsx`` and a folder of
    JSON files OpenPose's; a ``.pose`` names its points; a ``.json`` is RTMPose's, a ``.skeleton``
    NTU's `ntu25`, and so is SMG's ``*_skeleton.csv``; ``.safetensors`` are extracted keypoints.
    Of ``.npy`` and other ``.csv`` the layout decides what the third number of a joint is.
    """
    if path.is_dir():
        return read_openpose_json(path)
    if formats.file_of(path) != path:
        return formats.read_joints(path)
    for ending, (read, _) in READERS.items():
        if path.name.lower().endswith(ending):
            return read(path)
    raise DataError(
        f"{path}: expected a *_light_hand.csv, a *_light.csv, an .xlsx, an .npy, a .pose, a .csv of"
        " frame and x, y, score of each joint, RTMPose's .json, NTU's .skeleton or a folder of"
        " OpenPose's JSON files; name one of these"
    )


def named_layout(path: Path) -> Layout | None:
    """That of all files with this ending."""
    kinds = (own for ending, own in READERS.items() if path.name.lower().endswith(ending))
    return LAYOUTS.get(next(kinds, (None, ""))[1])


def read_extracted(path: Path) -> Skeleton:
    """Keypoints of the feature store; DataError if the file is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            layout = LAYOUTS[(file.metadata() or {})["layout"]]
            return checked(file.get_tensor("keypoints"), layout, f"{path}")[None]
    except (SafetensorError, OSError, KeyError) as error:
        raise unreadable(path, "is damaged", error, "delete it and extract it again") from None


def layout_of_file(
    path: Path,
    shape: tuple[int, ...],
    declared: Layout | None = None,
    wanted: Layout | None = None,
    axes: int = 0,
) -> Layout:
    """The layout of an array (T, V, C) or (M, T, V, C) that was read from a file.

    Args:
        declared: by the `keypoints.json` of the data, for files that do not name their points.
        wanted: the layout to train on; decides between several known ones of as many joints, or
            where there is none.
        axes: of the joints where the file says so; 0: it does not.

    Raises DataError for another shape, or if several known layouts or none have as many joints.
    """
    if named := named_layout(path):
        return named
    joints, ending = shape[-2] if len(shape) in (3, 4) and shape[-1] in (2, 3) else 0, path.suffix
    axes = 2 if ending.lower() == ".json" else axes  # with scores
    if declared and joints and ending.lower() in UNNAMED:
        if len(declared.joints) != joints or axes not in (0, declared.axes):
            found = f"{joints} in the picture" if axes == 2 else joints
            what = f"the {len(declared.joints)} joints of {declared.name}, which {FILE} declares"
            raise DataError.expected(path, what, found, "correct either")
        return declared
    known = [layout for layout in LAYOUTS.values() if axes in (0, layout.axes)]
    fitting = [layout for layout in known if len(layout.joints) == joints]
    if wanted and len(wanted.joints) == joints and len(fitting) != 1:
        return wanted
    if len(fitting) == 1:
        return fitting[0]
    sizes = sorted({len(layout.joints) for layout in known})
    if fitting:
        names = [layout.name for layout in fitting]
        raise DataError(
            f"{path}: expected a declared layout for {joints} joints, which {' and '.join(names)}"
            f' have, got none; write {FILE} into the root of the data, {{"layout":'
            f' "{names[-1]}"}} or the other one, or set keypoints to its name'
        )
    raise DataError(
        f"{path}: expected (frames, joints, 3) with {', '.join(map(str, sizes))} joints, got"
        f" {shape}; save it in this form, or declare your own joints in {FILE}"
    )


def read_keypoint_csv(path: Path) -> Float32[np.ndarray, "1 T V 3"]:
    """A CSV of frame number and x, y, score of each joint, checked if its name gives the layout.

    Cells are separated by commas, semicolons or tabs; a decimal comma is read. The first line is
    always a header. Frames must be numbered contiguously from 0 or 1. Raises DataError if the file
    is empty, has no header, or a line has another form.
    """
    layout = named_layout(path)
    try:
        text = read_text(path, RECORDING)
        between = separator(text.partition("\n")[0])
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=between))
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(path, "cannot be read", error, "copy it again") from None
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 2:
        found = "a header only" if lines else "an empty file"
        raise DataError(f"{path}: expected frames, got {found}; copy it again, or leave it out")
    width = 1 + 3 * len(layout.joints) if layout else len(lines[0])
    if width % 3 != 1 or width < 4:
        what = "frame and x, y, score of each joint"
        raise DataError.expected(path, what, f"{width} columns", "write it in this form")
    check_header(lines[0], width, path)
    rows = [numbers(line, width, f"{path}: line {n}") for n, line in enumerate(lines[1:], 2)]
    table = np.array(rows)
    check_frame_numbers(table[:, 0], path)
    points = rearrange(table[:, 1:], "t (v c) -> t v c", c=3)
    return (checked(points, layout, f"{path}") if layout else points.astype(np.float32))[None]


def check_header(cells: list[str], width: int, path: Path) -> None:
    """A header has column names or column numbers; a frame is refused."""
    if len(cells) != width:
        what = f"a header of {width} columns, frame and x, y, score of {width // 3} joints"
        raise DataError.expected(f"{path}: line 1", what, len(cells), "write the file again")
    values = [number for cell in cells if (number := as_number(cell)) is not None]
    if len(values) == width and np.any(values != values[0] + np.arange(width)):
        what, todo = "a header", "add a header, otherwise the first frame is lost"
        raise DataError.expected(f"{path}: line 1", what, "only numbers", todo)


def numbers(cells: list, width: int, where: str) -> list[float]:
    """The cells of one line as numbers; NaN is reported later, with its joint."""
    if len(cells) != width:
        raise DataError.expected(where, f"{width} columns", len(cells), "write the file again")
    try:
        return list(map(float, cells))
    except (TypeError, ValueError, OverflowError):  # a decimal comma, or no number
        values: list[Any] = [as_number(cell) for cell in cells]
    if None in values:
        column = values.index(None)
        place, got = f"{where}: column {column + 1}", f"{cells[column]!r:.40}"
        raise DataError.expected(place, "a number", got, "write 0 where a joint is missing")
    return values


def as_number(cell: Any) -> float | None:
    """Of a cell with a decimal point or comma; None if it is no number."""
    try:
        return float(cell.replace(",", ".") if type(cell) is str else cell)
    except (TypeError, ValueError, OverflowError):
        return None


def check_frame_numbers(frames: Float64[np.ndarray, " T"], path: Path) -> None:
    if frames[0] not in (0, 1):
        todo = "add the missing frames, or write the frame number into the first column"
        raise DataError.expected(f"{path}: line 2", "frame 0 or 1", f"{frames[0]:g}", todo)
    wrong = frames != frames[0] + np.arange(len(frames))
    if wrong.any():
        frame = int(np.argmax(wrong))
        raise DataError(
            f"{path}: line {frame + 2}: expected frame {frames[0] + frame:g}, got"
            f" {frames[frame]:g}; labels count frames, so none may be missing: write the file again"
        )


def read_openpose_xlsx(path: Path) -> Float32[np.ndarray, "1 T 137 3"]:
    """The first sheet of a workbook without header, 411 columns: `openpose137`.

    About 21 MB and slow to read; `cache.py` stores the array. Raises DataError if the reader is not
    installed, or the file is not as described.
    """
    try:
        import python_calamine as calamine
    except ImportError:
        raise DataError(
            f"{path}: Excel files need a package; run `pip install python-calamine`, or use"
            " the CSV files"
        ) from None
    check_extent(path)
    try:
        sheet = calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except Exception as error:  # any error of its parser of zip and XML
        raise unreadable(path, "is not a workbook", error, "copy it again") from None
    if not rows:
        raise DataError(f"{path}: expected frames, got an empty sheet; copy it again")
    table = np.array([numbers(row, 411, f"{path}: row {n}") for n, row in enumerate(rows, 1)])
    points = rearrange(table, "t (v c) -> t v c", c=3)
    return checked(points, LAYOUTS["openpose137"], f"{path}")[None]


def check_extent(path: Path) -> None:
    """Refuses a workbook that is large when unpacked, a stray far cell, and rows without cells: the
    parser would allocate all cells. Any part may be the sheet; cells need no reference."""
    try:
        with zipfile.ZipFile(path) as book:
            if (size := sum(part.file_size for part in book.infolist())) > RECORDING:
                raise OSError(errno.EFBIG, f"{size:,} bytes unpacked, the most are {RECORDING:,}")
            parts = [book.read(part) for part in book.infolist()]
    except FileNotFoundError:
        return  # as the parser will say
    except Exception as error:  # any error of an archive
        raise unreadable(path, "is not a workbook", error, "copy it again") from None
    for xml in parts:
        rows = re.split(rb"row\b", xml)[1:]  # after the start and the end of each
        cells = [row.count(b"<c") + row.count(b":c") for row in rows]
        last = max((int(own[1]) for row in rows if (own := NUMBER.match(row))), default=0)
        far = re.search(FAR % len(f"{10 * len(rows) + 1000}"), xml)
        empty = 411 * len(rows) > 4 * sum(cells) + 82_200 or max(cells, default=0) > 2 * 411
        if far or empty or last > len(rows) + 100:
            got = f"a cell at {far[1].decode()}" if far else f"{sum(cells)} cells, rows to {last}"
            what = "411 columns and no gap between rows"
            raise DataError.expected(path, what, got, "delete it and save the sheet again")


def with_scores(path: Path, array: np.ndarray, layout: Layout) -> Skeleton:
    """Floats (T, V, C) or (M, T, V, C) of a file, joints as in `layout`, checked.

    In a layout of the picture, C is 3: x, y and a score, or 2 without scores, which become 1 where
    a joint is not at (0, 0). Raises DataError for another shape or dtype, no frames, or an invalid
    number.
    """
    joints, widths = len(layout.joints), (2, 3) if layout.axes == 2 else (3,)
    if array.dtype.kind != "f" or not array.size or array.shape[-1] not in widths:
        what = f"floats (frames, {joints}, 3) of {layout.name}, or (persons, frames, {joints}, 3)"
        raise DataError.expected(path, what, f"{array.dtype} {array.shape}", "save it in this form")
    persons = as_persons(array)
    if layout.axes == 2:
        if array.shape[-1] == 2 or not layout.scores:
            shown = (persons[..., :2] != 0).any(axis=-1, keepdims=True)
            persons = np.concatenate([persons[..., :2], shown.astype(array.dtype)], axis=-1)
        found = np.stack([checked(person, layout, f"{path}", PEAK) for person in persons])
        if found[..., 2].max() > HIGHEST and np.abs(found[..., :2]).max() < PEAK:
            what = f"x, y and a score of 0 to 1 in {layout.name}"
            got = "numbers that are neither pixels nor scores"
            raise DataError.expected(path, what, got, f"declare joints in space in {FILE}")
        return found
    if not (np.abs(persons) < np.finfo(np.float32).max).all():
        raise DataError(f"{path}: contains NaN or infinity; write 0, 0, 0 where a joint is missing")
    return persons.astype(np.float32)


# ending of the name -> its reader, and the layout of all such files, if there is one
READERS: dict[str, tuple[Callable[[Path], np.ndarray], str]] = {
    formats.SKELETON: (formats.read_skeleton_csv, "ntu25"),
    "_light_hand.csv": (read_keypoint_csv, "light_hand35"),
    "_light.csv": (read_keypoint_csv, "body25"),
    ".csv": (read_keypoint_csv, ""),
    ".npy": (map_array, ""),
    ".pose": (formats.read_pose, ""),
    ".safetensors": (read_extracted, ""),
    ".xlsx": (read_openpose_xlsx, "openpose137"),
    ".json": (formats.read_rtmpose_json, ""),
    ".skeleton": (formats.read_ntu_skeleton, "ntu25"),
}
