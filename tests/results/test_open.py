"""A finished run is opened with its settings, data and model, or refused with a reason."""

import shlex

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.app import build_parser, given_settings
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.results.fuse import fuse
from imigue_lab.results.open import (
    FusionSettings,
    command_of,
    explicit_settings,
    load_run,
    open_emotion_run,
    open_gesture_run,
    settings_of,
)
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import load_emotion, train_emotion
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import PLACES
from imigue_lab.training.tasks import TASKS
from imigue_lab.views.attention.maps import AttentionSettings
from imigue_lab.views.gates.interview import GatesSettings


def requested(**given):
    return GatesSettings.from_arguments(given)


def test_a_run_is_opened_by_name_with_its_own_settings_and_data(trained, synthetic):
    run, data = trained
    opened = open_emotion_run("trained", requested())
    assert opened.run == run
    assert (opened.settings.width, opened.settings.data) == (8, str(synthetic))
    assert opened.data.identity() == data.identity()
    assert opened.index.root == synthetic


def same_weights(model, other):
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    return not model.training and all(torch.equal(a, b) for a, b in pairs)


def test_load_run_opens_an_emotion_run(trained):
    run, data = trained
    opened = load_run("trained")
    assert (opened.task, opened.settings.width) == ("emotion", 8)
    pd.testing.assert_frame_equal(opened.predictions(), run.predictions())
    pd.testing.assert_frame_equal(opened.scores(), run.scores())
    assert opened.model is opened.model
    assert same_weights(opened.model, load_emotion(run))
    assert opened.data.identity() == data.identity()


def test_load_run_opens_gesture_and_baseline_runs_and_a_fusion_without_model(looked):
    gesture = load_run("looked")
    assert gesture.task == "gesture" and same_weights(gesture.model, load_gesture(looked.run))
    assert gesture.data.identity() == looked.data.identity()
    joint = load_run(str(looked.data.runs[0].folder))
    assert joint.task == "baseline" and joint.settings.stream == "joint"
    assert not joint.model.training
    assert len(joint.data.split.clips) == len(joint.predictions())
    fused = load_run(fuse(["looked-joint", "looked-bone"]).folder.name)
    assert fused.task == "fusion" and len(fused.scores()) and len(fused.predictions())
    for name in ("model", "data"):
        with pytest.raises(RunError, match="load one of its runs: looked-joint, looked-bone"):
            getattr(fused, name)


def test_load_run_demo_is_the_committed_emotion_run(trained, monkeypatch):
    run, data = trained
    monkeypatch.setattr("imigue_lab.training.emotion.data.load_emotion_data", lambda _: data)
    settings = []
    monkeypatch.setattr(
        "imigue_lab.training.emotion.train.train_emotion", lambda s, d: settings.append(s) or run
    )
    opened = load_run("demo")
    assert opened.run == run and opened.data is data
    assert settings == [EmotionSettings()] == [opened.settings]


def test_demo_is_the_run_of_the_committed_02(synthetic, monkeypatch):
    seen = []

    def train(settings, data):
        seen.append(settings)
        return Run(synthetic)

    monkeypatch.setattr("imigue_lab.training.emotion.train.train_emotion", train)
    open_emotion_run("demo", requested(data=str(synthetic)))
    assert seen == [EmotionSettings.from_arguments({"data": str(synthetic)})]


def test_a_run_whose_data_have_changed_is_refused(trained, plain, quick):
    root = plain()
    streams = {"context": str(root / "context"), "face": str(root / "face")}
    train_emotion(quick(data=str(root), name="own", epochs=1, **streams))
    np.save(root / "face" / "v0.npy", np.ones((6, 3)))
    with pytest.raises(RunError, match=r"trained on other data \(digest differ\); name their root"):
        open_emotion_run("own", requested())
    assert load_run("own").model is not None
    with pytest.raises(RunError, match="trained on other data"):
        load_run("own").data  # noqa: B018


def test_a_missing_run_or_one_of_another_task_is_refused(trained, tmp_path):
    with pytest.raises(RunError, match=r"no finished run; there are: .*trained"):
        open_emotion_run("nowhere", requested())
    other = Run(tmp_path / "other")
    other.write_json("settings.json", {"task": "gesture", "settings": {}, "data": {}})
    other.write_json("scores.json", [])
    with pytest.raises(RunError, match="is a run of gesture; name one of emotion"):
        open_emotion_run(str(other.folder), requested())


def test_a_video_given_as_a_number_is_refused():
    with pytest.raises(SettingsError, match="use -r video, with"):
        requested(video=3)


def test_a_gesture_run_is_opened_with_the_encoder_runs_of_its_training(looked, synthetic):
    assert looked.run.folder.name == "looked"
    assert (looked.settings.width, looked.settings.data) == (24, str(synthetic))
    assert [run.folder.name for run in looked.data.runs] == ["looked-joint", "looked-bone"]
    assert looked.data.identity() == looked.run.settings()["data"]
    assert looked.index.root == synthetic


def test_demo_is_the_run_of_the_committed_01(looked, synthetic, monkeypatch):
    seen = []

    def train(settings, data):
        seen.append((settings, data))
        return looked.run

    monkeypatch.setattr("imigue_lab.training.gestures.train.train_gesture", train)
    place = "imigue_lab.training.gestures.tokens.load_gesture_tokens"
    monkeypatch.setattr(place, lambda _: looked.data)
    open_gesture_run("demo", AttentionSettings.from_arguments({"data": str(synthetic)}))
    assert seen == [(GestureSettings.from_arguments({"data": str(synthetic)}), looked.data)]


def test_an_emotion_run_is_refused_as_a_gesture_run(trained):
    with pytest.raises(RunError, match="is a run of emotion; name one of gesture"):
        open_gesture_run("trained", AttentionSettings())


@pytest.mark.parametrize("name", TASKS)
def test_every_place_of_the_task_table_exists(name):
    task = TASKS[name]
    assert all(map(callable, (task.load_data, task.train, task.load_model)))
    assert set(task.reads.split()) <= set(task.settings.model_fields)


def stored(folder, task, given):
    """A run folder as training writes it, and its settings."""
    kind = FusionSettings if task == "fusion" else TASKS[task].settings
    settings, run = kind.from_arguments(given), Run(folder)
    run.write_json(
        "settings.json", {"task": task, "settings": settings.result_settings(), "data": {}}
    )
    where = {name: value for name, value in settings.model_dump().items() if name in PLACES}
    run.write_json("provenance.json", {"where": where, "remarks": []})
    return run, settings


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ("emotion", {}),
        ("emotion", {"gamma": 1.0, "gate": "convex", "data": "/some where/iMiGUE", "name": "0001"}),
        ("emotion", {"preset": "paper", "lr": 1e-4, "fold": 3}),
        ("gesture", {"fusion": "late"}),
        ("gesture", {"preset": "paper", "criteria": "semantic,spatial", "finetune": True}),
        ("gesture", {"rgb_run": "pictures", "finetune_rgb": True}),
        ("baseline", {"model": "tsm"}),
        ("baseline", {"model": "ctr-gcn", "stream": "bone", "preset": "paper"}),
        ("baseline", {"model": "dg-stgcn", "preset": "paper", "epochs": 3, "patience": 2}),
    ],
)
def test_the_command_reproduces_the_settings_of_the_run(tmp_path, task, given):
    run, settings = stored(tmp_path / "run", task, given)
    assert settings_of(run) == settings
    program, *words = shlex.split(command_of(run))
    assert program == "imigue-lab"
    assert given_settings(TASKS[task].settings, build_parser().parse_args(words)) == settings


def test_only_settings_that_differ_from_preset_and_defaults_are_explicit(tmp_path):
    _, settings = stored(tmp_path, "baseline", {"model": "ctr-gcn", "preset": "paper", "seed": 4})
    assert explicit_settings(settings) == {"model": "ctr-gcn", "preset": "paper", "seed": 4}
    _, settings = stored(tmp_path, "emotion", {"gamma": 0.5})
    assert explicit_settings(settings) == {}


def test_the_command_of_a_fusion_names_its_runs(tmp_path):
    run, _ = stored(tmp_path, "fusion", {"runs": "one,two", "weights": "2:1", "name": "both"})
    options = build_parser().parse_args(shlex.split(command_of(run))[1:])
    assert (options.runs, options.weights, options.name) == (["one", "two"], "2:1", "both")
