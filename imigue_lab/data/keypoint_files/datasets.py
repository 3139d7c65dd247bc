"""Keypoint files that one data set alone has: SMG's skeletons, BoLD's joints.

Letters in shapes: T frames, V joints.
"""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from imigue_lab.data.keypoint_files.openpose import checked
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError, unreadable

SKELETON = "_skeleton.csv"  # the ending of SMG's files
KINECT = 25  # joints of a row; each has x, y, z in metres, 4 of its rotation, 4 pixels
JOINTS = 18  # of BoLD, in the order of `openpose18`
LONGEST = 1e6  # frames
SCORED = 0.1  # below it a joint is missing, as the authors of BoLD's baseline read it


def read_skeleton_csv(path: Path) -> Float32[np.ndarray, "1 T 25 3"]:
    """A file of `SKELETON`: no header, 275 columns a frame; `ntu25` in metres of the world.

    Frames of zeros are missing. Raises DataError if a line has another form.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of an empty file; it is refused below
            table = np.loadtxt(path, np.float32, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise unreadable(path, "is not a table", error, "copy it again") from None
    if table.shape[1] != 11 * KINECT or not np.isfinite(table).all():
        raise DataError(
            f"{path}: expected {11 * KINECT} finite numbers a frame, 11 of each joint, got"
            f" {table.shape[1]} columns; copy it again"
        )
    return np.ascontiguousarray(table.reshape(1, -1, KINECT, 11)[..., :3])


def of_person(joints: Path, person: int) -> Path:
    """The name of one person's joints in a file of several: ``0012.npy@3``."""
    return joints.with_name(f"{joints.name}@{person}")


def file_of(path: Path) -> Path:
    """The file itself, of a name by `of_person`."""
    return path.with_name(path.name.rpartition("@")[0]) if path.suffix.startswith(".npy@") else path


def map_array(path: Path) -> np.ndarray:
    """The array of an ``.npy``, mapped."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an .npz archive")
        return array
    except Exception as error:  # any error of its header parser
        raise unreadable(path, "is not an array", error, "save it with numpy.save") from None


def open_joints(path: Path) -> tuple[Float[np.ndarray, "rows columns"], int]:
    """BoLD's ``.npy``, mapped, and its number of frames from the first to the last row.

    A row is one person in one frame: frame, person, and x, y, score of 18 joints. Frames have any
    first number; those without anybody are absent.
    """
    rows = map_array(path)
    if rows.shape[1:] != (2 + 3 * JOINTS,) or not len(rows) or rows.dtype.kind != "f":
        raise DataError(
            f"{path}: expected rows of frame, person and {JOINTS} joints, got {rows.shape};"
            " copy it again"
        )
    if not 0 <= (last := rows[-1, 0] - rows[0, 0]) < LONGEST:
        raise DataError(f"{path}: expected rows in the order of frames; copy the file again")
    return rows, int(last) + 1


def read_joints(path: Path) -> Float32[np.ndarray, "1 T 18 3"]:
    """The joints of one person, named by `of_person`: `openpose18`, zeros where there is none."""
    rows, frames = open_joints(file_of(path))
    own = np.array(rows[rows[:, 1] == int(path.name.rpartition("@")[2])])
    numbers = own[:, 0] - rows[0, 0]
    if not ((numbers >= 0) & (numbers < frames)).all():
        raise DataError(f"{path}: expected rows in the order of frames; copy the file again")
    points = np.zeros((frames, JOINTS, 3))
    points[numbers.astype(int)] = own[:, 2:].reshape(-1, JOINTS, 3)
    points[points[..., 2] < SCORED] = 0
    return checked(points, LAYOUTS["openpose18"], f"{path}")[None]
