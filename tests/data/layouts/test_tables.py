"""Tables as spreadsheet programs write them: separators, decimals, lost zeros, encodings."""

import numpy as np
import pytest

from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.recognise import read_index, survey_root
from imigue_lab.data.layouts.tables import read_label_file, read_table, restore_zeros
from imigue_lab.data.videos.video import write_video
from imigue_lab.errors import DataError

FORMS = {
    "commas": ("video_id,split\n0001,train\n\n0002,test\n", "utf-8"),
    "semicolons": ("video_id;split\r\n0001;train\r\n0002;test\r\n", "utf-8-sig"),
    "tabs in UTF-16": ("video_id\tsplit\n0001\ttrain\n0002\ttest\n", "utf-16"),
    "a western code page": ("video_id;split;who\n0001;train;Zoë\n0002;test;José\n", "cp1252"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_read_in_the_form_that_a_spreadsheet_program_gives_it(tmp_path, form):
    text, encoding = FORMS[form]
    (tmp_path / "videos.csv").write_bytes(text.encode(encoding))
    survey = Survey(tmp_path, "plain")
    table = read_table(tmp_path / "videos.csv", ["video_id", "split"], survey)
    assert survey.problems == []
    assert table[["video_id", "split"]].values.tolist() == [["0001", "train"], ["0002", "test"]]
    if "who" in table:
        assert table.who.tolist() == ["Zoë", "José"]


@pytest.mark.parametrize(
    "text",
    [
        "7.0,0.0,39.0\n99.0,40.0,89.0\n",
        "class,start,end\n7,0,39\n99,40,89\n",
        '"start_frame";"end_frame";"class"\n0;39;7\n40,0;89,0;99,0\n',
        "first\tlast\tlabel\n0\t39\t7\n40\t89\t99\n",
    ],
)
def test_label_files_with_decimals_a_header_or_another_separator_are_the_same_clips(tmp_path, text):
    (tmp_path / "0001_label.csv").write_text(text)
    survey = Survey(tmp_path, "miga")
    clips = read_label_file(tmp_path / "0001_label.csv", False, survey)
    assert survey.problems == [] and list(clips) == [0, 1]
    assert [(c["start"], c["end"], c["label"]) for c in clips.values()] == [
        (0, 39, 6),
        (40, 89, 31),
    ]


def test_a_first_row_that_is_neither_numbers_nor_a_header_is_a_problem(tmp_path):
    (tmp_path / "0001_label.csv").write_text("nan,x,y\n7,0.5,39\n7,0,9\n")
    survey = Survey(tmp_path, "miga")
    clips = read_label_file(tmp_path / "0001_label.csv", False, survey)
    assert list(clips) == [2] and [problem.row for problem in survey.problems] == [1, 2]


def test_zeros_are_restored_where_one_id_fits_and_only_there():
    known = ["0001", "0002", "012", "0012", "a1"]
    assert restore_zeros(["1", "2.0", "12", "a01"], known) == {"1": "0001", "2.0": "0002"}
    assert restore_zeros(["1", "01"], known) == {} and restore_zeros(["1", "0001"], known) == {}


def film(path):
    path.parent.mkdir(exist_ok=True)
    write_video(path, np.zeros((3, 32, 32, 3), np.uint8), 25)


def test_ids_that_lost_their_zeros_find_their_files_with_a_remark(tmp_path):
    for name in ("0001.mp4", "0002.Mp4", "03.mp4", "003.mp4", "0009.mp4"):
        film(tmp_path / "videos" / name)
    (tmp_path / "videos.csv").write_text("video_id;split\n1;train\n2;train\n3;test\n")
    (tmp_path / "clips.csv").write_text("clip_id,video_id,start,end,class\na,0001,0,2,3\n")
    (tmp_path / "people.csv").write_text("video_id,subject\n01,Ann\n02,Ben\n")
    index = read_index(tmp_path, subjects=str(tmp_path / "people.csv"))
    names = [path and path.name for path in index.videos.video]
    assert names == ["0001.mp4", "0002.Mp4", None]
    assert index.videos.frames.tolist()[:2] == [3, 3]
    assert index.clips.video_id.tolist() == ["1"] and index.clips.subject.tolist() == ["Ann"]
    for line in (
        "videos.csv lacks leading zeros of file names: 1 is 0001, 2 is 0002",
        "videos.csv names videos without a video file: 3",
        "videos.csv does not name these video files: 0009.mp4, 003.mp4, 03.mp4",
        "clips.csv lacks leading zeros, added to 0001",
    ):
        assert line in index.absent


def test_outcomes_of_ids_without_their_zeros_are_found_in_a_challenge_tree(tmp_path):
    folder = tmp_path / "imigue_skeleton_train" / "0054"
    folder.mkdir(parents=True)
    (folder / "0054_label.CSV").write_text("7,0,39\n")
    (tmp_path / "emotion_labels.csv").write_text("video_id;label\n54;win\n")
    index = read_index(tmp_path)
    assert index.videos.outcome.tolist() == [1]
    assert "emotion_labels.csv lacks leading zeros, added to 54" in index.absent


def test_an_id_that_is_too_long_for_a_file_is_refused(tmp_path):
    (tmp_path / "videos.csv").write_text(f"video_id,split\n{'a' * 300},train\n")
    with pytest.raises(DataError, match="expected an id of up to 200 letters") as refused:
        read_index(tmp_path)
    assert len(str(refused.value)) < 400
    assert survey_root(tmp_path).videos == []
