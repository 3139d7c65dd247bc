"""The written index equals the index: every row, every type, paths as text."""

import pandas as pd
import pytest

from imigue_lab.data.index import CLIPS, VIDEOS, read_tables, write_index
from imigue_lab.data.layouts.recognise import with_outcomes, with_people
from imigue_lab.data.workspace import workspace
from imigue_lab.errors import DataError


def test_written_tables_have_every_row_and_paths_as_text(index):
    folder = write_index(index)
    assert folder == workspace() / "index" / index.key
    for written, table in zip(read_tables(folder), (index.videos, index.clips), strict=True):
        same = [column for column in table if column not in ("video", "keypoints")]
        pd.testing.assert_frame_equal(written[same], table[same])
        assert written.video.isna().all()  # this set has no pictures
    keypoints = read_tables(folder)[0].keypoints
    assert keypoints.tolist() == [str(path) for path in index.videos.keypoints]


def test_writing_again_replaces_all_tables_and_leaves_nothing_else(index):
    for _ in range(2):
        folder = write_index(index)
    names = ["classes.csv", "clips.parquet", "videos.parquet"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_outcomes_of_another_csv_replace_those_of_the_tree(index, tmp_path):
    own = index.videos.outcome.tolist()
    (tmp_path / "labels.csv").write_text("video_id,label\n0001,0\n0002,1\n")
    other = with_outcomes(index, str(tmp_path / "labels.csv")).videos.set_index("video_id").outcome
    assert other[["0001", "0002"]].tolist() == [0, 1]
    assert other.drop(["0001", "0002"]).isna().all()
    assert index.videos.outcome.tolist() == own
    assert with_outcomes(index, "") is index


def test_subjects_of_another_csv_replace_those_of_the_tree(index, tmp_path):
    file = tmp_path / "people.csv"
    file.write_text("video_id,subject,note\n0001,anna,x\n0002,anna,\n0003,,\n")
    other = with_people(index, str(file))
    for table in (other.videos, other.clips):
        own = table.video_id.isin(["0001", "0002"])
        assert (table.subject[own] == "anna").all() and table.subject[~own].isna().all()
    VIDEOS.validate(other.videos)
    CLIPS.validate(other.clips)
    assert with_people(index, "") is index


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("video_id,subject\n0001,anna\nnobody,ben\n", "expected subjects of videos in .*nobody"),
        ("video_id,subject\n0001,anna\n0001,ben\n", "expected unique ids, got duplicates: 0001"),
        ("video_id,person\n0001,anna\n", "expected the columns video_id, subject, got video_id, "),
        ("video_id,subject\n0001\n", "people.csv:2: expected 2 cells, got 1"),
        (None, "people.csv: no such file; name the CSV of video_id,subject"),
    ],
)
def test_a_faulty_csv_of_subjects_is_refused(index, tmp_path, text, complaint):
    if text is not None:
        (tmp_path / "people.csv").write_text(text)
    with pytest.raises(DataError, match=complaint):
        with_people(index, str(tmp_path / "people.csv"))
