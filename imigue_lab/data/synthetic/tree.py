"""Writes a synthetic iMiGUE in any of the layouts, and its features into the store.

`imigue_lab/data/layouts/` describes the layouts. What a layout does not have is left out: miga2023
has no videos, miga2026 neither whole videos nor keypoints. Unlike the real trees, the MiGA trees
get an `emotion_labels.csv` with outcome and subject, and a full tree without videos a `splits.csv`.
<root>/synthetic.json records the arguments of the generator.
"""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
from jaxtyping import Float
from tqdm import tqdm

from imigue_lab.data.index import MARKER, Index
from imigue_lab.data.layouts.imigue import COLUMNS
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.synthetic import datasets
from imigue_lab.data.synthetic.features import write_clip_features, write_features
from imigue_lab.data.synthetic.recording import JOINTS, Recording, record
from imigue_lab.data.synthetic.story import DATA_SETS, VERSION, Interview, SyntheticSpec, plan
from imigue_lab.data.vocabulary import builtin
from imigue_lab.data.workspace import atomic_path, locked, workspace, write_array, write_atomically
from imigue_lab.errors import DataError

IDS = builtin("imigue").ids
OPENPOSE = 137  # points: BODY_25, face, left hand, right hand
TIPS = {"left": 95, "right": 116}  # first point of each hand; its fingertips are 4, 8, 12, 16, 20
FOLDERS, SPREADSHEET = datasets.FOLDERS, datasets.TREE["spreadsheet"]


def make_data(root: Path | str, spec: SyntheticSpec, store: str = "") -> Index:
    """Writes the tree at `root` and the features into the store; DataError if it is not empty."""
    root = Path(root).expanduser().resolve()
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: is not empty; name a new folder, or delete its contents")
    unfinished = root.with_name(f".making-{root.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    interviews = plan(spec)
    for interview in tqdm(interviews, desc="synthetic interviews", unit="video"):
        WRITERS[spec.layout](unfinished, record(interview, spec), spec)
    write_tables(unfinished, interviews, spec)
    facts = {"note": "generated, not recorded", "version": VERSION, **vars(spec)}
    write_atomically(unfinished / MARKER, json.dumps(facts, indent=2))
    if root.exists():
        root.rmdir()
    unfinished.rename(root)
    index = read_index(root)
    write_all_features(index, spec, store)
    return index


def write_all_features(index: Index, spec: SyntheticSpec, store: str) -> None:
    """Writes the features of interviews and clips that are missing; other data sets have none."""
    if spec.layout not in DATA_SETS:
        write_features(index, spec, store)
        write_clip_features(index, spec, store)


def ensure_synthetic(spec: SyntheticSpec | None = None, store: str = "") -> Path:
    """The root of a synthetic set in the workspace; generated with its features where missing."""
    spec = spec or SyntheticSpec()
    root = workspace() / "data" / f"synthetic-{spec.key}"
    with locked(root.with_suffix(".lock")):
        if root.exists():
            write_all_features(read_index(root), spec, store)
        else:
            make_data(root, spec, store)
    return root


def write_miga2023(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """Labels and keypoints."""
    video_id = recording.interview.video_id
    folder = root / FOLDERS["miga_skeletons"][recording.interview.split] / video_id
    write_labels(folder, recording.interview)
    write_atomically(folder / f"{video_id}_light_hand.csv", keypoint_csv(recording.keypoints))


def write_miga2024(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """Labels, keypoints and the video; 2025 is the same."""
    write_miga2023(root, recording, spec)
    folder = root / FOLDERS["miga_videos"][recording.interview.split] / recording.interview.video_id
    write_whole_video(folder, recording, spec)


def write_miga2026(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """Labels, and one video per clip."""
    interview = recording.interview
    folder = root / FOLDERS["miga_clips"][interview.split] / interview.video_id
    write_labels(folder, interview)
    for row, gesture in enumerate(interview.gestures):
        frames = range(gesture.start, gesture.end + 1)
        datasets.write_film(folder / f"{interview.video_id}_{row}.mp4", recording, frames, spec)


def write_full(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """The video, and a spreadsheet with the keypoints of each clip."""
    interview = recording.interview
    points = to_openpose(recording.keypoints)
    folder = root / "mg_skeleton_only" / interview.video_id
    for row, gesture in enumerate(interview.gestures):
        clip = points[gesture.start : gesture.end + 1].reshape(-1, 3 * OPENPOSE)
        write_spreadsheet(folder / f"{interview.video_id}_{row}.xlsx", clip)
    write_whole_video(
        root / FOLDERS["full_videos"][interview.split] / interview.video_id, recording, spec
    )


def write_plain(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """The video, and the keypoints as an array."""
    path = root / "keypoints" / f"{recording.interview.video_id}.npy"
    write_array(path, recording.keypoints.astype(np.float32))
    write_whole_video(root / "videos", recording, spec)


WRITERS: dict[str, Callable[[Path, Recording, SyntheticSpec], None]] = {
    "full": write_full,
    "miga2023": write_miga2023,
    "miga2024": write_miga2024,
    "miga2026": write_miga2026,
    "plain": write_plain,
    "smg": datasets.write_smg,
    "ma52": datasets.write_ma52,
    "bold": datasets.write_bold,
}


def write_whole_video(folder: Path, recording: Recording, spec: SyntheticSpec) -> None:
    path = folder / f"{recording.interview.video_id}.mp4"
    datasets.write_film(path, recording, range(recording.interview.frames), spec)


def write_labels(folder: Path, interview: Interview) -> None:
    """`<id>_label.csv`: class,start,end without header."""
    rows = [f"{IDS[g.label]},{g.start},{g.end}\n" for g in interview.gestures]
    write_atomically(folder / f"{interview.video_id}_label.csv", "".join(rows))


def write_tables(root: Path, interviews: list[Interview], spec: SyntheticSpec) -> None:
    """The tables that cover all interviews."""
    if spec.layout in DATA_SETS:
        return  # their writers append to the tables
    facts = [(i.video_id, i.split, ("Lose", "Win")[i.outcome], i.subject) for i in interviews]
    videos = pd.DataFrame(facts, columns=["video_id", "split", "outcome", "subject"])
    rows = [
        (f"{i.video_id}_{row}", i.video_id, g.start, g.end, IDS[g.label])
        for i in interviews
        for row, g in enumerate(i.gestures)
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "video_id", "start", "end", "class"])
    if spec.layout == "plain":
        tables = {"videos.csv": videos, "clips.csv": clips}
        write_atomically(root / "classes.csv", builtin("imigue").to_csv())
    elif spec.layout == "full":
        names = {"start": "start_frame", "end": "end_frame", "subject": "subject_id"}
        names |= {"outcome": "win_or_lose"}
        labels = clips.merge(videos, on="video_id").rename(columns=names)[COLUMNS]
        tables = {"Label/labels_20200831.csv": labels}
        if not spec.pictures:
            tables["splits.csv"] = videos[["video_id", "split"]]
    else:
        labels = videos[["video_id", "subject", "outcome"]]
        tables = {"emotion_labels.csv": labels.rename(columns={"outcome": "label"})}
    for name, table in tables.items():
        write_atomically(root / name, table.to_csv(index=False))


def keypoint_csv(points: Float[np.ndarray, "N V 3"]) -> bytes:
    """Header, then frame number and (x, y, confidence) of 35 joints."""
    names = [f"{joint}_{c}" for joint in JOINTS for c in ("x", "y", "confidence")]
    columns = points.reshape(len(points), -1).T
    table = pyarrow.table([np.arange(len(points)), *columns], names=["frame", *names])
    file = io.BytesIO()  # pandas is ten times slower
    pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(quoting_style="none"))
    return file.getvalue()


def to_openpose(points: Float[np.ndarray, "N V 3"]) -> Float[np.ndarray, "N 137 3"]:
    """The 35 joints as OpenPose's 137; the others are missing."""
    whole = np.zeros((len(points), OPENPOSE, 3))
    whole[:, :25] = points[:, :25]
    for side, first in (("right", 25), ("left", 30)):
        whole[:, TIPS[side] + 4 : TIPS[side] + 21 : 4] = points[:, first : first + 5]
    return whole


def write_spreadsheet(path: Path, values: Float[np.ndarray, "rows columns"]) -> None:
    """Writes numbers as an .xlsx of one sheet without header, as iMiGUE's keypoint files are.

    A full-size tree has 18,232 of them: this takes 2 ms for 6 rows, and no dependency writes .xlsx.
    """
    rows = [
        f"<row>{''.join(f'<c><v>{value:.10g}</v></c>' for value in row)}</row>"
        for row in values.tolist()
    ]
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, text in SPREADSHEET.items():
            content = text.format("".join(rows))
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
