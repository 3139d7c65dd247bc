"""Keypoints in tables: the CSV and Excel files of iMiGUE, and arrays of someone's own.

Letters in shapes: M persons, T frames, V joints, C channels: x, y in pixels and a score, or in
space x, y, z.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import Float32, Float64

from imigue_lab.data.keypoint_files.openpose import checked, read_openpose_json, said
from imigue_lab.data.keypoint_files.pose import read_pose
from imigue_lab.data.skeletons.geometry import Skeleton
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.errors import DataError

BY_JOINTS = {  # of two layouts with as many joints, the one of pictures
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
    """The keypoints of one recording, and which joint stands where."""

    skeleton: Skeleton
    layout: Layout


def read_recording(path: Path) -> Recording:
    """Keypoints of one recording, by what the file is called.

    ``*_light_hand.csv`` is `light_hand35`, ``*_light.csv`` `body25`, ``*.xlsx`` and a folder of
    JSON files `openpose137`; an ``.npy`` is the layout of `BY_JOINTS` with as many joints; a
    ``.pose`` says itself what it holds.

    Raises:
        DataError: another file, or one that cannot be used.
    """
    if path.is_dir():
        return Recording(read_openpose_json(path), LAYOUTS["openpose137"])
    if path.suffix == ".npy":
        return read_named_by_joints(path)
    if path.suffix == ".pose":
        return Recording(*read_pose(path))
    if path.suffix == ".xlsx":
        return Recording(read_openpose_xlsx(path), LAYOUTS["openpose137"])
    for ending, name in (("_light_hand.csv", "light_hand35"), ("_light.csv", "body25")):
        if path.name.endswith(ending):
            return Recording(read_keypoint_csv(path, LAYOUTS[name]), LAYOUTS[name])
    raise DataError(
        f"{path}: holds keypoints of no known kind; name a *_light_hand.csv, a *_light.csv, an"
        " .xlsx, a .pose or a folder of OpenPose's JSON files"
    )


def read_named_by_joints(path: Path) -> Recording:
    """An ``.npy``, in the layout that its number of joints tells."""
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is no array ({said(error)}); save it with numpy.save") from None
    layout = BY_JOINTS.get(shape[-2] if len(shape) > 1 else 0)
    if layout is None:
        raise DataError(
            f"{path}: holds {shape}, expected (frames, joints, 3) with"
            f" {', '.join(map(str, BY_JOINTS))} joints; save it so"
        )
    return Recording(read_keypoint_array(path, LAYOUTS[layout]), LAYOUTS[layout])


def read_keypoint_csv(path: Path, layout: Layout) -> Float32[np.ndarray, "1 T V 3"]:
    """A header, then frame number and (x, y, score) of each joint of `layout`; commas between.

    The first line is always the header. Frames must be numbered without a gap, from 0 or 1.

    Raises:
        DataError: the file is empty, has no header, or a line that is not as described.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({said(error)}); copy it again") from None
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 2:
        found = "a header but no frame" if lines else "nothing"
        raise DataError(f"{path}: holds {found}; copy it again, or take the recording out")
    width = 1 + 3 * len(layout.joints)
    check_header(lines[0], width, path)
    rows = [numbers(line, width, f"{path}: line {n}") for n, line in enumerate(lines[1:], 2)]
    table = np.array(rows)
    check_frame_numbers(table[:, 0], path)
    points = rearrange(table[:, 1:], "t (v c) -> t v c", c=3)
    return checked(points, layout, f"{path}")[None]


def check_header(cells: list[str], width: int, path: Path) -> None:
    """Names, or the numbers of the columns, but not a frame."""
    if len(cells) != width:
        raise DataError(
            f"{path}: line 1 has {len(cells)} columns, expected a header of {width}: frame, then"
            f" x, y, score of {width // 3} joints; write the file again"
        )
    if all(is_number(cell) for cell in cells):
        values = np.array([float(cell) for cell in cells])
        if np.any(values != values[0] + np.arange(width)):
            raise DataError(
                f"{path}: line 1 is all numbers, expected a header; put one above it, or the first"
                " frame would be lost"
            )


def numbers(cells: list, width: int, where: str) -> list[float]:
    """The cells of one line as numbers; NaN passes and is found with its joint."""
    if len(cells) != width:
        raise DataError(
            f"{where}: has {len(cells)} columns, expected {width}; write the file again"
        )
    try:
        return [float(cell) for cell in cells]
    except (TypeError, ValueError, OverflowError):
        column = next(n for n, cell in enumerate(cells, 1) if not is_number(cell))
        raise DataError(
            f"{where}: column {column} holds {cells[column - 1]!r:.40}, expected a number; write"
            " 0 where a joint is missing"
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
            f"{path}: line 2 is frame {frames[0]:g}, expected 0 or 1; frames are absent, or the"
            " first column is not their number"
        )
    wrong = frames != frames[0] + np.arange(len(frames))
    if wrong.any():
        frame = int(np.argmax(wrong))
        raise DataError(
            f"{path}: line {frame + 2} is frame {frames[frame]:g}, expected"
            f" {frames[0] + frame:g}; labels count frames, so none may be absent: write the file"
            " again"
        )


def read_openpose_xlsx(path: Path) -> Float32[np.ndarray, "1 T 137 3"]:
    """The first sheet of a workbook without header, 411 columns: `openpose137`.

    About 21 MB and slow: read it once and keep the array.

    Raises:
        DataError: the reader is not installed, or the file is not as described.
    """
    try:
        import python_calamine as calamine
    except ImportError:
        raise DataError(
            f"{path}: Excel files need one more package; run `pip install python-calamine`, or use"
            " the CSV files"
        ) from None
    try:
        sheet = calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except Exception as error:  # whatever its parser of zip and XML comes to
        raise DataError(f"{path}: is no workbook ({said(error)}); copy it again") from None
    if not rows:
        raise DataError(f"{path}: holds nothing; copy it again, or take the recording out")
    table = np.array([numbers(row, 411, f"{path}: row {n}") for n, row in enumerate(rows, 1)])
    points = rearrange(table, "t (v c) -> t v c", c=3)
    return checked(points, LAYOUTS["openpose137"], f"{path}")[None]


def read_keypoint_array(path: Path, layout: Layout) -> Skeleton:
    """An ``.npy`` of floats, (T, V, C) or (M, T, V, C), joints as in `layout`.

    In a layout of the picture, C is 3: x, y in pixels and a score.

    Raises:
        DataError: another shape or type, no frame, or a number that cannot be.
    """
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # whatever its parser of headers comes to
        raise DataError(f"{path}: is no array ({said(error)}); save it with numpy.save") from None
    joints = len(layout.joints)
    fits = array.ndim in (3, 4) and array.dtype.kind == "f" and array.size
    if not fits or array.shape[-2:] != (joints, 3):
        raise DataError(
            f"{path}: holds {array.dtype} {array.shape}, expected floats (frames, {joints}, 3) of"
            f" {layout.name}, or with the persons in front; save it so"
        )
    persons = array[None] if array.ndim == 3 else array
    if layout.axes == 2:
        return np.stack([checked(person, layout, f"{path}") for person in persons])
    if not (np.abs(persons) < np.finfo(np.float32).max).all():
        raise DataError(f"{path}: holds NaN or infinity; write 0, 0, 0 where a joint is missing")
    return persons.astype(np.float32)
