"""A finished run is opened with what it was made from, or refused in a sentence."""

import numpy as np
import pytest

from imigue_lab.errors import RunError, SettingsError
from imigue_lab.results.open import open_emotion_run, open_gesture_run
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.runs import Run
from imigue_lab.views.attention.maps import AttentionSettings
from imigue_lab.views.gates.values import GatesSettings


def asked(**given):
    return GatesSettings.from_arguments(given)


def test_a_run_is_opened_by_name_with_its_own_settings_and_data(trained, synthetic):
    run, data = trained
    opened = open_emotion_run("trained", asked())
    assert opened.run == run
    assert (opened.settings.width, opened.settings.data) == (8, str(synthetic))
    assert opened.data.identity() == data.identity()
    assert opened.index.root == synthetic


def test_demo_is_the_run_that_02_makes_as_committed(synthetic, monkeypatch):
    seen = []

    def train(settings, data):
        seen.append(settings)
        return Run(synthetic)

    monkeypatch.setattr("imigue_lab.results.open.train_emotion", train)
    open_emotion_run("demo", asked(data=str(synthetic)))
    assert seen == [EmotionSettings.from_arguments({"data": str(synthetic)})]


def test_other_data_under_the_same_run_are_refused(trained, plain, quick):
    root = plain()
    streams = {"context": str(root / "context"), "face": str(root / "face")}
    train_emotion(quick(data=str(root), name="own", epochs=1, **streams))
    np.save(root / "face" / "v0.npy", np.ones((6, 3)))
    with pytest.raises(RunError, match=r"made from other data \(digest differ\); name their root"):
        open_emotion_run("own", asked())


def test_a_run_that_is_not_there_or_of_another_task_is_refused(trained, tmp_path):
    with pytest.raises(RunError, match=r"no finished run; there are: .*trained"):
        open_emotion_run("nowhere", asked())
    other = Run(tmp_path / "other")
    other.write_json("settings.json", {"task": "gesture", "settings": {}, "data": {}})
    other.write_json("scores.json", [])
    with pytest.raises(RunError, match="is a run of gesture; name one of emotion"):
        open_emotion_run(str(other.folder), asked())


def test_a_video_named_as_a_number_is_refused():
    with pytest.raises(SettingsError, match="use -r video 3"):
        asked(video=3)


def test_a_gesture_run_is_opened_with_the_encoder_runs_it_was_made_with(looked, synthetic):
    assert looked.run.folder.name == "looked"
    assert (looked.settings.width, looked.settings.data) == (24, str(synthetic))
    assert [run.folder.name for run in looked.data.runs] == ["looked-joint", "looked-bone"]
    assert looked.data.identity() == looked.run.settings()["data"]
    assert looked.index.root == synthetic


def test_demo_is_the_run_that_01_makes_as_committed(looked, synthetic, monkeypatch):
    seen = []

    def train(settings, data):
        seen.append((settings, data))
        return looked.run

    monkeypatch.setattr("imigue_lab.results.open.train_gesture", train)
    monkeypatch.setattr("imigue_lab.results.open.load_gesture_tokens", lambda _: looked.data)
    open_gesture_run("demo", AttentionSettings.from_arguments({"data": str(synthetic)}))
    assert seen == [(GestureSettings.from_arguments({"data": str(synthetic)}), looked.data)]


def test_a_run_of_emotion_is_no_gesture_run(trained):
    with pytest.raises(RunError, match="is a run of emotion; name one of gesture"):
        open_gesture_run("trained", AttentionSettings())
