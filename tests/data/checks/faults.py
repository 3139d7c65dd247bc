"""Inserts faults of real copies into a synthetic tree, each into a different video.

`FAULTS` lists the expected finding of the data check, and the layouts that can have the fault.
"""

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from einops import rearrange
from jaxtyping import Float
from PIL import Image, ImageFilter

from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.data.synthetic.story import FPS
from imigue_lab.data.synthetic.tree import keypoint_csv, write_spreadsheet
from imigue_lab.data.videos.video import Video, write_video
from imigue_lab.data.workspace import atomic_path, write_atomically

Rows = list[tuple[str, str, str]]  # class, start, end
Points = Float[np.ndarray, "T V 3"]


def edit_clips(index: Index, video: str, change: Callable[[Rows], Rows]) -> None:
    """Changes the labelled clips of one video."""
    if index.layout == "miga":
        path = next(index.root.rglob(f"{video}_label.csv"))
        lines = [line.split(",") for line in path.read_text().splitlines()]
        rows = [(label, start, end) for label, start, end in lines]
        write_atomically(path, "".join(f"{','.join(row)}\n" for row in change(rows)))
        return
    path = index.root / ("clips.csv" if index.layout == "plain" else "Label/labels_20200831.csv")
    columns = ["class", "start", "end"]
    if index.layout == "full":
        columns = ["class", "start_frame", "end_frame"]
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    own = table[table.video_id == video]
    changed = change(list(own[columns].itertuples(index=False, name=None)))
    new = pd.concat([own.head(1)] * len(changed), ignore_index=True)
    new[columns] = changed
    if "clip_id" in table:
        new["clip_id"] = [f"{video}_{number}" for number in range(len(changed))]
    at = own.index[0]
    whole = pd.concat([table[:at], new, table[at + len(own) :]])
    write_atomically(path, whole.to_csv(index=False))


def edit_keypoints(index: Index, video: str, change: Callable[[Points], Points]) -> None:
    """Changes the keypoints of one video, or those of each of its clips."""
    whole = index.videos.set_index("video_id").keypoints[video]
    clips = index.clips[index.clips.video_id == video].keypoints.dropna()
    for path in [whole] if whole is not None else clips:
        points = change(read_recording(path).skeleton[0].astype(float))
        if path.suffix == ".npy":
            array = io.BytesIO()
            np.save(array, points.astype(np.float32))
            write_atomically(path, array.getvalue())
        elif path.suffix == ".xlsx":
            write_spreadsheet(path, rearrange(points, "t v c -> t (v c)"))
        else:
            write_atomically(path, keypoint_csv(points.round(3)))


def edit_text(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = path.read_text().splitlines()
    write_atomically(path, "".join(f"{line}\n" for line in change(lines)))


def add_line(path: Path, line: str) -> None:
    edit_text(path, lambda lines: [*lines, line])


def edit_subject(index: Index, video: str, subject: str) -> None:
    """Changes the subject of a video in the table of the layout that names it."""
    names = {"full": "Label/labels_20200831.csv", "plain": "videos.csv"}
    path = index.root / names.get(index.layout, "emotion_labels.csv")
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    column = header.index("subject_id" if index.layout == "full" else "subject")
    for row in rows:
        if row[header.index("video_id")] == video:
            row[column] = subject
    write_atomically(path, "".join(f"{','.join(row)}\n" for row in [header, *rows]))


def rewrite_video(path: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    """Writes a video again with every frame changed."""
    with Video(path) as video:
        frames = [
            np.asarray(change(Image.fromarray(video.frame(number)))) for number in range(len(video))
        ]
    with atomic_path(path) as temporary:
        write_video(temporary, frames, FPS)


WITH_PICTURES = ("full", "miga2024", "miga2026", "plain")
WITH_KEYPOINTS = ("full", "miga2023", "miga2024", "plain")
EVERY = ("full", "miga2023", "miga2024", "miga2026", "plain")
TREES = ("full", "miga2023", "miga2024", "miga2026")
TABLES = ("miga2023", "miga2024")  # keypoints in CSV files
WHOLE = ("miga2024", "plain")  # whole videos and whole keypoints


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        finding: its severity and kind in the data check.
        layouts: layouts that can have it.
        insert: changes the files of one video.
        split: the split of that video.
    """

    finding: tuple[str, str]
    layouts: tuple[str, ...]
    insert: Callable[[Index, str], None] = field(repr=False)
    split: str = "train"


def unknown_class(index: Index, video: str) -> None:
    def change(rows: Rows) -> Rows:
        return [("55", *rows[0][1:]), *rows[1:]]

    edit_clips(index, video, change)


def reversed_range(index: Index, video: str) -> None:
    def change(rows: Rows) -> Rows:
        label, start, end = rows[0]
        return [(label, end, start), *rows[1:]]

    edit_clips(index, video, change)


def range_past_end(index: Index, video: str) -> None:
    def change(rows: Rows) -> Rows:
        label, start, _ = rows[-1]
        return [*rows[:-1], (label, start, "99999")]

    edit_clips(index, video, change)


def duplicate_row(index: Index, video: str) -> None:
    edit_clips(index, video, lambda rows: [*rows, rows[-1]])


def empty_skeleton(index: Index, video: str) -> None:
    edit_keypoints(index, video, np.zeros_like)


def not_a_number(index: Index, video: str) -> None:
    def change(points: Points) -> Points:
        points[len(points) // 2, 0, 0] = np.nan
        return points

    edit_keypoints(index, video, change)


def row_lost(index: Index, video: str) -> None:
    edit_keypoints(index, video, lambda points: points[:-1])


def rows_lost(index: Index, video: str) -> None:
    edit_keypoints(index, video, lambda points: points[:-9])


def wrist_missing(index: Index, video: str) -> None:
    def change(points: Points) -> Points:
        points[:, 4] = 0  # the right wrist, in BODY_25 and layouts that begin with it
        return points

    edit_keypoints(index, video, change)


def hands_swapped(index: Index, video: str) -> None:
    def change(points: Points) -> Points:
        hands = {35: (range(25, 30), range(30, 35)), 137: (range(116, 137), range(95, 116))}
        right, left = (list(joints) for joints in hands[points.shape[1]])
        points[:, right + left] = points[:, left + right]
        return points

    edit_keypoints(index, video, change)


def header_missing(index: Index, video: str) -> None:
    edit_text(keypoint_file(index, video), lambda lines: lines[1:])


def header_repeated(index: Index, video: str) -> None:
    edit_text(keypoint_file(index, video), lambda lines: [lines[0], *lines])


def truncated_video(index: Index, video: str) -> None:
    path = video_files(index, video)[0]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])


def other_size(index: Index, video: str) -> None:
    for path in video_files(index, video):
        rewrite_video(path, lambda picture: picture.resize((picture.width + 32, picture.height)))


def blurred_face(index: Index, video: str) -> None:
    def blur(picture: Image.Image) -> Image.Image:
        box = (picture.width // 4, 0, picture.width * 3 // 4, picture.height // 2)
        picture.paste(picture.crop(box).filter(ImageFilter.GaussianBlur(9)), box)
        return picture

    for path in video_files(index, video):
        rewrite_video(path, blur)


def unsafe_name(index: Index, video: str) -> None:
    lines = {
        "full": ("Label/labels_20200831.csv", "../../etc,1,0,9,s01,Win"),
        "plain": ("videos.csv", "../../etc,train,win,s01"),
    }
    name, line = lines.get(index.layout, ("emotion_labels.csv", "../../etc,s01,Win"))
    add_line(index.root / name, line)


def duplicate_video(index: Index, video: str) -> None:
    if index.layout == "plain":
        table = (index.root / "videos.csv").read_text().splitlines()
        line = next(line for line in table if line.startswith(f"{video},"))
        add_line(index.root / "videos.csv", line)
    else:
        copy_files(index, video, to="test")


def validation_inside_train(index: Index, video: str) -> None:
    copy_files(index, video, to="train")


def subject_leak(index: Index, video: str) -> None:
    edit_subject(index, video, index.videos.subject.iloc[0])


FOLDERS = {  # the folders of each split in the layouts
    "train": ("imigue_skeleton_train", "train_data", "train", "imigue_rgb_train"),
    "validation": ("imigue_skeleton_validate", "validation_data", "val", "imigue_rgb_validate"),
}


def copy_files(index: Index, video: str, to: str) -> None:
    """Copies the folders of a video into the folders of another split."""
    split = index.videos.set_index("video_id").split[video]
    for folder in sorted(index.root.rglob(video)):
        parent = folder.parent.name
        if folder.is_dir() and parent in FOLDERS[split]:
            name = FOLDERS["train"][FOLDERS[split].index(parent)]
            target = folder.parent.with_name(name)
            if to == "test":
                target = index.root / "imigue_skeleton_test"
            shutil.copytree(folder, target / video, dirs_exist_ok=True)


def keypoint_file(index: Index, video: str) -> Path:
    return index.videos.set_index("video_id").keypoints[video]


def video_files(index: Index, video: str) -> list[Path]:
    """The whole video, or the files of its clips."""
    whole = index.videos.set_index("video_id").video[video]
    clips = index.clips[index.clips.video_id == video].video.dropna()
    return [whole] if whole is not None else clips.tolist()


FAULTS = {
    "unknown class": Fault(("error", "unknown class"), EVERY, unknown_class),
    "reversed range": Fault(("error", "reversed range"), EVERY, reversed_range),
    "range past the end": Fault(
        ("error", "range past the end"), ("full", *TABLES, "plain"), range_past_end
    ),
    "duplicate row": Fault(("warning", "duplicate row"), EVERY, duplicate_row),
    "empty skeleton": Fault(("warning", "empty skeleton"), WITH_KEYPOINTS, empty_skeleton),
    "NaN": Fault(("error", "unreadable keypoints"), WITH_KEYPOINTS, not_a_number),
    "row lost": Fault(("warning", "one row off"), ("full", *WHOLE), row_lost),
    "rows lost": Fault(("warning", "frame counts disagree"), ("full", *WHOLE), rows_lost),
    "missing wrist": Fault(("warning", "missing joints"), WITH_KEYPOINTS, wrist_missing),
    "swapped hands": Fault(("warning", "swapped hands"), WITH_KEYPOINTS, hands_swapped),
    "header missing": Fault(("error", "unreadable keypoints"), TABLES, header_missing),
    "header repeated": Fault(("error", "unreadable keypoints"), TABLES, header_repeated),
    "truncated video": Fault(("error", "truncated video"), WITH_PICTURES, truncated_video),
    "other size": Fault(("warning", "picture sizes disagree"), WITH_PICTURES, other_size),
    "blurred face": Fault(("warning", "blurred faces"), WHOLE, blurred_face),
    "unsafe name": Fault(("error", "unsafe name"), EVERY, unsafe_name),
    "duplicate video": Fault(("error", "duplicate video"), (*TABLES, "plain"), duplicate_video),
    "validation inside train": Fault(
        ("warning", "validation inside train"), TREES, validation_inside_train, "validation"
    ),
    "subject leak": Fault(("warning", "subject leak"), EVERY, subject_leak, "test"),
}


def faults_of(layout: str) -> list[str]:
    """Every fault that the layout can have."""
    return [name for name, fault in FAULTS.items() if layout in fault.layouts]


def insert_faults(index: Index, names: list[str]) -> dict[str, str]:
    """Inserts each fault into a different video; returns fault -> video id."""
    free = {
        split: index.videos.video_id[index.videos.split == split].tolist()[1:]
        for split in ("train", "validation", "test")
    }
    inserted = {}
    for name in names:
        fault = FAULTS[name]
        inserted[name] = free[fault.split].pop(0)
        fault.insert(index, inserted[name])
    return inserted
