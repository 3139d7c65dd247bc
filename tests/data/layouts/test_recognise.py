"""The index of trees of any nesting and of a plain folder, and what is refused."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.checks.root import check_root
from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.recognise import read_index, survey_root
from imigue_lab.data.layouts.tables import read_label_file
from imigue_lab.data.synthetic.story import SyntheticSpec, plan
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.videos.video import write_video
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError


def test_the_index_of_a_tree_has_every_video_as_planned(index):
    planned = {i.video_id: i for i in plan(SyntheticSpec(videos=32, pictures=False))}
    assert set(index.videos.video_id) == set(planned)
    for row in index.videos.itertuples():
        interview = planned[row.video_id]
        assert (row.subject, row.split, row.outcome) == (
            interview.subject,
            interview.split,
            interview.outcome,
        )


def test_clips_have_ids_by_row_and_the_planned_frames_and_classes(index):
    interview = plan(SyntheticSpec(videos=32, pictures=False))[3]
    clips = index.clips[index.clips.video_id == "0004"]
    assert clips.clip_id.tolist() == [f"0004_{row}" for row in range(len(clips))]
    read = list(zip(clips.start, clips.end, clips.label, strict=True))
    assert read == [(g.start, g.end, g.label) for g in interview.gestures]


def test_a_tree_without_videos_is_read_and_lists_them(index):
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
        (("v0", "traim", "win", "s0"), r":3: expected train, validation, test, got 'traim'"),
        (
            ("../v0", "train", "win", "s0"),
            r":3: expected an id of .*, got '\.\./v0'",
        ),
        (("v9", "train", "win", "s0"), r"expected unique ids, got duplicates: v9"),
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
    with pytest.raises(
        DataError, match="expected the columns video_id, split, got video_id, outcome; add split"
    ):
        read_index(tmp_path)


def test_an_unknown_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected videos\.csv, or"):
        read_index(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_index(tmp_path / "nowhere")


def test_labels_of_videos_that_are_not_there_are_refused(plain):
    root = plain()
    (root / "labels.csv").write_text("video_id,label\nv0,1\nv77,0\n")
    with pytest.raises(DataError, match=r"expected labels of videos in .*, got v77; remove"):
        read_index(root, str(root / "labels.csv"))


def test_a_faulty_clip_is_refused_by_file_and_row(tmp_path):
    folder = tmp_path / "imigue_skeleton_train" / "0001"
    folder.mkdir(parents=True)
    (folder / "0001_label.csv").write_text("1,0,10\n55,20,30\n")
    with pytest.raises(DataError, match=r"0001_label\.csv:2: expected a class of .*, got '55'"):
        read_index(tmp_path)


SMALL = {"videos": 4, "size": "full", "pictures": False}


def label(root, place, rows="1,0,10\n"):
    """Writes the label file of the video that `place` ends with."""
    folder = root / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{folder.name}_label.csv").write_text(rows)


@pytest.mark.parametrize(
    ("place", "split"),
    [
        ("imigue_data_phase1/datasets/imigue_skeleton_train/0001", "train"),
        ("phase1/imigue_skeleton_validate/0001", "validation"),
        ("download/a/imigue_data_phase2/datasets/imigue_skeleton_test/0001", "test"),
        ("imigue_skeleton_train/0001", "train"),
        ("train/0001", "train"),
        ("val/0001", "validation"),
        ("validation_data/0001", "validation"),
        ("imigue_rgb_phase2/0001", "test"),
        ("training notes/0001", None),
    ],
)
def test_the_split_is_the_innermost_folder_that_names_one(tmp_path, place, split):
    label(tmp_path, place)
    videos = read_index(tmp_path).videos
    assert videos.split.astype(object).where(videos.split.notna(), None).tolist() == [split]


def test_a_split_folder_alone_is_a_partial_copy(tmp_path):
    make_data(tmp_path / "tree", SyntheticSpec(**SMALL))
    part = tmp_path / "tree/imigue_data_phase1/datasets/imigue_skeleton_train"
    index = read_index(part)
    assert set(index.videos.split) == {"train"}
    assert "no validation split" in index.absent
    assert "no test split" in index.absent
    assert index.absent[0].startswith("no emotion_labels.csv")


def test_video_folders_next_to_train_without_a_split_are_the_test_split(tmp_path):
    for place in ("train/0001", "val/0002", "0003"):
        label(tmp_path, place)
    index = read_index(tmp_path)
    assert index.videos.split.tolist() == ["train", "validation", "test"]
    assert "not in the folder of a split, used as test: 0003" in index.absent


def test_validation_inside_train_counts_once_as_validation(tmp_path):
    label(tmp_path, "imigue_skeleton_train/0001", "1,0,10\n")
    label(tmp_path, "imigue_skeleton_train/0002", "2,0,10\n")
    label(tmp_path, "imigue_skeleton_validate/0002", "3,0,10\n")
    index = read_index(tmp_path)
    assert index.videos.split.tolist() == ["train", "validation"]
    assert index.clips.label.tolist() == [0, 2]
    assert any("are also in train and left out there: 0002" in line for line in index.absent)


def test_a_video_in_train_and_in_test_is_refused(tmp_path):
    label(tmp_path, "imigue_skeleton_train/0001")
    label(tmp_path, "imigue_skeleton_test/0001")
    with pytest.raises(DataError, match="video 0001 is in test and train; keep it in one"):
        read_index(tmp_path)


def test_a_label_file_that_exists_twice_is_refused(tmp_path):
    label(tmp_path, "datasets/imigue_skeleton_train/0001")
    label(tmp_path, "imigue_skeleton_train/0001")
    with pytest.raises(DataError, match=r"0001_label\.csv: the same file exists at .*; keep one"):
        read_index(tmp_path)


def test_files_of_unknown_names_are_listed_and_hidden_ones_are_skipped(tmp_path):
    label(tmp_path, "imigue_skeleton_train/0001")
    (tmp_path / "imigue_skeleton_train/0001/take two.mp4").write_bytes(b"")
    (tmp_path / "imigue_skeleton_train/0001/._0001_label.csv").write_bytes(b"\x00\x05")
    index = read_index(tmp_path)
    assert [line for line in index.absent if "take two.mp4" in line]
    assert len(index.clips) == 1


def test_a_folder_of_videos_without_a_table_is_read_by_file_name(tmp_path):
    frames = np.zeros((3, 32, 32, 3), np.uint8)
    (tmp_path / "monday").mkdir()
    write_video(tmp_path / "match point.mp4", frames, 25)
    write_video(tmp_path / "monday" / "interview.mp4", frames, 25)
    index = read_index(tmp_path)
    assert index.videos.video_id.tolist() == ["interview", "match point"]
    assert index.videos.frames.tolist() == [3, 3]
    assert index.videos.split.isna().all()
    assert check_root(tmp_path).usable
    write_video(tmp_path / "monday" / "match point.mp4", frames, 25)
    with pytest.raises(
        DataError, match=r"match point\.mp4: expected unique file names, got the same at"
    ):
        read_index(tmp_path)


def test_a_loop_of_links_is_followed_once(tmp_path):
    label(tmp_path, "imigue_skeleton_train/0001")
    (tmp_path / "imigue_skeleton_train/again").symlink_to(tmp_path)
    assert len(read_index(tmp_path).videos) == 1


def test_a_hidden_class_of_the_test_split_is_null_and_elsewhere_refused(tmp_path):
    label(tmp_path, "imigue_skeleton_test/0003", "0,5,9\n-1,12,20\n")
    index = read_index(tmp_path)
    assert index.clips.label.isna().all()
    assert index.clips.start.tolist() == [5, 12]
    label(tmp_path, "imigue_skeleton_train/0001", "0,5,9\n")
    with pytest.raises(DataError, match=r":1: expected a class of 1 to 31 or 99, got '0'"):
        read_index(tmp_path)


def test_every_problem_is_collected_and_the_valid_rows_are_kept(tmp_path):
    label(tmp_path, "imigue_skeleton_train/0001", "1,0,10\n55,20,30\n\n2,9,4\n3,a,4\n1,2\n7,50,50")
    survey = survey_root(tmp_path)
    assert [(p.kind, p.row) for p in survey.problems] == [
        ("unknown class", 2),
        ("reversed range", 4),
        ("reversed range", 5),
        ("unreadable", 6),
    ]
    clips = survey.to_index().clips
    assert clips.clip_id.tolist() == [
        "0001_0",
        "0001_5",
    ]  # rows without blank lines
    assert clips.end.tolist() == [10, 50]
    with pytest.raises(DataError, match=r":2: expected a class .* \(3 more problems after this"):
        read_index(tmp_path)


def test_a_label_file_is_read_with_any_line_ends(tmp_path):
    path = tmp_path / "0001_label.csv"
    path.write_bytes(b"\xef\xbb\xbf1,0,10\r\n99, 20 ,30\r\n")
    survey = Survey(tmp_path, "miga")
    clips = read_label_file(path, False, survey)
    assert not survey.problems
    assert clips == {
        0: {"start": 0, "end": 10, "label": 0},
        1: {"start": 20, "end": 30, "label": 31},
    }


def test_no_label_file_causes_a_traceback(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "0001_label.csv"
    letters = list('0123456789,,,,\n\n-+. "\x00\ré٣')
    for _ in range(500):
        text = "".join(rng.choice(letters, size=rng.integers(0, 40)))
        path.write_text(text, newline="")
        survey = Survey(tmp_path, "miga")
        clips = read_label_file(path, False, survey)
        written = [line for line in path.read_text().split("\n") if line.strip()]
        assert len(clips) + len(survey.problems) == len(written)
        assert all(0 <= clip["start"] <= clip["end"] for clip in clips.values())
    path.write_bytes(b"\xff\xfe1,2")
    survey = Survey(tmp_path, "miga")
    assert not read_label_file(path, False, survey)
    assert [problem.kind for problem in survey.problems] == ["unreadable"]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    root = tmp_path_factory.mktemp("distribution") / "full"
    make_data(root, SyntheticSpec(**SMALL, layout="full"))
    return root


@pytest.fixture
def full(untouched, tmp_path):
    """A copy of a full distribution that the test may damage."""
    return shutil.copytree(untouched, tmp_path / "full")


def labels_of(root):
    path = root / "Label" / "labels_20200831.csv"
    return path, pd.read_csv(path, dtype=str)


def test_the_full_label_file_is_read_without_leading_zeros_too(full):
    before = read_index(full)
    path, table = labels_of(full)
    table["video_id"] = table.video_id.astype(int).astype(str)
    table.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_index(full).clips, before.clips)


@pytest.mark.parametrize(
    ("row", "column", "value", "complaint"),
    [
        (
            0,
            "video_id",
            "../../etc",
            r":2: expected a video id .*, got '\.\./\.\./etc'",
        ),
        (1, "win_or_lose", "draw", ":3: expected the outcome win or lose, got 'draw'"),
        (1, "subject_id", "s99", ":3: expected subject s01 of video 0001 as above, got s99"),
        (2, "class", "32", ":4: expected a class of 1 to 31 or 99, got '32'"),
        (2, "end_frame", "0", ":4: expected an end from the start .* on, got 0"),
        (2, "start_frame", "", ":4: expected integer frame numbers, got '' to"),
    ],
)
def test_a_faulty_row_of_the_full_label_file_is_refused(full, row, column, value, complaint):
    path, table = labels_of(full)
    table.loc[row, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match=complaint) as caught:
        read_index(full)
    assert "labels_20200831.csv" in str(caught.value)


def test_clip_files_that_count_from_one_are_recognised(full):
    before = read_index(full).clips
    for folder in (full / "mg_skeleton_only").iterdir():
        for row in reversed(range(len(list(folder.iterdir())))):
            file = folder / f"{folder.name}_{row}.xlsx"
            file.rename(file.with_stem(f"{folder.name}_{row + 1}"))
    index = read_index(full)
    assert any("count from 1, rows from 0" in line for line in index.absent)
    for old, new in zip(before.keypoints, index.clips.keypoints, strict=True):
        assert int(new.stem[5:]) == int(old.stem[5:]) + 1


def test_clips_without_a_file_and_files_without_a_clip_are_listed(full):
    folder = full / "mg_skeleton_only" / "0002"
    (folder / "0002_3.xlsx").rename(folder / "0002_777.xlsx")
    index = read_index(full)
    assert "files that belong to no labelled clip: 0002_777.xlsx" in index.absent
    assert "no keypoints file for the clips 0002_3" in index.absent
    assert index.clips.set_index("clip_id").keypoints["0002_3"] is None


def test_a_partial_full_distribution_is_read(full):
    shutil.rmtree(full / "mg_skeleton_only")
    index = read_index(full)
    assert len(index.clips) > 100
    assert set(index.videos.split) == {"train", "validation", "test"}
    assert any(line.startswith("labelled videos without any file: 0001") for line in index.absent)


def test_spreadsheets_alone_are_videos_without_labels(full):
    shutil.rmtree(full / "Label")
    index = read_index(full)
    assert index.layout == "full"
    assert len(index.videos) == 4
    assert len(index.clips) == 0
    assert any("no labels_<date>.csv" in line for line in index.absent)


def test_label_files_of_single_videos_in_a_full_distribution_are_listed_as_unread(full):
    label(full, "imigue_skeleton_train/0001")
    index = read_index(full)
    assert index.layout == "full"
    assert "the label files of single videos are not read: 0001_label.csv" in index.absent


def test_spreadsheets_of_clips_are_attached_to_the_clips_of_label_files(tmp_path):
    label(tmp_path, "imigue_skeleton_train/0001", "1,0,10\n2,20,30\n")
    (tmp_path / "imigue_skeleton_train/0001/0001_1.xlsx").write_bytes(b"")
    index = read_index(tmp_path)
    assert index.layout == "miga"
    assert [p.name if p else None for p in index.clips.keypoints] == [None, "0001_1.xlsx"]


def test_own_clips_and_keypoints_are_in_the_index(plain):
    root = plain()
    (root / "clips.csv").write_text("clip_id,video_id,start,end,class\na,v0,0,9,5\nb,v9,3,3,99\n")
    (root / "classes.csv").write_text(builtin("imigue").to_csv())
    (root / "keypoints" / "v1").mkdir(parents=True)
    np.save(root / "keypoints" / "v0.npy", np.zeros((10, 20, 3), dtype=np.float32))
    index = read_index(root)
    columns = ["clip_id", "video_id", "subject", "split", "start", "end", "label"]
    assert index.clips[columns].to_numpy().tolist() == [
        ["a", "v0", "s0", "train", 0, 9, 4],
        ["b", "v9", "s4", "test", 3, 3, 31],
    ]
    assert [p.name if p else None for p in index.videos.keypoints[:3]] == ["v0.npy", "v1", None]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("../x,v0,0,9,5", r":2: expected an id of .*, got '\.\./x'"),
        ("a,../v0,0,9,5", ":2: expected a video of videos.csv for clip a, got '../v0'"),
        ("a,v0,0,9", ":2: expected 5 cells, got 4"),
        ("a,v0,-1,9,5", ":2: expected a first frame from 0 on, got -1"),
        ("a,v0,0,9.5,5", ":2: expected integer frame numbers, got '0' to '9.5'"),
        ("a,v0,0,9,0", ":2: expected a class of 1 to 31 or 99, got '0'"),
    ],
)
def test_a_faulty_row_of_own_clips_is_refused(plain, row, complaint):
    root = plain()
    (root / "clips.csv").write_text(f"clip_id,video_id,start,end,class\n{row}\n")
    (root / "classes.csv").write_text(builtin("imigue").to_csv())
    with pytest.raises(DataError, match=complaint) as caught:
        read_index(root)
    assert "clips.csv" in str(caught.value)


@pytest.mark.shared
def test_real_videos_are_indexed_with_their_frames(shared, tmp_path):
    (tmp_path / "videos").symlink_to(shared / "data" / "video")
    names = [path.stem for path in sorted((shared / "data" / "video").glob("*.mp4"))]
    rows = "".join(f"{name},test\n" for name in names)
    (tmp_path / "videos.csv").write_text(f"video_id,split\n{rows}")
    videos = read_index(tmp_path).videos.set_index("video_id")
    read = {
        name: (videos.width[name], videos.height[name], videos.frames[name])
        for name in ("carphone_pristine", "signer", "speaker_on_stage", "street_crowd")
    }
    assert read == {
        "carphone_pristine": (176, 144, 120),
        "signer": (540, 720, 58),
        "speaker_on_stage": (640, 360, 275),
        "street_crowd": (1920, 1080, 105),
    }
    assert videos.fps["speaker_on_stage"] == pytest.approx(30, abs=0.05)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "clips"), [("msraction3d", 557), ("utkinect", 199)])
def test_other_data_sets_are_read_through_the_plain_layout(shared, tmp_path, name, clips):
    with np.load(shared / "data" / "skeleton" / f"{name}.npz") as file:
        stored = {key: file[key] for key in ("x", "ids", "lengths", "split", "subject", "y")}
    (tmp_path / "keypoints").mkdir()
    videos, rows = ["video_id,split,subject"], ["clip_id,video_id,start,end,class"]
    for number in range(clips):
        item, length = stored["ids"][number], stored["lengths"][number]
        videos.append(f"{item},{stored['split'][number]},{stored['subject'][number]}")
        rows.append(f"{item}_0,{item},0,{length - 1},{stored['y'][number] + 1}")
    item = stored["ids"][0]
    np.save(tmp_path / "keypoints" / f"{item}.npy", stored["x"][0, : stored["lengths"][0]])
    (tmp_path / "videos.csv").write_text("\n".join(videos))
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    index = read_index(tmp_path)
    assert len(index.clips) == clips
    assert index.clips.label.tolist() == stored["y"].tolist()
    assert (index.clips.end + 1).tolist() == stored["lengths"].tolist()
    assert index.videos.subject.nunique() == 10
    assert len(np.load(index.videos.keypoints[0])) == index.clips.end[0] + 1


def test_a_folder_that_may_not_be_read_is_an_error_and_not_left_out(tmp_path, monkeypatch):
    make_data(tmp_path / "tree", SyntheticSpec(videos=4, pictures=False))
    closed = tmp_path / "tree" / "imigue_data_phase1"
    assert closed.is_dir()
    listed = os.scandir

    def scandir(folder="."):
        if str(folder) == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(closed))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    complaint = rf"{closed}: .* got Permission denied; give yourself permission \(chmod"
    with pytest.raises(DataError, match=complaint):
        read_index(tmp_path / "tree")


def test_a_plain_root_that_may_not_be_read_is_an_error_too(tmp_path, monkeypatch):
    def iterdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(DataError, match=rf"{tmp_path}: .* got Permission denied; give yourself"):
        survey_root(tmp_path)


@pytest.mark.parametrize("ending", [".MP4", ".m4v", ".MTS", ".ts", ".mkv"])
def test_every_part_of_the_program_accepts_the_same_endings(tmp_path, ending):
    picture = np.zeros((4, 32, 32, 3), np.uint8)
    write_video(tmp_path / "film.mp4", picture, 30)
    for name in ("plain/videos/a", "folder/one", "miga/train/0001/0001", "miga/val/0002/0002_3"):
        path = tmp_path / f"{name}{ending}"
        path.parent.mkdir(parents=True)
        shutil.copy(tmp_path / "film.mp4", path)
    rows = "video_id,split\na,train\nb,train\n"
    (tmp_path / "plain" / "videos.csv").write_text(rows)
    (tmp_path / "miga" / "train" / "0001" / "0001_label.csv").write_text("class,start,end\n")
    plain, folder, miga = (survey_root(tmp_path / n) for n in ("plain", "folder", "miga"))
    assert [row["video"] is not None for row in plain.videos] == [True, False]
    assert "videos.csv names videos without a video file: b" in plain.absent
    assert [row["video_id"] for row in folder.videos] == ["one"]
    first, second = miga.videos
    assert first["video"].suffix == ending and list(second["clip video"]) == [3]
    assert not [line for line in miga.absent if "unknown names" in line]
