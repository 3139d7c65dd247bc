"""The index on disk: two tables that pandas, R or a database read without this package.

    <workspace>/index/<folder>-<hash of its path>/videos.parquet
    <workspace>/index/<folder>-<hash of its path>/clips.parquet

Paths are absolute and text.
"""

import io
from pathlib import Path

import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.workspace import workspace, write_atomically


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
