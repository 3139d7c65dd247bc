"""A submission has each expected id once, in the order of the labels, and records its origin."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.app import main
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError, RunError, SettingsError
from imigue_lab.results.submit import submit
from imigue_lab.results.submit_segments import submit_segments
from imigue_lab.training.runs import Run, runs_folder
from imigue_lab.views.answers import read_predictions

IMIGUE = builtin("imigue")


@pytest.fixture
def finished(monkeypatch, tmp_path, synthetic, index):
    """Writes a finished run on the synthetic interviews; the predictions are shuffled."""
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path))

    def write(
        name="gestures", change=lambda table: table, classes=IMIGUE.classes, task="gesture", runs=""
    ):
        run = Run(runs_folder() / name)
        settings = {"task": task, "settings": {"runs": runs}, "data": {"digest": "d"}}
        run.write_json("settings.json", settings)
        run.write_json("vocabulary.json", IMIGUE.to_dict())
        table = index.clips[["clip_id", "video_id", "subject", "split", "label"]]
        logits = np.random.default_rng(0).random((len(table), 32))
        logits[range(len(table)), np.arange(len(table)) % 32] = 2.0
        probability = pd.DataFrame(logits / logits.sum(axis=1, keepdims=True)).add_prefix("p")
        if task == "emotion":
            table = index.videos[["video_id", "subject", "split", "outcome"]]
            table = table.assign(probability=[0.2, 0.5, 0.9, 0.49] * 8)
        else:
            table = pd.concat(
                [table.assign(predicted=np.arange(len(table)) % 32), probability], axis=1
            )
        run.write_predictions(change(table.sample(frac=1, random_state=0)))
        if task != "fusion":
            checkpoint = {"task": task, "classes": list(classes)}
            run.save_weights("best", {"w": torch.zeros(1)}, checkpoint)
        run.write_json("provenance.json", {"where": {"data": str(synthetic)}, "remarks": []})
        run.write_scores(pd.DataFrame())
        return run

    return write


def lines_of(path):
    with zipfile.ZipFile(path) as file:
        (name,) = file.namelist()
        return name, file.read(name).decode().split("\n")


def test_track_1_has_every_test_clip_in_the_order_of_the_labels(finished, index):
    run = finished()
    path = submit(run, 1)
    name, (header, *rows, end) = lines_of(path)
    assert (path.name, name, header, end) == ("prediction.zip", "prediction.csv", "Id,Target", "")
    test = index.clips[index.clips.split == "test"]
    assert rows == [f"{clip},{place % 32}" for place, clip in test.clip_id.items()]


def test_labels_that_have_changed_since_are_refused_with_their_number(finished):
    def relabel(table):
        changed = table.index == table.index[0]
        return table.assign(label=table.label.where(~changed, (table.label + 1) % 32))

    with pytest.raises(
        RunError, match=r"1 items have another label than in run changed, \S+; name"
    ):
        submit(finished("changed", relabel), 1)


def test_the_2023_form_has_another_file_name_and_no_header(finished, index):
    path = submit(finished(), 1, "2023")
    name, lines = lines_of(path)
    assert (path.name, name) == ("Submission.zip", "Submission.csv")
    assert lines[0].startswith(str(index.clips.clip_id[index.clips.split == "test"].iloc[0]))


def test_classes_can_be_numbered_as_in_the_label_files(finished):
    run = finished()
    _, (_, *plain, _) = lines_of(submit(run, 1))
    _, (_, *named, _) = lines_of(submit(run, 1, numbering="csv"))
    pairs = {(a.split(",")[1], b.split(",")[1]) for a, b in zip(plain, named, strict=True)}
    assert ("31", "99") in pairs and ("0", "1") in pairs and len(pairs) == 32


def test_track_3_predicts_a_win_from_one_half_on(finished, index):
    path = submit(
        finished(task="emotion", classes=("lose", "win")), 3, header="video_id,prediction"
    )
    _, (header, *rows, _) = lines_of(path)
    assert header == "video_id,prediction"
    videos = index.videos
    expected = [f"{v},{[0, 1, 1, 0][n % 4]}" for n, v in videos.video_id.items()]
    assert rows == [
        row for row, split in zip(expected, videos.split, strict=True) if split == "test"
    ]


def test_the_same_run_gives_the_same_bytes_and_records_its_origin(finished):
    run = finished()
    first = submit(run, 1).read_bytes()
    path = submit(run, 1)
    assert path.read_bytes() == first
    origin = json.loads((path.parent / "made_from.json").read_text())
    assert origin["run"] == "gestures" and origin["data"] == {"digest": "d"}
    assert origin["rows"] == len(lines_of(path)[1]) - 2 and origin["synthetic"]
    assert sorted(p.name for p in path.parent.iterdir()) == ["made_from.json", "prediction.zip"]


def with_one_clip_twice(table):
    return pd.concat([table, table[table.split == "test"].head(1)])


def without_one_test_clip(table):
    return table.drop(table.index[table.split == "test"][0])


def with_an_unexpected_clip(table):
    row = table[table.split == "test"].head(1).assign(clip_id="9999_0")
    return pd.concat([table, row])


def with_a_class_too_many(table):
    return table.assign(p32=0.0)


def with_a_class_too_few(table):
    return table.drop(columns="p31")


def with_another_class(table):
    return table.assign(predicted=table.predicted.where(table.split != "test", 77))


def with_no_number(table):
    return table.assign(p3=table.p3.where(table.split != "test", np.nan))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (with_one_clip_twice, "predicts twice"),
        (without_one_test_clip, "does not predict"),
        (with_an_unexpected_clip, "9999_0"),
        (with_a_class_too_many, "expected 32 classes for track 1, got 33"),
        (with_a_class_too_few, "expected 32 classes for track 1, got 31"),
        (with_another_class, "not the most probable"),
        (with_no_number, "no probability"),
    ],
)
def test_anything_but_one_class_per_expected_id_is_refused(finished, change, complaint):
    run = finished(change=change)
    with pytest.raises(RunError, match=complaint):
        submit(run, 1)
    assert not (run.folder / "submissions").exists()


def test_a_run_whose_class_order_differs_is_refused_also_inside_a_fusion(finished):
    finished("good"), finished("turned", classes=(IMIGUE.classes[-1], *IMIGUE.classes[:-1]))
    fused = finished("fused", task="fusion", runs="good,turned")
    for run in (Run(runs_folder() / "turned"), fused):
        with pytest.raises(RunError, match="turned: has the classes of track 1 in another order"):
            submit(run, 1)
    assert submit(finished("fine", task="fusion", runs="good"), 1).exists()


def test_ids_that_no_challenge_has_are_refused(finished, tmp_path):
    run, own = finished(), tmp_path / "talks"
    own.mkdir()
    (own / "videos.csv").write_text("video_id,split\nanna,test\n")
    (own / "clips.csv").write_text("clip_id,video_id,start,end,class\nanna_0,anna,0,9,7\n")
    (own / "classes.csv").write_text(IMIGUE.to_csv())
    with pytest.raises(DataError, match=r"ids of the challenge's test split.*, got anna_0"):
        submit(run, 1, data=str(own))


def test_the_plain_form_has_ids_of_the_data_and_names_of_outcomes(finished, index):
    _, (header, *rows, _) = lines_of(submit(finished(), 1, "plain"))
    test = index.clips[index.clips.split == "test"]
    assert header == "clip_id,class"
    assert rows == [f"{clip},{IMIGUE.ids[place % 32]}" for place, clip in test.clip_id.items()]
    run = finished("talks", task="emotion", classes=IMIGUE.outcomes)
    _, (header, *rows, _) = lines_of(submit(run, 3, "plain"))
    assert header == "video_id,outcome"
    assert {row.split(",")[1] for row in rows} == {"win", "lose"}


def test_a_run_of_another_track_and_an_unknown_form_are_refused(finished):
    with pytest.raises(RunError, match=r"expected the classes turtle neck.* for track 1, got"):
        submit(finished(task="emotion", classes=IMIGUE.outcomes), 1)
    with pytest.raises(
        SettingsError, match="format: track 3 of iMiGUE has plain and 2025, got 2023"
    ):
        submit(finished(), 3, "2023")
    for header in ("Id", "Id,Tar\nget", "Id,Id"):
        with pytest.raises(SettingsError, match="expected 2 names"):
            submit(finished(), 1, header=header)


@pytest.fixture
def others(tmp_path, monkeypatch):
    """Writes a run on a tree of SMG or MA-52; the classes of its three test clips by probability
    are 10 17 38 3 26 and the rest, each one place later than that of the clip before.
    """
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path / "home"))

    def write(layout):
        root = tmp_path / layout
        for number in range(3):
            if layout == "smg":
                folder = root / f"smg_skeleton_test/Sample{36 + number:04d}"
                folder.mkdir(parents=True)
                (folder / f"{folder.name}_finelabels.csv").write_text("0,5,9\n")
            else:
                (root / "keypoints").mkdir(parents=True, exist_ok=True)
                np.save(root / f"keypoints/test{number:04d}.npy", np.ones((4, 17, 3), np.float32))
        if layout == "ma52":
            lines = [f"test{number:04d}.mp4 0\n" for number in range(3)]
            (root / "test_list_videos.txt").write_text("".join(lines))
        index = read_index(root)
        order = [c for c in (10, 17, 38, 3, 26) if c < len(index.vocabulary)]
        order += [c for c in range(len(index.vocabulary)) if c not in order]
        falling = 1 / np.arange(1, len(order) + 1) / sum(1 / np.arange(1, len(order) + 1))
        probability = np.zeros((3, len(order)))
        for row in range(3):
            probability[row, np.add(order, row) % len(order)] = falling
        table = index.clips[["clip_id", "video_id", "subject", "split", "label"]]
        table = table.assign(predicted=probability.argmax(axis=1))
        run = Run(runs_folder() / layout)
        run.write_json("settings.json", {"task": "gesture", "settings": {}, "data": {}})
        run.write_json("vocabulary.json", index.vocabulary.to_dict())
        run.write_predictions(table.join(pd.DataFrame(probability).add_prefix("p")))
        checkpoint = {"task": "gesture", "classes": list(index.vocabulary.classes)}
        run.save_weights("best", {"w": torch.zeros(1)}, checkpoint)
        run.write_json("provenance.json", {"where": {"data": str(root)}, "remarks": []})
        run.write_scores(pd.DataFrame())
        return run

    return write


def test_mac_of_2024_has_the_body_before_the_action(others):
    name, lines = lines_of(submit(others("ma52"), 1, "2024"))
    assert name == "prediction.csv"
    head, body = "id,pred_label_1,pred_label_2", [1, 2, 2]  # head 5-10, upper limb 11-23
    rows = [f"test{n:04d}.mp4,{body[n]},{10 + n}" for n in range(3)]
    assert lines == [head, *rows, ""]


def test_mac_of_2025_has_five_actions_and_their_bodies(others):
    _, lines = lines_of(submit(others("ma52"), 1))
    assert lines[0].startswith("vid,action_pred_1,") and lines[0].endswith(",body_pred_5")
    assert lines[1] == "test0000.mp4,10,17,38,3,26,1,2,5,0,3"
    assert lines[2] == "test0001.mp4,11,18,39,4,27,2,2,5,0,3"


def test_miga_of_2023_on_smg_has_the_clips_of_smg_in_either_numbering(others):
    run = others("smg")
    name, lines = lines_of(submit(run, 1))
    assert (name, lines) == (
        "Submission.csv",
        ["Sample0036_0,10", "Sample0037_0,11", "Sample0038_0,12", ""],
    )
    assert lines_of(submit(run, 1, numbering="csv"))[1][0] == "Sample0036_0,11"
    with pytest.raises(SettingsError, match="track 1 of SMG has plain and 2023, got 2025"):
        submit(run, 1, "2025")


def test_ids_of_another_split_of_ma52_are_refused(others):
    run = others("ma52")
    root = Path(run.provenance()["where"]["data"])
    (root / "keypoints/test0002.npy").rename(root / "keypoints/mine.npy")
    (root / "test_list_videos.txt").write_text("test0000.mp4 0\ntest0001.mp4 0\nmine.mp4 0\n")
    with pytest.raises(DataError, match=r"such as test0000, got mine; set the format to plain"):
        submit(run, 1)


def test_the_command_prints_the_path_of_the_zip(finished, tmp_path, capsys):
    finished()
    main(["submit", "gestures", "--track", "1", "--out", str(tmp_path / "mine")])
    printed = capsys.readouterr().out.strip()
    assert printed == f"submission: {tmp_path / 'mine' / 'prediction.zip'}"
    with pytest.raises(SystemExit) as end:
        main(["submit", "gestures", "--track", "3"])
    assert end.value.code == 1


@pytest.fixture
def segments(tmp_path, monkeypatch):
    """Writes a run with three segments in two of the three test videos of SMG at 28 a second."""
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path / "home"))

    def write(first=1, task="recognition"):
        root = tmp_path / f"smg{first}"
        for number in (1, 36, 37, 38):
            part = "train" if number == 1 else "test"
            folder = root / f"smg_skeleton_{part}/Sample{number:04d}"
            folder.mkdir(parents=True)
            (folder / f"{folder.name}_data.csv").write_text("200,28,0\n")
            if number == 1:
                (folder / f"{folder.name}_finelabels.csv").write_text(f"5,{first},9\n")
        index = read_index(root)
        rows = [("Sample0037", 16, 0, 27, 0.5, True), ("Sample0036", 3, 14, 41, 0.75, True)]
        rows += [("Sample0036", 0, 0, 27, 0.25, True), ("Sample0036", 0, 5, 27, 0.1, False)]
        rows += [("Sample0001", 0, 0, 27, 0.9, True)]
        names = ["video_id", "label", "start", "end", "confidence", "kept"]
        table = pd.DataFrame(rows, columns=names).assign(split=["test"] * 4 + ["train"])
        table.insert(0, "segment_id", [f"{n}" for n in range(len(table))])
        run = Run(runs_folder() / f"finder{first}")
        run.write_json("settings.json", {"task": task, "settings": {}, "data": {}})
        run.write_json("vocabulary.json", index.vocabulary.to_dict())
        run.write_predictions(table)
        run.write_json(
            "provenance.json", {"where": {"data": str(root), "store": ""}, "remarks": []}
        )
        run.write_scores(pd.DataFrame())
        return run

    return write


@pytest.mark.parametrize("first", [0, 1])
def test_track_2_of_2023_has_a_file_for_each_sequence_as_the_labels_are(segments, first):
    with zipfile.ZipFile(submit_segments(segments(first))) as file:
        texts = {name: file.read(name).decode() for name in file.namelist()}
    assert texts == {
        "Sample0036_prediction.csv": f"1,{first},{27 + first}\n4,{14 + first},{41 + first}\n",
        "Sample0037_prediction.csv": f"17,{first},{27 + first}\n",
        "Sample0038_prediction.csv": "",
    }


@pytest.mark.parametrize("ending", ["", ".mp4"])
def test_a_template_decides_columns_units_and_the_ending_of_ids(segments, tmp_path, ending):
    template = tmp_path / "sample_submission.csv"
    head = ",video_id,t_start,t_end,class,score"
    template.write_text(f"{head}\n0,Sample0036{ending},0.0,1.0,3,0.5\n")
    name, lines = lines_of(submit_segments(segments(), template=template))
    assert name == "prediction.csv"
    assert lines == [
        head,
        f"0,Sample0036{ending},0.0,1.0,0,0.25",
        f"1,Sample0036{ending},0.5,1.5,3,0.75",
        f"2,Sample0037{ending},0.0,1.0,16,0.5",
        "",
    ]
    _, (_, *named, _) = lines_of(submit_segments(segments(0), template=template, numbering="csv"))
    assert [line.split(",")[4] for line in named] == ["1", "4", "17"]


def test_the_plain_form_of_segments_has_frames_and_ids_of_classes(segments):
    _, lines = lines_of(submit_segments(segments(), "plain"))
    assert lines[:2] == ["video_id,start,end,class,confidence", "Sample0036,0,27,1,0.25"]


def test_segments_that_do_not_fit_a_form_or_template_are_refused(segments, tmp_path):
    run, template = segments(), tmp_path / "x.csv"
    template.write_text("video_id,start,end,class\nSample0099,0,1,1\n")
    with pytest.raises(DataError, match="expected the template's videos in the test split, got"):
        submit_segments(run, template=template)
    with pytest.raises(DataError, match=r"nowhere.csv: not a readable CSV .*"):
        submit_segments(run, template=tmp_path / "nowhere.csv")
    with pytest.raises(SettingsError, match="expected columns of segments, got 'weather'"):
        submit_segments(run, header="video_id,weather")
    with pytest.raises(SettingsError, match="format: expected plain or 2023, or a template"):
        submit_segments(run, "2024")
    with pytest.raises(RunError, match="expected a run for track 1, got one of recognition"):
        submit(run, 1)


def test_the_command_needs_no_track_for_a_run_of_recognition(segments, finished, capsys):
    run = segments()
    main(["submit", str(run.folder)])
    assert capsys.readouterr().out.strip().endswith("submissions/track2-2023/prediction.zip")
    for words in (["--track", "2"], ["--template", "x.csv", "--track", "1"], []):
        with pytest.raises(SystemExit) as end:
            main(["submit", str(finished().folder), *words])
        assert end.value.code == 2 and "track: expected track 1 or 3" in capsys.readouterr().err


def test_segments_are_not_shown_as_classified_clips(segments):
    with pytest.raises(RunError, match="got segments of whole videos; name another"):
        read_predictions(segments())
