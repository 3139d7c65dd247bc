"""The index of a data root: a table of videos, a table of clips, and what is missing.

`write_index` stores both tables in a form that pandas, R or a database reads without this package;
paths are absolute and text; a label is the number of its row in classes.csv, from 0:

    <workspace>/index/<folder>-<hash of its path>/{videos.parquet,clips.parquet,classes.csv}
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from imigue_lab.data.vocabulary import Vocabulary, builtin, code_outcomes
from imigue_lab.data.workspace import short_hash, workspace, write_atomically
from imigue_lab.errors import some

SPLITS = ("train", "validation", "test")
SYNTHETIC = ("synthetic", "synthetic-long")  # names of data that are generated on first use
MARKER = "synthetic.json"  # in the root of synthetic data: the arguments of the generator
PATHS = ("video", "keypoints")  # columns

VIDEOS = pa.DataFrameSchema(
    {
        "video_id": pa.Column(str, unique=True),
        "subject": pa.Column(str, nullable=True),
        "split": pa.Column(str, pa.Check.isin(SPLITS), nullable=True),
        "outcome": pa.Column("Int64", pa.Check.ge(0), nullable=True),
        "fps": pa.Column(float, nullable=True),
        **{name: pa.Column("Int64", nullable=True) for name in ("width", "height", "frames")},
        **{name: pa.Column(object, nullable=True) for name in PATHS},
    },
    strict=True,
    coerce=True,
)
CLIPS = pa.DataFrameSchema(
    {
        "clip_id": pa.Column(str, unique=True),
        "video_id": pa.Column(str),
        "subject": pa.Column(str, nullable=True),
        "split": pa.Column(str, pa.Check.isin(SPLITS), nullable=True),
        "start": pa.Column(int, pa.Check.ge(0)),
        "end": pa.Column(int, pa.Check.ge(0)),
        "label": pa.Column("Int64", pa.Check.ge(0), nullable=True),
        **{name: pa.Column(object, nullable=True) for name in PATHS},
    },
    strict=True,
    coerce=True,
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Index:
    """The contents of a data root.

    Videos have video_id, subject, split, outcome (place in `vocabulary.outcomes`), fps, width,
    height, frames, and the paths `video` and `keypoints`; null where the layout does not provide a
    value. Clips have clip_id, video_id, subject, split, start, end (frames of the video from 0, end
    inclusive), label (place of the class in the vocabulary; null where a test split hides it), and
    the paths `video` and `keypoints` of files with this clip alone, null in most layouts.
    """

    root: Path
    layout: str  # `full`, `miga` or `plain`
    videos: pd.DataFrame
    clips: pd.DataFrame
    absent: list[str] = field(default_factory=list)  # what the tree lacks and what was left out
    richer: dict[str, Path] = field(default_factory=dict)  # by video: a second file of more joints
    remarks: list[str] = field(default_factory=list)  # on its splits, for a reader of the scores
    vocabulary: Vocabulary = field(default_factory=lambda: builtin("imigue"))
    keypoints: str = ""  # of a run's data: the layout it names, for files that do not name theirs

    @property
    def key(self) -> str:
        """The name of this root in the feature store: `<folder>-<8 hex of its resolved path>`."""
        return f"{self.root.name}-{short_hash(self.root)}"

    @property
    def synthetic(self) -> bool:
        return is_synthetic(str(self.root))


@dataclass(frozen=True)
class Problem:
    """A row or file that cannot be used: where it is, what is wrong, and what to do.

    The kind is that of the data check's finding, such as `unknown class`.
    """

    kind: str
    file: Path
    row: int | None  # line number as in an editor, from 1; None for the whole file
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.place(self.file)}: {self.what}; {self.advice}"

    def place(self, name: Path | str) -> str:
        """The row in a file that is shown by this name."""
        return f"{name}" if self.row is None else f"{name}:{self.row}"


@dataclass
class Survey:
    """The contents of a root with every problem, before anything is refused.

    Rows with a problem are in `problems` and not in the tables. `videos` and `clips` have columns
    of the index; a column that a row lacks is null, and an outcome is the text of the data. Clips
    take subject and split from their video.
    `in_train_too` are validation videos with a second copy in train, which is left out.
    """

    root: Path
    layout: str
    videos: list[Row] = field(default_factory=list)
    clips: list[Row] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    in_train_too: list[str] = field(default_factory=list)
    vocabulary: Vocabulary = field(default_factory=lambda: builtin("imigue"))

    def report(self, kind: str, file: Path, row: int | None, what: str, advice: str) -> None:
        self.problems.append(Problem(kind, file, row, what, advice))

    def note(self, what: str, names: Iterable[object]) -> None:
        """Adds what is absent or left out, and of which; nothing if there is none."""
        if shown := some(names):
            self.absent.append(f"{what} {shown}")

    def to_index(self) -> Index:
        """The index of what can be used."""
        outcomes, coded = code_outcomes(row.get("outcome") for row in self.videos)
        rows = [row | {"outcome": own} for row, own in zip(self.videos, coded, strict=True)]
        videos = videos_table(rows)
        clips = clips_table(self.clips, videos, len(self.vocabulary))
        richer = {row["video_id"]: row["richer"] for row in self.videos if row.get("richer")}
        named = replace(self.vocabulary, outcomes=outcomes)
        return Index(self.root, self.layout, videos, clips, self.absent, richer, vocabulary=named)


def videos_table(rows: list[Row]) -> pd.DataFrame:
    """Completes, types and checks the table of videos."""
    return VIDEOS.validate(completed(rows, VIDEOS))


def clips_table(rows: list[Row], videos: pd.DataFrame, classes: int) -> pd.DataFrame:
    """Completes, types and checks the table of clips; subject and split come from `videos`."""
    clips, own = completed(rows, CLIPS), videos.set_index("video_id")
    for column in ("subject", "split"):
        clips[column] = clips.video_id.map(own[column])
    return CLIPS.update_column("label", checks=pa.Check.isin(range(classes))).validate(clips)


def completed(rows: list[Row], schema: pa.DataFrameSchema) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(schema.columns))
    return table.assign(**{n: table[n].astype(object).replace({np.nan: None}) for n in PATHS})


def write_index(index: Index) -> Path:
    """Writes both tables atomically and returns their folder; an earlier version is replaced."""
    folder = workspace() / "index" / index.key
    write_atomically(folder / "classes.csv", index.vocabulary.to_csv())
    for name, table in (("videos", index.videos), ("clips", index.clips)):
        texts = {c: table[c].map(str, na_action="ignore").astype("string") for c in PATHS}
        write_atomically(folder / f"{name}.parquet", table.assign(**texts).to_parquet(index=False))
    return folder


def read_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The videos and clips that `write_index` stored."""
    return pd.read_parquet(folder / "videos.parquet"), pd.read_parquet(folder / "clips.parquet")


def is_synthetic(data: str) -> bool:
    """Whether `data` names data that this package generated: `SYNTHETIC`, or such a root."""
    return data in SYNTHETIC or (Path(data).expanduser() / MARKER).exists()
