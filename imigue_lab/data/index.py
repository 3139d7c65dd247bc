"""One index of a data root: a table of videos, a table of clips, and what is wrong or absent.

The index on disk: two tables that pandas, R or a database read without this package.

    <workspace>/index/<folder>-<hash of its path>/videos.parquet
    <workspace>/index/<folder>-<hash of its path>/clips.parquet

Paths are absolute and text.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from imigue_lab.data.workspace import short_hash, workspace, write_atomically

SPLITS = ("train", "validation", "test")

VIDEOS = pa.DataFrameSchema(
    {
        "video_id": pa.Column(str, unique=True),
        "subject": pa.Column(str, nullable=True),
        "split": pa.Column(str, pa.Check.isin(SPLITS), nullable=True),
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
        "split": pa.Column(str, pa.Check.isin(SPLITS), nullable=True),
        "start": pa.Column(int, pa.Check.ge(0)),
        "end": pa.Column(int, pa.Check.ge(0)),
        "label": pa.Column("Int64", pa.Check.in_range(0, 31), nullable=True),
        "video": pa.Column(object, nullable=True),
        "keypoints": pa.Column(object, nullable=True),
    },
    strict=True,
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Index:
    """What a data root holds.

    Attributes:
        layout: `full`, `miga` or `plain`.
        videos: video_id, subject, split, outcome (1 win, 0 lose), fps, width, height, frames, and
            the paths `video` and `keypoints`; what a layout lacks is null.
        clips: clip_id, video_id, subject, split, start, end (frames of the video from 0, end
            inclusive), label (0-based class; null where a test split hides it), and the paths
            `video` and `keypoints` of files that hold this clip alone, null in most layouts.
        absent: sentences on what the tree does not hold and what was left out.
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

    @property
    def synthetic(self) -> bool:
        """Whether the tree says that this package wrote it."""
        return (self.root / "synthetic.json").exists()


@dataclass(frozen=True)
class Problem:
    """One thing that cannot be used, where it stands, and what to do.

    Attributes:
        kind: `columns`, `unreadable`, `id`, `doubled id`, `split`, `outcome`, `subject`, `row`,
            `class`, `range` or `unknown video`.
        row: as an editor counts lines, from 1; None is the whole file.
    """

    kind: str
    file: Path
    row: int | None
    what: str
    advice: str

    def __str__(self) -> str:
        place = f"{self.file}" if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.what}; {self.advice}"


@dataclass
class Survey:
    """A root as it was found, with every problem, before anything is refused.

    Rows with a problem are in `problems` and not in the tables; `videos` and `clips` hold columns
    of the index, a column that a row does not name being null. Clips take subject and split from
    their video. `in_train_too` names validation videos that lie in train as well, where they are
    left out.
    """

    root: Path
    layout: str
    videos: list[Row] = field(default_factory=list)
    clips: list[Row] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    in_train_too: list[str] = field(default_factory=list)

    def to_index(self) -> Index:
        """The index of what can be used."""
        videos = videos_table(self.videos)
        clips = clips_table(self.clips, videos)
        return Index(self.root, self.layout, videos, clips, self.absent)


def videos_table(rows: list[Row]) -> pd.DataFrame:
    """Completes, types and checks the table of videos."""
    videos = pd.DataFrame(rows, columns=list(VIDEOS.columns))
    for column in ("video_id", "subject", "split"):
        videos[column] = videos[column].astype(str)
    videos["fps"] = videos.fps.astype(float)
    for column in ("outcome", "width", "height", "frames"):
        videos[column] = videos[column].astype("Int64")
    return VIDEOS.validate(with_paths(videos))


def clips_table(rows: list[Row], videos: pd.DataFrame) -> pd.DataFrame:
    """Completes, types and checks the table of clips; subject and split come from `videos`."""
    clips = pd.DataFrame(rows, columns=list(CLIPS.columns))
    known = videos.set_index("video_id")
    for column in ("subject", "split"):
        clips[column] = clips.video_id.map(known[column]).astype(str)
    clips = clips.astype({"clip_id": str, "video_id": str, "start": int, "end": int})
    clips["label"] = clips.label.astype("Int64")
    return CLIPS.validate(with_paths(clips))


def with_paths(table: pd.DataFrame) -> pd.DataFrame:
    for column in ("video", "keypoints"):
        table[column] = table[column].astype(object).replace({np.nan: None})
    return table


def write_index(index: Index) -> Path:
    """Writes both tables, each whole or not at all, over those of an earlier look at this root.

    Returns:
        The folder that holds them.
    """
    folder = workspace() / "index" / index.key
    for name, table in (("videos", index.videos), ("clips", index.clips)):
        content = io.BytesIO()
        with_text_paths(table).to_parquet(content, index=False)
        write_atomically(folder / f"{name}.parquet", content.getvalue())
    return folder


def read_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The written videos and clips."""
    return pd.read_parquet(folder / "videos.parquet"), pd.read_parquet(folder / "clips.parquet")


def with_text_paths(table: pd.DataFrame) -> pd.DataFrame:
    texts = {
        column: table[column].map(str, na_action="ignore").astype("string")
        for column in ("video", "keypoints")
    }
    return table.assign(**texts)


def is_synthetic(data: str) -> bool:
    """Whether this package wrote the data that a notebook or command names."""
    return data == "synthetic" or (Path(data).expanduser() / "synthetic.json").exists()
