"""Corrections of labels: one row a person and item, applied where the index is read."""

import json
from pathlib import Path

import numpy as np
import pytest

from imigue_lab.app import main
from imigue_lab.data.corrections import (
    COLUMNS,
    merge_roots,
    read_corrections,
    with_corrections,
    write_correction,
)
from imigue_lab.data.source import open_data
from imigue_lab.errors import DataError
from imigue_lab.results.open import load_run, settings_of
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data, open_clip_run


@pytest.fixture
def clips(index):
    """Clips of each split by number."""
    return {split: own.reset_index() for split, own in index.clips.groupby("split")}


@pytest.fixture
def correct(tmp_path, index):
    """Corrects a clip, or with `found` a segment of that class; returns the file."""
    path = tmp_path / "mine.csv"

    def correct(clip, kind, name="", who="anna", found=None):
        names = index.vocabulary.classes
        label = int(clip.label) if found is None else names.index(found)
        item = {"item": clip.clip_id if found is None else "", "video_id": clip.video_id}
        item |= {"start": clip.start, "end": clip.end, "previous": names[label]}
        write_correction(path, item, kind, name, who)
        return str(path)

    return correct


def other_class(index, clip):
    return index.vocabulary.classes[(int(clip.label) + 1) % 20]


def test_the_last_row_of_each_person_counts(correct, clips, index):
    one, two = clips["train"].loc[0], clips["train"].loc[1]
    correct(one, "reject")
    correct(two, "confirm", index.vocabulary.classes[two.label])
    correct(one, "reject", who="ben")
    path = Path(correct(one, "relabel", name := other_class(index, one)))
    rows = read_corrections(path, index.vocabulary)
    assert rows[["item", "who", "kind"]].to_numpy().tolist() == [
        [one.clip_id, "anna", "relabel"],
        [two.clip_id, "anna", "confirm"],
        [one.clip_id, "ben", "reject"],
    ]
    assert rows.label.tolist() == [index.vocabulary.place(name), two.label, -1]
    assert rows.when.str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00").all()
    head, first, *_ = path.read_text().splitlines()
    assert head == ",".join(COLUMNS)
    path.write_text(f"{head},remark\n{first},unclear\n")  # of a person in a spreadsheet
    correct(two, "reject", who="ben")
    assert path.read_text().splitlines()[1] == f"{first},unclear"


def test_train_and_validation_are_corrected_and_test_is_not(correct, clips, index):
    before = index.clips.set_index("clip_id")
    relabelled, rejected, confirmed = (clips["train"].loc[n] for n in range(3))
    held, tested = clips["validation"].loc[0], clips["test"].loc[0]
    name = other_class(index, relabelled)
    correct(relabelled, "relabel", name)
    correct(rejected, "reject")
    correct(confirmed, "confirm", index.vocabulary.classes[confirmed.label])
    correct(held, "relabel", other_class(index, held))
    path = correct(tested, "reject")
    found = with_corrections(index, path)
    after = found.clips.set_index("clip_id")
    assert set(before.index) - set(after.index) == {rejected.clip_id}
    assert after.label[relabelled.clip_id] == index.vocabulary.place(name)
    changed = after.label != before.label.reindex(after.index)
    assert set(after.index[changed]) == {relabelled.clip_id, held.clip_id}
    assert after.dtypes.to_dict() == before.dtypes.to_dict()
    (remark,) = found.remarks
    assert remark.startswith("labels corrected by mine.csv: 1 confirmed")
    assert f"2 relabelled ({relabelled.clip_id}, {held.clip_id}); 1 left out" in remark
    assert f"1 of test, not applied ({tested.clip_id}); scores of validation are of 1" in remark


def test_a_found_segment_becomes_a_clip_unless_one_of_its_class_is_there(correct, clips, index):
    clip, names = clips["train"].loc[0], index.vocabulary.classes
    other = other_class(index, clip)
    shifted = clip.copy()
    shifted["start"] += 1
    correct(shifted, "confirm", names[clip.label], found=names[clip.label])  # the clip is there
    correct(shifted, "relabel", other, found=names[-1])
    path = correct(shifted, "reject", found=names[3])
    found = with_corrections(index, path)
    new = found.clips[~found.clips.clip_id.isin(index.clips.clip_id)].iloc[0]
    assert (new.video_id, new.start, new.end, new.split) == (
        *shifted[["video_id", "start", "end"]],
        "train",
    )
    assert new.label == names.index(other) and len(found.clips) == len(index.clips) + 1
    assert "1 confirmed (" in found.remarks[0] and "1 added (" in found.remarks[0]
    assert "1 found and rejected (" in found.remarks[0]
    same = correct(clip, "relabel", other, who="ben", found=names[clip.label])
    label = with_corrections(index, same).clips.set_index("clip_id").label[clip.clip_id]
    assert label == names.index(other)  # its frames and class are those of the clip


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("{item},{video},{start},{end},1,removed,,a,t", r":2: expected confirm, .*got 'removed'"),
        ("{item},{video},{start},{end},1,relabel,77,a,t", r":2: expected a class of .*got '77'"),
        ("{item},{video},{start},x,1,reject,,a,t", ":2: expected integer frame numbers"),
        ("none,{video},{start},{end},1,reject,,a,t", r":2: expected a clip or video of .*got none"),
        ("{item},{video},0,1,1,reject,,a,t", r":2: expected a clip .* in frames 0 to 1"),
        (",none,0,1,1,reject,,a,t", r":2: expected a clip or video .*got none 0 1 1"),
    ],
)
def test_a_faulty_row_is_refused_by_its_number(clips, index, tmp_path, row, complaint):
    clip, path = clips["train"].loc[0], tmp_path / "mine.csv"
    row = row.format(item=clip.clip_id, video=clip.video_id, start=clip.start, end=clip.end)
    path.write_text(",".join(COLUMNS) + "\n" + row + "\n")
    with pytest.raises(DataError, match="mine.csv" + complaint):
        with_corrections(index, str(path))


def test_people_who_disagree_are_refused(correct, clips, index):
    clip = clips["train"].loc[0]
    correct(clip, "reject")
    path = correct(clip, "relabel", other_class(index, clip), who="ben")
    with pytest.raises(
        DataError, match=r"mine.csv:3: expected reject for \S+ as in row 2 by anna, got rel"
    ):
        with_corrections(index, path)
    path = correct(clip, "reject", who="ben")
    assert "1 left out" in with_corrections(index, path).remarks[0]


def test_a_run_is_trained_on_the_corrected_labels_and_says_so(correct, clips, index, synthetic):
    one, two = clips["train"].loc[0], clips["train"].loc[1]
    correct(one, "relabel", name := other_class(index, one))
    path = correct(two, "reject")
    small = {"data": str(synthetic), "frames": 8, "epochs": 1, "corrections": path}
    run = train_baseline(BaselineSettings.from_arguments(small))
    predictions = run.predictions().set_index("clip_id")
    assert index.vocabulary.classes[predictions.label[one.clip_id]] == name
    assert two.clip_id not in predictions.index
    assert any(
        r.startswith("labels corrected by mine.csv: 1 rel") for r in run.provenance()["remarks"]
    )
    assert run.settings()["data"]["corrections"]
    kept = settings_of(run).corrections
    assert kept == str(run.folder / "corrections_used.csv")
    again = BaselineSettings.from_arguments({**small, "corrections": kept})
    assert train_baseline(again).folder == run.folder
    correct(one, "reject")  # later, which changes neither the run nor its data
    opened = load_run(str(run.folder))
    assert (
        index.vocabulary.classes[opened.index.clips.set_index("clip_id").label[one.clip_id]] == name
    )
    assert opened.data.identity()["digest"] == run.settings()["data"]["digest"]


def test_a_confirmation_alone_makes_another_run(correct, clips, index):
    data = {"digest": "of the same clips"}
    folders = set()
    for number in range(2):
        clip = clips["train"].loc[number]
        path = correct(clip, "confirm", index.vocabulary.classes[clip.label])
        settings = BaselineSettings.from_arguments({"corrections": path})
        folders.add(open_clip_run("confirmed", settings, data, index.vocabulary).folder)
    assert len(folders) == 2


def test_corrections_change_the_digest_of_the_data(correct, clips, index):
    path = correct(clips["train"].loc[0], "reject")
    corrected = with_corrections(index, path)
    assert load_gesture_data(index).digest != load_gesture_data(corrected).digest


@pytest.fixture
def folder(tmp_path):
    """Writes a plain root of one video with two gestures, as 09 leaves it after a correction."""

    def write(name, video, classes="class,name\n1,nod\n2,shake\n", layout="imigue22", clips=2):
        root = tmp_path / name
        (root / "keypoints").mkdir(parents=True)
        points = np.random.default_rng(clips).random((100, 22, 3), np.float32)
        np.save(root / "keypoints" / f"{video}.npy", points)
        rows = [f"{video}_{n},{video},{40 * n},{40 * n + 30},{n % 2 + 1}\n" for n in range(clips)]
        (root / "videos.csv").write_text(f"video_id,split\n{video},test\n")
        (root / "classes.csv").write_text(classes)
        (root / "keypoints.json").write_text(json.dumps({"layout": layout}))
        (root / "clips.csv").write_text("clip_id,video_id,start,end,class\n" + "".join(rows))
        return root

    return write


def test_merged_folders_are_a_training_root(folder, tmp_path, capsys):
    folders = [folder(f"a{n}", f"talk{n}") for n in range(3)]
    main(["merge", *map(str, folders), "--out", str(tmp_path / "all")])
    assert f"3 videos with 6 clips in {tmp_path / 'all'}" in capsys.readouterr().out
    main(["check", str(tmp_path / "all")])
    assert "\nerror," not in capsys.readouterr().out
    index = open_data(str(tmp_path / "all"))
    assert index.clips.clip_id.tolist() == [f"talk{n}_{m}" for n in range(3) for m in range(2)]
    assert set(index.clips.split) == {"train"} and index.vocabulary.classes == ("nod", "shake")
    data = load_gesture_data(index)
    assert len(data.sources) == 6 and data.layout.name == "imigue22"
    np.testing.assert_array_equal(
        np.load(tmp_path / "all" / "keypoints" / "talk1.npy"),
        np.load(folders[1] / "keypoints" / "talk1.npy"),
    )
    small = {"data": str(tmp_path / "all"), "frames": 8, "epochs": 1, "keep": "last"}
    run = train_baseline(BaselineSettings.from_arguments(small))
    assert len(run.predictions()) == 6 and run.finished


def test_folders_that_do_not_fit_are_not_merged(folder, tmp_path):
    one, out = folder("one", "talk"), tmp_path / "all"
    with pytest.raises(DataError, match=r"same: expected ids that .*one lacks, got talk; rename"):
        merge_roots([one, folder("same", "talk")], out)
    other = folder("other", "chat", "class,name\n1,nod\n2,tilt\n")
    with pytest.raises(
        DataError, match=r"other: expected the classes .*one, got a difference in 2,(shake|tilt)"
    ):
        merge_roots([one, other], out)
    with pytest.raises(DataError, match=r"points: expected the .*in other joints; anal"):
        merge_roots([one, folder("points", "chat", layout="mmgesture36")], out)
    with pytest.raises(
        DataError, match=r"none: expected a clips.csv with gestures, got none; corr"
    ):
        merge_roots([one, folder("none", "chat", clips=0)], out)
    assert not out.exists()
    with pytest.raises(DataError, match="is not empty; name a new folder"):
        merge_roots([one], one)
