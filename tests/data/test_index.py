"""The written index equals the index: every row, every type, paths as text."""

import pandas as pd

from imigue_lab.data.index import read_tables, write_index
from imigue_lab.data.layouts.recognise import with_outcomes
from imigue_lab.data.workspace import workspace


def test_written_tables_have_every_row_and_paths_as_text(index):
    folder = write_index(index)
    assert folder == workspace() / "index" / index.key
    for written, table in zip(read_tables(folder), (index.videos, index.clips), strict=True):
        same = [column for column in table if column not in ("video", "keypoints")]
        pd.testing.assert_frame_equal(written[same], table[same])
        assert written.video.isna().all()  # this set has no pictures
    keypoints = read_tables(folder)[0].keypoints
    assert keypoints.tolist() == [str(path) for path in index.videos.keypoints]


def test_writing_again_replaces_both_tables_and_leaves_nothing_else(index):
    for _ in range(2):
        folder = write_index(index)
    assert sorted(path.name for path in folder.iterdir()) == ["clips.parquet", "videos.parquet"]


def test_outcomes_of_another_csv_replace_those_of_the_tree(index, tmp_path):
    own = index.videos.outcome.tolist()
    (tmp_path / "labels.csv").write_text("video_id,label\n0001,0\n0002,1\n")
    other = with_outcomes(index, str(tmp_path / "labels.csv")).videos.set_index("video_id").outcome
    assert other[["0001", "0002"]].tolist() == [0, 1]
    assert other.drop(["0001", "0002"]).isna().all()
    assert index.videos.outcome.tolist() == own
    assert with_outcomes(index, "") is index
