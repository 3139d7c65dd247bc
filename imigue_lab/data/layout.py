"""Recognises an interview tree and hands on one index: a table of videos, a table of clips.

Two forms are read here. The MiGA challenge tree (folders `imigue_skeleton_train/<id>/` with
`<id>_label.csv`, videos under `imigue_rgb_phase1/...`) and the plain form for anyone's own data, a
`videos.csv` with the columns `video_id,split,outcome` and, if known, `subject`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from imigue_lab.data.classes import from_csv_id
from imigue_lab.data.video import probe
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError, some

SPLITS = ("train", "validation", "test")
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
WIN = {"win": 1, "1": 1, "1.0": 1, "lose": 0, "loss": 0, "0": 0, "0.0": 0}

VIDEOS = pa.DataFrameSchema(
    {
        "video_id": pa.Column(str, unique=True),
        "subject": pa.Column(str, nullable=True),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        "outcome": pa.Column("Int64", pa.Check.isin([0, 1]), nullable=True),
        "fps": pa.Column(float, nullable=True),
        "width": pa.Column("Int64", nullable=True),
        "height": pa.Column("Int64", nullable=True),
        "frames": pa.Column("Int64", nullable=True),
        "video": pa.Column(object, nullable=True),
        "keypoints": pa.Column(object, nullable=True),
    },
    strict=True,
)
CLIPS = pa.DataFrameSchema(
    {
        "clip_id": pa.Column(str, unique=True),
        "video_id": pa.Column(str),
        "subject": pa.Column(str, nullable=True),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        "start": pa.Column(int, pa.Check.ge(0)),
        "end": pa.Column(int, pa.Check.ge(0)),
        "label": pa.Column(int, pa.Check.in_range(0, 31)),
    },
    strict=True,
)


@dataclass(frozen=True)
class Index:
    """What a data root holds.

    Attributes:
        videos: video_id, subject, split, outcome (1 win, 0 lose), fps, width, height, frames, and
            the paths `video` and `keypoints`; what a layout lacks is null.
        clips: clip_id, video_id, subject, split, start, end (frames from 0, end inclusive), label
            (0-based class).
        absent: sentences on what the tree does not hold.
    """

    root: Path
    layout: str
    videos: pd.DataFrame
    clips: pd.DataFrame
    absent: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Names this root in the feature store: `<folder>-<8 hex of its resolved path>`."""
        return f"{self.root.name}-{short_hash(self.root)}"


def read_index(root: Path | str, labels: str = "") -> Index:
    """Recognises the tree at `root`.

    Args:
        labels: an outcome CSV that takes the place of what the tree carries, with the columns
            `video_id,label`; other names as ``FILE:ID_COLUMN,LABEL_COLUMN``.

    Raises:
        DataError: nothing known lies there, or a table is faulty; the sentence names file and row.
    """
    root = Path(root).expanduser().resolve()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the root of an iMiGUE copy or your own data")
    if (root / "videos.csv").exists():
        index = read_plain(root)
    elif folders := sorted(root.rglob("imigue_skeleton_*")):
        index = read_miga(root, folders)
    else:
        raise DataError(
            f"{root}: neither videos.csv nor a folder imigue_skeleton_* lies there;"
            " see docs/data.md for the layouts that are read"
        )
    if labels:
        outcomes = read_outcomes(labels)
        unknown = sorted(set(outcomes) - set(index.videos.video_id))
        if unknown:
            raise DataError(
                f"{labels}: labels videos that {root} does not hold: {some(unknown)}; remove them"
            )
        index.videos["outcome"] = index.videos.video_id.map(outcomes).astype("Int64")
    return index


def read_plain(root: Path) -> Index:
    """Reads `videos.csv`: video_id, split, outcome (win, lose, 1, 0, or empty), maybe subject."""
    path = root / "videos.csv"
    table = read_table(path, ["video_id", "split", "outcome"])
    check_ids(path, table.video_id)
    for row, split in enumerate(table.split, start=2):
        if split not in SPLITS:
            raise DataError(
                f"{path}, row {row}: split {split!r} is not one of {', '.join(SPLITS)}; correct it"
            )
    videos = pd.DataFrame({"video_id": table.video_id, "split": table.split})
    videos["subject"] = table.subject.replace("", None) if "subject" in table else None
    videos["outcome"] = parse_outcomes(path, table.outcome)
    absent = [] if "subject" in table else ["videos.csv names no subjects: each video is its own"]
    return Index(root, "plain", videos_table(videos), clips_table([]), absent)


def read_miga(root: Path, folders: list[Path]) -> Index:
    """Reads the trees of the MiGA challenges (2023 to 2025): skeletons, labels, maybe videos."""
    outcome_file = root / "emotion_labels.csv"
    outcomes: dict[str, int] = {}
    subjects: dict[str, str] = {}
    absent = []
    if outcome_file.exists():
        outcomes = read_outcomes(str(outcome_file))
        table = read_table(outcome_file, ["video_id"])
        if "subject" in table:
            subjects = dict(zip(table.video_id, table.subject, strict=True))
    else:
        absent.append("no emotion_labels.csv: give outcomes by `labels`")
    mp4s = {path.stem: path for path in sorted(root.rglob("*.mp4"))}
    videos, clips = [], []
    for folder in folders:
        split = folder.name.removeprefix("imigue_skeleton_").replace("validate", "validation")
        for place in sorted(p for p in folder.iterdir() if p.is_dir()):
            video_id = place.name
            subject, hand = subjects.get(video_id), place / f"{video_id}_light_hand.csv"
            row: dict[str, object] = {"video_id": video_id, "split": split, "subject": subject}
            row["outcome"] = outcomes.get(video_id)
            row["keypoints"] = hand if hand.exists() else None
            if video_id in mp4s:
                row |= vars(probe(mp4s[video_id])) | {"video": mp4s[video_id]}
            videos.append(row)
            clips += [
                {**clip, "video_id": video_id, "split": split, "subject": subject}
                for clip in read_clips(place / f"{video_id}_label.csv")
            ]
    listed = pd.DataFrame(videos)
    check_ids(root, listed.video_id)
    if lacking := sorted(set(listed.video_id) - mp4s.keys()):
        absent.append(f"no video file for {some(lacking)}")
    return Index(root, "miga", videos_table(listed), clips_table(clips), absent)


def read_clips(path: Path) -> list[dict]:
    """Clips of one `<id>_label.csv`: no header, `class,start,end` in frames from 0, end inclusive.

    The clip id is `<video>_<row>`, rows counted from 0.
    """
    if not path.exists():
        return []
    video_id = path.name.removesuffix("_label.csv")
    clips = []
    for row, line in enumerate(path.read_text().split()):
        try:
            label, start, end = (int(cell) for cell in line.split(","))
            clip = {"clip_id": f"{video_id}_{row}", "start": start, "end": end}
            clips.append(clip | {"label": from_csv_id(label)})
        except (ValueError, DataError) as error:
            raise DataError(
                f"{path}, row {row + 1}: {line!r} is not class,start,end ({error}); correct it"
            ) from error
    return clips


def read_outcomes(labels: str) -> dict[str, int]:
    """video_id -> 1 (win) or 0 (lose), from ``FILE`` or ``FILE:ID_COLUMN,LABEL_COLUMN``."""
    file, _, columns = labels.partition(":")
    id_column, _, label_column = (columns or "video_id,label").partition(",")
    path = Path(file).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the outcome CSV, or leave `labels` empty")
    table = read_table(path, [id_column, label_column])
    check_ids(path, table[id_column])
    outcomes = parse_outcomes(path, table[label_column])
    return {
        video: int(outcome)
        for video, outcome in zip(table[id_column], outcomes, strict=True)
        if not pd.isna(outcome)
    }


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV as text, with at least `columns`."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable CSV ({error}); save it again as UTF-8") from error
    lacking = [column for column in columns if column not in table]
    if lacking:
        raise DataError(
            f"{path}: has the columns {', '.join(table)} and lacks {', '.join(lacking)}; add them"
        )
    return table


def check_ids(path: Path, ids: pd.Series) -> None:
    """Every id once, and none that could lead out of the data root."""
    for row, video_id in enumerate(ids, start=2):
        if not SAFE_ID.fullmatch(video_id):
            raise DataError(
                f"{path}, row {row}: {video_id!r} cannot be a video id (letters, digits, _ . -);"
                " rename it"
            )
    if doubled := sorted(set(ids[ids.duplicated()])):
        raise DataError(f"{path}: video ids stand there twice: {some(doubled)}; keep one row each")


def parse_outcomes(path: Path, values: pd.Series) -> pd.Series:
    """win and lose, in any case, or 1 and 0; empty is null."""
    for row, value in enumerate(values, start=2):
        if value and value.strip().lower() not in WIN:
            raise DataError(f"{path}, row {row}: outcome {value!r} is neither win nor lose")
    return values.str.strip().str.lower().map(WIN).astype("Int64")


def videos_table(videos: pd.DataFrame) -> pd.DataFrame:
    """Completes, types and checks the table of videos."""
    videos = videos.reindex(columns=list(VIDEOS.columns))
    videos["subject"] = videos.subject.astype(str)
    videos["fps"] = videos.fps.astype(float)
    for column in ("outcome", "width", "height", "frames"):
        videos[column] = videos[column].astype("Int64")
    for column in ("video", "keypoints"):
        videos[column] = videos[column].astype(object).replace({np.nan: None})
    return VIDEOS.validate(videos)


def clips_table(clips: list[dict]) -> pd.DataFrame:
    """Types and checks the table of clips."""
    table = pd.DataFrame(clips, columns=list(CLIPS.columns))
    text = dict.fromkeys(("clip_id", "video_id", "subject", "split"), str)
    return CLIPS.validate(table.astype(text | {"start": int, "end": int, "label": int}))
