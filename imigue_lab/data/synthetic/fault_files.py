"""Changes the files of one video of a made-up tree, whatever its layout."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from einops import rearrange
from jaxtyping import Float
from PIL import Image

from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.data.synthetic.forms import keypoint_csv
from imigue_lab.data.synthetic.spreadsheet import write_spreadsheet
from imigue_lab.data.synthetic.story import FPS
from imigue_lab.data.video import Video, write_video
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
    mine = table[table.video_id == video]
    changed = change(list(mine[columns].itertuples(index=False, name=None)))
    new = pd.concat([mine.head(1)] * len(changed), ignore_index=True)
    new[columns] = changed
    if "clip_id" in table:
        new["clip_id"] = [f"{video}_{number}" for number in range(len(changed))]
    at = mine.index[0]
    whole = pd.concat([table[:at], new, table[at + len(mine) :]])
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
    """Gives a video to another subject, wherever the layout says whose it is."""
    names = {"full": "Label/labels_20200831.csv", "plain": "videos.csv"}
    path = index.root / names.get(index.layout, "emotion_labels.csv")
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    column = header.index("subject_id" if index.layout == "full" else "subject")
    for row in rows:
        if row[header.index("video_id")] == video:
            row[column] = subject
    write_atomically(path, "".join(f"{','.join(row)}\n" for row in [header, *rows]))


def refilm(path: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    """Writes a video again with every picture changed."""
    with Video(path) as video:
        frames = [
            np.asarray(change(Image.fromarray(video.frame(number)))) for number in range(len(video))
        ]
    with atomic_path(path) as temporary:
        write_video(temporary, frames, FPS)
