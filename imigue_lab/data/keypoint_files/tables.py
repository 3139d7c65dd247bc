"""Recordings by file name, and keypoint tables: CSV and Excel files of iMiGUE, arrays of a user.

Letters in shapes: M persons, T frames, V joints, C channels: x, y in pixels and a score, or in
space x, y, z.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import Float32, Float64
from safetensors import SafetensorError, safe_open

from imigue_lab.data.keypoint_files.openpose import checked, message, read_openpose_json
from imigue_lab.data.keypoint_files.pose import read_pose
from imigue_lab.data.skeletons.geometry import Skeleton
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.errors import DataError

BY_JOINTS = {  # of two layouts with the same number of joints, the picture's
    35: "light_hand35",
    137: "openpose137",
    25: "body25",
    22: "imigue22",
    65: "mediapipe65",
    36: "mmgesture36",
    20: "kinect20",
    18: "openpose18",
    17: "coco17",
}


@dataclass(frozen=True)
class Recording:
    """The keypoints of one recording, and their layout."""

    skeleton: Skeleton
    layout: Layout


def read_recording(path: Path) -> Recording:
    """Keypoints of one recording; the file name determines the layout.

    ``*_light_hand.csv`` is `light_hand35`, ``*_light.csv`` `body25`, ``*.xlsx`` and a folder of
    JSON files `openpose137`; an ``.npy`` has the layout in `BY_JOINTS` of its number of joints; a
    ``.pose`` names its points, and extracted keypoints (``.safetensors``) their layout. Raises
    DataError for other files, and for any that cannot be used.
    """
    if path.is_dir():
        return Recording(read_openpose_json(path), LAYOUTS["openpose137"])
    if path.suffix == ".npy":
        return read_array(path)
    if path.suffix == ".pose":
        return Recording(*read_pose(path))
    if path.suffix == ".safetensors":
        return read_extracted(path)
    if path.suffix == ".xlsx":
        return Recording(read_openpose_xlsx(path), LAYOUTS["openpose137"])
    for ending, name in (("_light_hand.csv", "light_hand35"), ("_light.csv", "body25")):
        if path.name.endswith(ending):
            return Recording(read_keypoint_csv(path, LAYOUTS[name]), LAYOUTS[name])
    raise DataError(
        f"{path}: expected a *_light_hand.csv, a *_light.csv, an .xlsx, an .npy, a .pose or a"
        " folder of OpenPose's JSON files; name one of these"
    )


def read_extracted(path: Path) -> Recording:
    """Keypoints of the feature store; DataError if the file is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            layout = LAYOUTS[(file.metadata() or {})["layout"]]
            return Recording(checked(file.get_tensor("keypoints"), layout, f"{path}")[None], layout)
    except (SafetensorError, OSError, KeyError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it and extract it again") from None


def read_array(path: Path) -> Recording:
    """An ``.npy`` in the layout of its number of joints."""
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError) as error:
        raise not_an_array(path, error) from None
    layout = layout_of_shape(shape, path)
    return Recording(read_keypoint_array(path, layout), layout)


def layout_of_shape(shape: tuple[int, ...], path: Path) -> Layout:
    """The layout of an array (T, V, 3) or (M, T, V, 3), determined by its number of joints.

    Raises DataError for another shape, or if no layout has this number of joints.
    """
    if len(shape) not in (3, 4) or shape[-1] != 3 or shape[-2] not in BY_JOINTS:
        raise DataError(
            f"{path}: expected (frames, joints, 3) with {', '.join(map(str, BY_JOINTS))} joints,"
            f" got {shape}; save it in this form"
        )
    return LAYOUTS[BY_JOINTS[shape[-2]]]


def not_an_array(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: is not an array ({message(error)}); save it with numpy.save")


def read_keypoint_csv(path: Path, layout: Layout) -> Float32[np.ndarray, "1 T V 3"]:
    """A CSV of frame number and x, y, score of each joint of `layout`.

    The first line is always a header. Frames must be numbered contiguously from 0 or 1. Raises
    DataError if the file is empty, has no header, or a line has another form.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({message(error)}); copy it again") from None
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 2:
        found = "a header only" if lines else "an empty file"
        raise DataError(f"{path}: expected frames, got {found}; copy it again, or leave it out")
    width = 1 + 3 * len(layout.joints)
    check_header(lines[0], width, path)
    rows = [numbers(line, width, f"{path}: line {n}") for n, line in enumerate(lines[1:], 2)]
    table = np.array(rows)
    check_frame_numbers(table[:, 0], path)
    return checked(rearrange(table[:, 1:], "t (v c) -> t v c", c=3), layout, f"{path}")[None]


def check_header(cells: list[str], width: int, path: Path) -> None:
    """A header has column names or column numbers; a frame is refused."""
    if len(cells) != width:
        raise DataError(
            f"{path}: line 1: expected a header of {width} columns, frame and x, y, score of"
            f" {width // 3} joints, got {len(cells)}; write the file again"
        )
    if all(map(is_number, cells)):
        values = np.array([float(cell) for cell in cells])
        if np.any(values != values[0] + np.arange(width)):
            raise DataError(
                f"{path}: line 1: expected a header, got only numbers; add a header, otherwise"
                " the first frame is lost"
            )


def numbers(cells: list, width: int, where: str) -> list[float]:
    """The cells of one line as numbers; NaN is reported later, with its joint."""
    if len(cells) != width:
        raise DataError(
            f"{where}: expected {width} columns, got {len(cells)}; write the file again"
        )
    try:
        return [float(cell) for cell in cells]
    except (TypeError, ValueError, OverflowError):
        column = next(n for n, cell in enumerate(cells, 1) if not is_number(cell))
        raise DataError(
            f"{where}: column {column}: expected a number, got {cells[column - 1]!r:.40}; write 0"
            " where a joint is missing"
        ) from None


def is_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def check_frame_numbers(frames: Float64[np.ndarray, " T"], path: Path) -> None:
    if frames[0] not in (0, 1):
        raise DataError(
            f"{path}: line 2: expected frame 0 or 1, got {frames[0]:g}; add the missing frames, or"
            " write the frame number into the first column"
        )
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
    try:
        sheet = calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except Exception as error:  # any error of its parser of zip and XML
        raise DataError(f"{path}: is not a workbook ({message(error)}); copy it again") from None
    if not rows:
        raise DataError(f"{path}: expected frames, got an empty sheet; copy it again")
    table = np.array([numbers(row, 411, f"{path}: row {n}") for n, row in enumerate(rows, 1)])
    points = rearrange(table, "t (v c) -> t v c", c=3)
    return checked(points, LAYOUTS["openpose137"], f"{path}")[None]


def read_keypoint_array(path: Path, layout: Layout) -> Skeleton:
    """An ``.npy`` of floats, (T, V, C) or (M, T, V, C), joints as in `layout`.

    In a layout of the picture, C is 3: x, y in pixels and a score. Raises DataError for another
    shape or dtype, no frames, or an invalid number.
    """
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # any error of its header parser
        raise not_an_array(path, error) from None
    joints = len(layout.joints)
    fits = array.ndim in (3, 4) and array.dtype.kind == "f" and array.size
    if not fits or array.shape[-2:] != (joints, 3):
        raise DataError(
            f"{path}: expected floats (frames, {joints}, 3) of {layout.name}, or (persons, frames,"
            f" {joints}, 3), got {array.dtype} {array.shape}; save it in this form"
        )
    persons = array[None] if array.ndim == 3 else array
    if layout.axes == 2:
        return np.stack([checked(person, layout, f"{path}") for person in persons])
    if not (np.abs(persons) < np.finfo(np.float32).max).all():
        raise DataError(f"{path}: contains NaN or infinity; write 0, 0, 0 where a joint is missing")
    return persons.astype(np.float32)
