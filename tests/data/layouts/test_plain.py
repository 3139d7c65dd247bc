"""The classes of a plain root: of classes.csv by id or name, else those found in clips.csv."""

import json

import numpy as np
import pytest

from imigue_lab.app import main
from imigue_lab.data.checks.root import check_root
from imigue_lab.data.keypoint_files.clips import map_clips, read_clip
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.skeletons.geometry import as_persons
from imigue_lab.data.vocabulary import OWN, builtin
from imigue_lab.errors import DataError


@pytest.fixture
def write(tmp_path):
    """Writes a root with these classes of six clips, the last two of test, and this classes.csv."""

    def write(clips, classes=""):
        (tmp_path / "videos.csv").write_text("video_id,split\na,train\nb,validation\nc,test\n")
        rows = [
            f"{video}{n},{video},0,9,{own}"
            for n, (video, own) in enumerate(zip("aabbcc", clips, strict=True))
        ]
        (tmp_path / "clips.csv").write_text("\n".join(["clip_id,video_id,start,end,class", *rows]))
        if classes:
            short = classes.splitlines()[0].count(",") == 1
            header = "class,name" if short else "class,name,group,background"
            (tmp_path / "classes.csv").write_text(f"{header}\n{classes}\n")
        return tmp_path

    return write


def test_a_clip_names_its_class_by_id_or_name(write):
    root = write(["7", "Nod", "shrug", "9", "7", "?"], "9,nod,head,\n7,shrug,body,\n0,rest,,yes")
    index = read_index(root)
    assert index.clips.label.tolist()[:5] == [1, 0, 1, 0, 1] and index.clips.label.isna()[5]
    vocabulary = index.vocabulary
    assert (vocabulary.name, vocabulary.ids, vocabulary.background) == (OWN, ("9", "7", "0"), 2)
    assert vocabulary.groups == ("head", "body", "other")


@pytest.mark.parametrize(
    ("clips", "ids"),
    [
        (["10", "9", "2", "9", "2", "-1"], ("2", "9", "10")),
        (["shrug", "nod", "nod", "rest", "shrug", "?"], ("nod", "rest", "shrug")),
        (["1", "2", "31", "1", "1", "0"], ("1", "2", "31")),
    ],
)
def test_without_a_list_the_classes_are_those_found_and_nothing_is_named_by_imigue(
    write, clips, ids
):
    index = read_index(write(clips))
    assert index.vocabulary.ids == index.vocabulary.classes == ids
    known = [ids.index(own) for own in clips[:5]]
    assert index.clips.label.tolist()[:5] == known and index.clips.label.isna()[5]
    placeholder = f"classes of the test split alone count as unknown: {clips[5]}"
    assert placeholder in index.absent


def test_a_root_of_test_clips_without_a_list_has_their_classes(write):
    root = write(["1", "1", "1", "1", "2", "3"])
    (root / "videos.csv").write_text("video_id,split\na,test\nb,test\nc,test\n")
    assert read_index(root).vocabulary.ids == ("1", "2", "3")


@pytest.mark.parametrize(
    ("clips", "classes", "complaint"),
    [
        ("111313", "1,nod\n2,shrug", r"clips\.csv:5: expected a class of 1 to 2, got '3'; correct"),
        ("121212", "1,2\n2,1", r"classes\.csv: expected names that are no other class's id, got"),
        ("121212", "1,nod\n1,shrug", r"classes\.csv: expected unique ids of classes, got 1 twice"),
        (["Nod", "nod", "nod", "nod", "nod", "nod"], "", r"clips\.csv: expected unique names of"),
    ],
)
def test_an_unknown_or_ambiguous_class_is_refused_and_an_error_of_the_check(
    write, clips, classes, complaint
):
    root = write(list(clips), classes)
    with pytest.raises(DataError, match=complaint):
        read_index(root)
    assert not check_root(root).usable


def test_private_data_are_not_compared_with_the_challenge(write, monkeypatch):
    root = write(list("111111"), builtin("imigue").to_csv().partition("\n")[2].strip())
    index = read_index(root)
    assert index.vocabulary == builtin("imigue")
    kinds = {finding.kind for finding in check_root(root).findings}
    assert "official counts" not in kinds and "absent class" in kinds


def test_the_command_prints_the_list_as_classes_csv(write, capsys):
    root = write(list("111111"), "1,nod,,\n2,shrug,,1")
    main(["classes", str(root)])
    assert capsys.readouterr().out == (root / "classes.csv").read_text()
    main(["classes", "imigue"])
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "class,name,group,background" and "\n99,ill" in printed
    (root / "classes.csv").write_text(printed)
    assert read_index(root).vocabulary == builtin("imigue")


def test_keypoints_of_any_form_whose_ending_is_in_capitals_are_found(tmp_path):
    (tmp_path / "keypoints").mkdir()
    points = 200.0 + np.arange(3 * 17 * 3).reshape(3, 17, 3)
    points[..., 2] = 0.5
    with (tmp_path / "keypoints/a.NPY").open("wb") as file:
        np.save(file, points)
    header = ";".join(["frame", *(f"c{n}" for n in range(51))])
    rows = [";".join(map(str, [n, *own.ravel()])) for n, own in enumerate(points)]
    table = "\n".join([header, *rows]).replace(".", ",")
    (tmp_path / "keypoints/b.CSV").write_text(table)
    people = [{"keypoints": own[:, :2].tolist(), "keypoint_scores": [0.5] * 17} for own in points]
    frames = [{"frame_id": n, "instances": [own]} for n, own in enumerate(people)]
    (tmp_path / "keypoints/c.JSON").write_text(json.dumps(frames))
    (tmp_path / "VIDEOS.CSV").write_text("video_id,split\na,train\nb,train\nc,test\n")
    rows = "".join(f"{name}_0,{name},0,2,1\n" for name in "abc")
    (tmp_path / "Clips.CSV").write_text(f"clip_id,video_id,start,end,class\n{rows}")
    index = read_index(tmp_path)
    mapped = map_clips(index, index.clips)
    for name in "abc":
        np.testing.assert_allclose(as_persons(mapped.keypoints(name))[0], points)
    assert not [f for f in check_root(tmp_path).findings if f.severity == "error"]


def test_skeletons_of_ntu_are_read_beside_tables_and_a_folder_of_them_says_so(tmp_path):
    name = "S001C001P003R001A002"
    body = "1\n72057 0 1 1 1 1 0 0.1 0.2 2\n25\n" + "0.1 0.2 3.1 0 0 0 0 0 0 0 0 2\n" * 25
    (tmp_path / f"{name}.skeleton").write_text("4\n" + body * 4)
    with pytest.raises(DataError, match=r"got \.skeleton; .* into keypoints/ beside"):
        read_index(tmp_path)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / f"{name}.skeleton").rename(tmp_path / f"keypoints/{name}.SKELETON")
    (tmp_path / "videos.csv").write_text(f"video_id,split,subject\n{name},train,P003\n")
    (tmp_path / "clips.csv").write_text(
        f"clip_id,video_id,start,end,class\n{name}_0,{name},0,3,A002\n"
    )
    index = read_index(tmp_path)
    recording = read_clip(index, f"{name}_0")
    assert recording.layout.name == "ntu25" and recording.skeleton.shape == (1, 4, 25, 3)
    assert map_clips(index, index.clips).layout.name == "ntu25"
