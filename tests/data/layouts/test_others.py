"""SMG, MA-52 and BoLD: ids, splits, subjects, ranges and classes of their own trees."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.checks.root import check_root
from imigue_lab.data.keypoint_files.clips import read_clip
from imigue_lab.data.layouts.recognise import read_index, survey_root
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import split_gestures
from imigue_lab.data.synthetic.recording import HEIGHT, WIDTH, record
from imigue_lab.data.synthetic.story import DATA_SETS, SyntheticSpec, plan
from imigue_lab.data.synthetic.tree import (
    DISTANCE,
    METRES,
    class_of,
    joints_of,
    make_data,
)
from imigue_lab.data.vocabulary import builtin
from imigue_lab.data.workspace import write_array
from imigue_lab.errors import DataError
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.recognition.scores import mean_average_precision, of_split, read_truth
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import train_recognition

SPEC = {"videos": 5, "seed": 1}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    return {n: make_data(folder / n, SyntheticSpec(**SPEC, layout=n)) for n in DATA_SETS}


def gestures():
    return [(interview, g) for interview in plan(SyntheticSpec(**SPEC)) for g in interview.gestures]


@pytest.mark.parametrize("layout", DATA_SETS)
def test_a_tree_is_recognised_checked_and_has_the_classes_of_its_data_set(trees, layout):
    index = trees[layout]
    assert (index.layout, index.vocabulary) == (layout, builtin(layout))
    report = check_root(index.root)
    assert [f for f in report.findings if f.severity == "error"] == []
    assert len(index.clips) == len(gestures())
    known = index.clips.label.dropna()
    assert set(known) <= set(range(len(index.vocabulary)))
    assert known.max() >= 0.8 * len(index.vocabulary)
    assert index.absent == []


def test_a_sequence_of_smg_is_a_person_whose_frames_count_from_1(trees):
    index = trees["smg"]
    interviews = plan(SyntheticSpec(**SPEC))
    assert index.videos.video_id.tolist() == [f"Sample{i.video_id}" for i in interviews]
    assert index.videos.subject.tolist() == [i.video_id for i in interviews]
    assert index.videos.split.tolist() == [i.split for i in interviews]
    planned = [(g.start, g.end, class_of(g, "smg")) for _, g in gestures()]
    read = index.clips[["start", "end", "label"]].itertuples(index=False, name=None)
    assert list(read) == planned
    assert index.clips.clip_id[:2].tolist() == ["Sample0001_0", "Sample0001_1"]
    assert set(index.videos.fps) == {25}


def test_the_joints_of_a_synthetic_smg_are_those_of_the_picture_in_metres(trees):
    spec = SyntheticSpec(**SPEC, layout="smg")
    interview = plan(spec)[0]
    wrist = record(interview, spec).keypoints[:, LAYOUTS["light_hand35"].joints.index("left_wrist")]
    gesture = interview.gestures[0]
    points = read_clip(trees["smg"], "Sample0001_0").skeleton[0]
    own = points[:, LAYOUTS["ntu25"].joints.index("left_wrist")]
    x, y, z = own.T
    pixels = np.stack([x / METRES * HEIGHT + WIDTH / 2, (0.5 - y / METRES) * HEIGHT], axis=1)
    np.testing.assert_allclose(pixels, wrist[gesture.start : gesture.end + 1, :2], atol=0.02)
    assert (z == DISTANCE).all()


def sequence(root: Path, name: str, labels: str = "5,1,9\n") -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{folder.name}_finelabels.csv").write_text(labels)
    return folder


@pytest.mark.parametrize(("rows", "first"), [("5,1,9\n", 1), ("17,40,44\n5,0,50\n", 0)])
def test_frames_of_smg_count_from_0_only_where_a_segment_starts_there(tmp_path, rows, first):
    sequence(tmp_path, "Sample0001", rows)
    sequence(tmp_path, "Sample0002", "3,11,20\n")
    index = read_index(tmp_path)
    assert index.clips.iloc[-1][["start", "end"]].tolist() == [11 - first, 20 - first]
    assert ("frames count from 0, since a segment starts there" in index.absent) == (first == 0)


def test_segments_of_smg_may_overlap_and_need_no_order(tmp_path):
    sequence(tmp_path, "Sample0001", "17,30,40\n5,11,20\n5,15,35\n")
    index = read_index(tmp_path)
    assert index.clips.clip_id.tolist() == ["Sample0001_0", "Sample0001_1", "Sample0001_2"]
    assert index.clips.start.tolist() == [29, 10, 14]
    assert index.clips.label.tolist() == [index.vocabulary.background, 4, 4]
    assert check_root(tmp_path).usable


def test_the_split_of_smg_is_its_folder_or_else_its_number(tmp_path):
    for number in (1, 30, 31, 35, 36, 40, 41):
        sequence(tmp_path, f"experimentWell_skeleton/Sample{number:04d}")
    sequence(tmp_path, "smg_data_phase1/smg_skeleton_validate/Sample0002")
    facts = tmp_path / "a/smg_skeleton_train/Sample0041/Sample0041_data.csv"  # elsewhere, no label
    facts.parent.mkdir(parents=True)
    facts.write_text("90,28,4000\n")
    split = read_index(tmp_path).videos.set_index("video_id").split
    expected = "train validation train validation validation test test train".split()
    assert split.tolist() == expected


def test_what_cannot_be_read_of_smg_is_named(tmp_path):
    folder = sequence(tmp_path, "a/Sample0001")
    sequence(tmp_path, "b/Sample0001")
    (folder / "Sample0001_data.csv").write_text("many\n")
    sequence(tmp_path, "Sample0002", "5,1,9\n18,1,9\n")
    (tmp_path / "Sample0003.zip").write_bytes(b"")
    survey = survey_root(tmp_path)
    found = [(p.kind, p.file.name, p.row) for p in survey.problems]
    assert found == [
        ("duplicate video", "Sample0001_finelabels.csv", None),
        ("unreadable", "Sample0001_data.csv", 1),
        ("unknown class", "Sample0002_finelabels.csv", 2),
    ]
    assert "files that have to be unpacked are not read: Sample0003.zip" in survey.absent


def test_a_clip_of_ma52_is_a_file_and_its_person_is_named_outside_test(trees):
    index = trees["ma52"]
    assert index.clips.clip_id.tolist() == index.clips.video_id.tolist()
    parts = dict(list(index.clips.groupby("split")))
    assert set(parts["train"].subject) == set(parts["validation"].subject)
    assert (parts["train"].subject == parts["train"].clip_id.str[:4]).all()
    assert parts["test"].subject.isna().all()
    assert parts["test"].label.isna().all()  # placeholders
    lengths = sorted(g.end - g.start for _, g in gestures())
    assert sorted(index.clips.end) == lengths
    assert (index.clips.start == 0).all()


def test_a_test_split_with_hidden_classes_is_not_said_to_lack_them(trees):
    remarks = split_gestures(trees["ma52"], fold=-1, seed=0).remarks
    assert not [remark for remark in remarks if remark.startswith("test lacks")]


def test_persons_that_ma52_shares_between_its_splits_are_a_note(trees):
    findings = {f.kind: f for f in check_root(trees["ma52"].root).findings}
    assert findings["subject leak"].severity == "note"
    assert "unknown subjects" not in findings  # no fold contains test


@pytest.fixture
def mma52(tmp_path):
    """Long synthetic interviews as films of MMA-52 without pictures; test has placeholders."""
    spec = SyntheticSpec(videos=16, size="long", pictures=False)
    rows = {"train": [], "validation": [], "test": []}
    for interview in plan(spec):
        recording, own = record(interview, spec), rows[interview.split]
        name = f"{interview.split.replace('idation', '')}{len({row[0] for row in own}):04d}"
        points = joints_of(recording, range(interview.frames), "coco17")
        write_array(tmp_path / f"keypoints/{name}.npy", points)
        for gesture in interview.gestures[:: 1 if interview.split != "test" else 100]:
            shown = gesture.start, gesture.end, class_of(gesture, "ma52")
            shown = (0, 20, 0) if interview.split == "test" else shown
            own.append((name, *shown, interview.frames, 25))
    (tmp_path / "mmad_video/anns").mkdir(parents=True)
    for split, own in rows.items():
        columns = ["video_id", "start_frame", "end_frame", "class", "total_frames", "fps"]
        table = pd.DataFrame(own, columns=columns).rename_axis("id")
        table.to_csv(tmp_path / f"mmad_video/anns/{split.replace('idation', '')}.csv")
    return tmp_path, rows


def test_a_film_of_mma52_has_several_segments_by_frame_from_0(mma52):
    root, rows = mma52
    index = read_index(root)
    assert (index.layout, index.vocabulary) == ("mma52", builtin("ma52"))
    assert [f for f in check_root(root).findings if f.severity == "error"] == []
    known = index.clips[index.clips.label.notna()]
    written = [row[:4] for split in ("train", "validation") for row in rows[split]]
    read = known[["video_id", "start", "end", "label"]].itertuples(index=False, name=None)
    assert sorted(read) == sorted(written)
    assert known.clip_id[:2].tolist() == ["train0000_0", "train0000_1"]
    tests = index.clips[~index.clips.clip_id.isin(known.clip_id)]
    assert len(tests) == len(rows["test"]) and (index.videos.fps == 25).all()
    assert set(index.videos.split) == set(rows) and index.videos.subject.isna().all()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("train0000", "a/b", "expected the name of a film of this table alone, got 'a/b'"),
        ("train0000", "val0000", "expected the name of a film of this table alone, got 'val0000'"),
        (",25\n", "\n", "expected 7 cells, got 6"),
        ("fps", "rate", "expected the columns video_id,"),
    ],
)
def test_a_faulty_row_of_mma52_is_named(mma52, old, new, complaint):
    path = mma52[0] / "mmad_video/anns/train.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    problems = survey_root(mma52[0]).problems
    assert any(complaint in str(problem) for problem in problems)


def test_recognition_of_mma52_is_scored_by_mean_average_precision(mma52):
    root, _ = mma52
    given = {"data": str(root), "epochs": 10, "width": 32, "depth": 3, "lr": 1e-2, "window": 256}
    run = train_recognition(RecognitionSettings.from_arguments(given | {"name": "of-mma52"}))
    scores = run.scores()
    assert set(scores.split) == {"validation"}  # segments of test are hidden
    _, true = of_split(read_truth(run), "validation")
    found = run.predictions().query("split == 'validation'")
    assert scores["map"][0] == pytest.approx(mean_average_precision(found, true))
    assert scores["map"][0] > 0
    assert "test" in set(run.predictions().split)


def test_a_list_of_ma52_may_have_labels_of_test_and_no_film(tmp_path):
    (tmp_path / "keypoints").mkdir()
    for name in ("0001_01_0001", "test0000", "test0001"):
        np.save(tmp_path / f"keypoints/{name}.npy", np.ones((7, 17, 3), np.float32))
    lists = tmp_path / "ma52" / "annotations"
    lists.mkdir(parents=True)
    (lists / "train_list_videos.txt").write_text("0001_01_0001.mp4 51\n0002_01_0001.mp4 3")
    (lists / "test_list_videos.txt").write_text("test0000.mp4 9\ntest0001.mp4 7\n")
    index = read_index(tmp_path)
    assert index.clips.label.tolist() == [51, 9, 7]
    assert set(index.clips.end) == {6}
    text = "no frames are known of the listed clips 0002_01_0001"
    assert text in index.absent
    for row in ("0003_01_0001.mp4", "0003_01_0001.mp4 52", "0001_01_0001.mp4 4"):
        (lists / "val_list_videos.txt").write_text(f"{row}\n")
        with pytest.raises(DataError, match=r"val_list_videos\.txt:1: expected"):
            read_index(tmp_path)


def test_without_poses_a_skeleton_model_says_what_to_do(trees, tmp_path):
    (tmp_path / "ma52").symlink_to(trees["ma52"].root / "ma52")
    with pytest.raises(DataError, match=r"no keypoints .* train from pictures, as with --model"):
        load_gesture_data(open_data(str(tmp_path)))


def rated(film: str, person: int, *shares: tuple[int, float]) -> str:
    values = np.zeros(26)
    for category, share in shares:
        values[category] = share
    return f"{film},{person},3,9," + ",".join(map(str, values)) + ",5,5,5,Male,Adult,White,0.6\n"


def test_a_person_of_bold_has_its_most_frequent_category(tmp_path):
    film, movie = "003/a-b_c.mp4/0012.mp4", tmp_path / "joints/003/a-b_c.mp4"
    movie.mkdir(parents=True)
    joints = np.full((12, 56), 0.5)
    joints[:, 0] = np.arange(70, 82)
    np.save(movie / "0012.npy", joints)
    (tmp_path / "annotations").mkdir()
    rows = rated(film, 0, (4, 0.2), (7, 0.6)), rated(film, 1, (9, 0.4), (3, 0.4)), rated(film, 2)
    (tmp_path / "annotations/train.csv").write_text("".join(rows))
    (tmp_path / "annotations/test_meta.csv").write_text("003/d.mp4/0001.mp4,0,0,9\n")
    index = read_index(tmp_path)
    assert index.clips.clip_id.tolist() == ["003_a-b_c_0012_0", "003_a-b_c_0012_1"]
    assert [index.vocabulary.classes[label] for label in index.clips.label] == [
        "Pleasure",
        "Anticipation",  # the first of equal shares
    ]
    assert index.clips.end.tolist() == [11, 11]  # the whole film
    assert "persons without any category are left out: 003_a-b_c_0012_2" in index.absent
    assert "persons whose film has neither joints nor video are left out: 1" in index.absent
    (tmp_path / "annotations/val.csv").write_text(rated(film, 0, (1, 0.5)) + "003/x.mp4/1.mp4,0\n")
    places = [(p.kind, p.row) for p in survey_root(tmp_path).problems]
    assert places == [("duplicate video", 1), ("unreadable", 2)]


GARBAGE = (b"", b"\xff\xfe\x00a,b", b"1,2,3\n", b"0,0\n" * 3, b"nan,nan,nan\n", b"x.mp4 1\n")
LONG = b"9" * 400 + b",25"


@pytest.mark.parametrize("layout", DATA_SETS)
def test_no_content_of_a_file_causes_a_traceback(tmp_path, layout):
    spec = SyntheticSpec(videos=3, pictures=False, layout=layout)
    root = make_data(tmp_path / layout, spec).root
    files = sorted(path for path in root.rglob("*") if path.suffix in (".csv", ".txt", ".npy"))
    kinds = {re.sub(r"\d", "", path.name): path for path in files}
    assert len(kinds) == {"smg": 3, "ma52": 5, "bold": 4}[layout]
    film, zeros = "003/film0001.mp4/0000.mp4", ",0" * 26
    rated = f"{film},nan,0,9{zeros}\n{film},1e9,0,9{zeros}\n{film},0,x,9\n".encode()
    for path in kinds.values():
        whole = path.read_bytes()
        for content in (*GARBAGE, LONG, rated, whole[: len(whole) // 2]):
            path.write_bytes(content)
            with suppress(DataError):
                check_root(root)
        path.write_bytes(whole)
    assert check_root(root).usable


def test_annotations_of_others_are_not_taken_for_bold(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/train.csv").write_text("video,label\ntalk.mp4,3\n")
    (tmp_path / "talk.txt").write_text("notes")
    with pytest.raises(DataError, match=r"expected videos\.csv, or a video.* unpack archives"):
        read_index(tmp_path)


def test_official_counts_are_compared_by_data_set(tmp_path):
    sequence(tmp_path, "Sample0001")
    finding = next(f for f in check_root(tmp_path).findings if f.kind == "official counts")
    assert finding.what == "counts differ from those of SMG"
    assert finding.places[0] == "train: expected 2452 clips, got 1"
