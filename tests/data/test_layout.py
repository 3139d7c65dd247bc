"""The index: what a MiGA tree and a plain folder hold, and what is refused."""

import pandas as pd
import pytest

from imigue_lab.data.layout import read_index
from imigue_lab.data.synthetic.story import MadeUp, plan
from imigue_lab.errors import DataError


def test_the_index_of_a_tree_holds_every_video_as_it_was_planned(index):
    planned = {i.video_id: i for i in plan(MadeUp(videos=32, pictures=False))}
    assert set(index.videos.video_id) == set(planned)
    for row in index.videos.itertuples():
        interview = planned[row.video_id]
        assert (row.subject, row.split, row.outcome) == (
            interview.subject,
            interview.split,
            interview.outcome,
        )


def test_clips_have_ids_by_row_and_the_planned_frames_and_classes(index):
    interview = plan(MadeUp(videos=32, pictures=False))[3]
    clips = index.clips[index.clips.video_id == "0004"]
    assert clips.clip_id.tolist() == [f"0004_{row}" for row in range(len(clips))]
    told = list(zip(clips.start, clips.end, clips.label, strict=True))
    assert told == [(g.start, g.end, g.label) for g in interview.gestures]


def test_a_tree_without_videos_says_so_and_works(index):
    assert index.layout == "miga"
    assert index.videos.video.isna().all()
    assert "no video file for 0001" in " ".join(index.absent)


def test_own_data_need_one_csv(plain):
    index = read_index(plain())
    assert index.layout == "plain"
    assert index.videos.outcome.tolist() == [1, 0] * 5
    assert index.videos.subject.tolist()[:3] == ["s0", "s0", "s1"]


def test_outcomes_can_come_from_a_csv_with_columns_of_any_name(plain):
    root = plain()
    labels = root / "mine.csv"
    labels.write_text("name,result\nv0,Lose\nv1,WIN\n")
    index = read_index(root, f"{labels}:name,result")
    assert index.videos.outcome.tolist()[:2] == [0, 1]
    assert index.videos.outcome.isna().sum() == 8


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (("v0", "train", "draw", "s0"), r"row 3: outcome 'draw' is neither win nor lose"),
        (("v0", "traim", "win", "s0"), r"row 3: split 'traim' is not one of train"),
        (("../v0", "train", "win", "s0"), r"row 3: '\.\./v0' cannot be an id"),
        (("v9", "train", "win", "s0"), r"stand there twice: v9"),
    ],
)
def test_a_faulty_row_is_refused_by_file_and_row(tmp_path, row, complaint):
    rows = [("v9", "train", "lose", "s1"), row]
    table = pd.DataFrame(rows, columns=["video_id", "split", "outcome", "subject"])
    table.to_csv(tmp_path / "videos.csv", index=False)
    with pytest.raises(DataError, match=complaint) as caught:
        read_index(tmp_path)
    assert "videos.csv" in str(caught.value)


def test_a_missing_column_is_named(tmp_path):
    (tmp_path / "videos.csv").write_text("video_id,outcome\nv0,win\n")
    with pytest.raises(DataError, match="lacks split; add"):
        read_index(tmp_path)


def test_an_unknown_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"neither videos\.csv nor"):
        read_index(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_index(tmp_path / "nowhere")


def test_labels_of_videos_that_are_not_there_are_refused(plain):
    root = plain()
    (root / "labels.csv").write_text("video_id,label\nv0,1\nv77,0\n")
    with pytest.raises(DataError, match="does not hold: v77"):
        read_index(root, str(root / "labels.csv"))


def test_a_faulty_clip_is_refused_by_file_and_row(tmp_path):
    folder = tmp_path / "imigue_skeleton_train" / "0001"
    folder.mkdir(parents=True)
    (folder / "0001_label.csv").write_text("1,0,10\n55,20,30\n")
    with pytest.raises(DataError, match=r"0001_label\.csv, row 2: .*class 55"):
        read_index(tmp_path)
