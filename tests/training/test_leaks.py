"""An encoder that saw what a run holds out is refused by name, wherever it enters."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from imigue_lab.app import main
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import RunError
from imigue_lab.inference.analysis import chosen_run
from imigue_lab.inference.windows import AnalyseSettings
from imigue_lab.studies.ablations import ablate
from imigue_lab.studies.search import search
from imigue_lab.studies.trials import AblationSettings, SearchSettings
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import load_gesture_tokens
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.leaks import RECORD, read_training_clips, record_training_clips
from imigue_lab.training.runs import Run, find_run


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A tree of other interviews with the same ids, and runs of both streams on it."""
    root = tmp_path_factory.mktemp("others") / "interviews"
    make_data(root, SyntheticSpec(videos=32, pictures=False, seed=5))
    for stream in ("joint", "bone"):
        given = {"data": str(root), "frames": 8, "epochs": 1, "name": f"other-{stream}"}
        train_baseline(BaselineSettings.from_arguments({**given, "stream": stream}))
    return root


def copy_of(run, name):
    return Run(shutil.copytree(run.folder, run.folder.with_name(name)))


@pytest.fixture
def settings(looked):
    """Settings on the encoders of `looked`; keyword arguments change them."""
    given = {"data": looked.settings.data, "frames": 8, "epochs": 1, "warmup": 0}
    runs = {"joint_run": "looked-joint", "bone_run": "looked-bone"}
    return lambda **changes: GestureSettings.from_arguments({**given, **runs, **changes})


def test_a_run_records_its_training_clips(looked, index):
    train = set(index.clips.clip_id[index.clips.split == "train"])
    for name in ("looked", "looked-joint"):
        found = read_training_clips(Run(looked.run.folder.with_name(name)), "skeleton")
        assert set(found) == train and len(set(found.values())) > 0.9 * len(train)
    assert not read_training_clips(looked.run, "picture")


def test_an_encoder_of_another_data_root_is_refused_though_the_ids_agree(other, looked, capsys):
    data = looked.settings.data
    with pytest.raises(SystemExit) as error:
        main(["train", "gesture", "--data", data, "--frames", "8", "--joint-run", "other-joint"])
    assert error.value.code == 1
    said = capsys.readouterr().err
    assert "joint_run: expected an encoder trained on training clips of this run only" in said
    assert "got run 'other-joint', of whose" in said and "leave joint_run empty" in said


def test_a_changed_label_of_a_training_clip_is_noticed(settings, index):
    first = index.clips.split.eq("train").idxmax()
    clips = index.clips.copy()
    clips.loc[first, "label"] = 31 - clips.label[first]
    with pytest.raises(RunError, match=f"1 are held out here or differ: {clips.clip_id[first]};"):
        load_gesture_tokens(settings(), replace(index, clips=clips))


def test_an_encoder_without_a_record_of_its_clips_is_refused(settings, looked):
    old = copy_of(Run(looked.run.folder.with_name("looked-joint")), "old-joint")
    (old.folder / RECORD).unlink()
    with pytest.raises(RunError, match=r"training_clips.parquet: not found: .*; train it again"):
        load_gesture_tokens(settings(joint_run="old-joint"))


def test_a_search_and_an_ablation_refuse_it(other, looked, tmp_path):
    videos = read_index(other).videos  # too few subjects for a search: each video is one here
    people = tmp_path / "people.csv"
    videos.assign(subject=videos.video_id)[["video_id", "subject"]].to_csv(people, index=False)
    given = {"task": "gesture", "data": str(other), "trials": 1, "folds": 1}
    given["given"] = f"frames:8 epochs:1 joint_run:other-joint subjects:{people}"
    with pytest.raises(RunError, match=r"joint_run: .* run 'other-joint', of whose"):
        search(SearchSettings.from_arguments(given))
    given = {"task": "gesture", "data": looked.settings.data, "variants": "late", "seeds": 1}
    with pytest.raises(RunError, match=r"bone_run: .* got run 'other-bone'"):
        ablate(AblationSettings.from_arguments(given | {"given": "frames:8 bone_run:other-bone"}))


def test_an_analysis_and_every_view_refuse_a_run_with_such_an_encoder(looked):
    leaky = copy_of(looked.run, "leaky")
    clips = read_training_clips(leaky, "skeleton")
    record_training_clips(leaky, {"skeleton": dict(list(clips.items())[3:])})
    complaint = "leaky, joint_run: .* run 'looked-joint', of whose .* clips 3 are held out"
    with pytest.raises(RunError, match=complaint):
        chosen_run("leaky", "gesture", lambda _: leaky, AnalyseSettings())
    with pytest.raises(RunError, match=complaint):
        load_gesture(leaky)
    assert load_gesture(looked.run)


def test_unknown_subjects_are_reported_by_run_table_card_and_check(tmp_path, capsys):
    root = tmp_path / "miga"
    make_data(root, SyntheticSpec(videos=16, pictures=False, layout="miga2023"))
    (root / "emotion_labels.csv").unlink()
    words = ["train", "baseline", "--data", str(root), "--epochs", "1", "--frames", "8"]
    main([*words, "--fold", "0", "--name", "no-subjects"])
    remark = "note: subjects are unknown for 16 of 16 videos: each counts as a subject of its own"
    said = capsys.readouterr().out
    assert said.count(remark) == 2  # before training, and below the scores
    main([*words, "--fold", "0", "--name", "no-subjects"])
    assert remark in capsys.readouterr().out  # a finished run says it too
    main(["card", "no-subjects"])
    page = Path(capsys.readouterr().out.strip().removeprefix("card: ")).read_text()
    assert page.count("ubjects are unknown for 16 of 16 videos") >= 2
    main(["check", str(root), "--decode", "none"])
    assert "warning, unknown subjects: subjects are unknown, so a person may be" in (
        capsys.readouterr().out
    )

    names = [f"{n:04d}" for n in range(1, 17)]
    people = pd.DataFrame({"video_id": names, "subject": [f"p{n // 2}" for n in range(16)]})
    people.to_csv(tmp_path / "people.csv", index=False)
    given = ["--subjects", str(tmp_path / "people.csv")]
    main(["check", str(root), "--decode", "none", *given])
    main([*words, "--fold", "0", *given, "--name", "with-subjects"])
    assert "subjects are unknown" not in capsys.readouterr().out
    known = find_run("with-subjects").predictions()
    parts = known.groupby("split").subject.agg(set)
    assert set(known.subject) == {f"p{n}" for n in range(8)}
    assert not parts.train & parts.validation
    assert (
        find_run("with-subjects").settings()["data"] != find_run("no-subjects").settings()["data"]
    )
