"""A damaged run folder: every command that reads it ends in one sentence, and others go on."""

import os
import shutil
from contextlib import suppress

import pytest

from imigue_lab.app import main
from imigue_lab.errors import RunError
from imigue_lab.results.open import OpenRun, finished_runs, load_run
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.leaks import RECORD, refuse_leaked
from imigue_lab.training.runs import Run, find_run

FILES = [
    *("settings.json", "vocabulary.json", "scores.json", "provenance.json", "predictions.parquet"),
    *("metrics.csv", "resume.pt", "best.safetensors", "last.safetensors"),
]
DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "absent": lambda path: path.unlink(),
    "of another kind": lambda path: path.write_text("[3]"),
    "without its entries": lambda path: path.write_text("{}"),
    "of random bytes": lambda path: path.write_bytes(bytes(range(256))),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}
VIEWED = ("index", "model")
RESULTS = ("scores.json", "provenance.json", "predictions.parquet", "metrics.csv")


@pytest.fixture
def damaged(trained):
    """Copies the trained run, damages one file, and removes the copy afterwards."""
    folder = trained[0].folder.parent / "damaged"

    def copy(name, damage, run=trained[0]):
        shutil.copytree(run.folder, folder)
        DAMAGES[damage](folder / name)
        return Run(folder)

    yield copy
    shutil.rmtree(folder, ignore_errors=True)


def outcome_of(capsys, *words):
    """What a command ends with: "" if it succeeds, else its one sentence."""
    status = 0
    try:
        main([str(word) for word in words])
    except SystemExit as ended:
        status = ended.code
    sentence = capsys.readouterr().err.strip() if status else ""
    assert status in (0, 1, 2) and len(sentence.splitlines()) == bool(status), sentence
    return sentence


def test_the_damaged_files_below_are_all_files_of_a_run(trained, looked):
    written = {path.name for path in trained[0].folder.iterdir() if path.is_file()}
    assert written - {".lock"} == set(FILES)
    assert {path.name for path in looked.run.folder.iterdir()} - {*FILES, ".lock"} == {RECORD}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_every_command_on_a_damaged_run_ends_in_a_sentence(
    damaged, trained, capsys, tmp_path, name, damage
):
    damaged(name, damage)
    sentences = [
        outcome_of(capsys, "compare", "damaged", trained[0].folder),
        outcome_of(capsys, "card", "damaged"),
        outcome_of(capsys, "submit", "damaged", "--track", 3, "--out", tmp_path),
        outcome_of(capsys, "table", "damaged"),
        outcome_of(capsys, "fuse", "damaged", trained[0].folder),
    ]
    if name in (*RESULTS[:3], "settings.json"):
        assert any(f"damaged/{name}" in own or "no finished run" in own for own in sentences)
    for read in (OpenRun.predictions, OpenRun.scores, *(vars(OpenRun)[n].func for n in VIEWED)):
        with suppress(RunError):
            read(load_run("damaged"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["vocabulary.json", "predictions.parquet", RECORD])
def test_a_damaged_run_of_gestures_is_refused_and_never_shown_by_other_names(
    damaged, looked, capsys, tmp_path, name, damage
):
    run = damaged(name, damage, looked.run)
    if name == RECORD:
        with pytest.raises(RunError, match=f"damaged/{RECORD}: .*train"):
            refuse_leaked(run)
        return
    sentences = [
        outcome_of(capsys, "card", "damaged"),
        outcome_of(capsys, "fuse", "damaged", "looked"),
        outcome_of(capsys, "submit", "damaged", "--track", 1, "--out", tmp_path),
    ]
    assert all(f"damaged/{name}" in sentence for sentence in sentences), sentences


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["settings.json", "resume.pt", "best.safetensors"])
def test_a_damaged_run_that_is_trained_on_ends_in_a_sentence_or_is_made_whole(
    damaged, trained, synthetic, name, damage
):
    run = damaged(name, damage)
    (run.folder / "scores.json").unlink()
    given = {"data": str(synthetic), "epochs": 3, "width": 8, "heads": 2, "name": "damaged"}
    settings = EmotionSettings.from_arguments(given)
    if damage == "absent" and name != "best.safetensors":  # a run that starts anew
        train_emotion(settings, trained[1])
        assert run.scores().equals(trained[0].scores())
    else:
        with pytest.raises(RunError, match=rf"damaged/{name}: .* train again"):
            train_emotion(settings, trained[1])


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_written_anew_as_the_sentence_advises(damaged, trained, synthetic, name):
    run = damaged(name, "cut")
    (run.folder / "scores.json").unlink()
    given = {"data": str(synthetic), "epochs": 3, "width": 8, "heads": 2, "name": "damaged"}
    train_emotion(EmotionSettings.from_arguments(given), trained[1])
    assert run.scores().equals(trained[0].scores())
    assert run.predictions().equals(trained[0].predictions())
    assert run.metrics().equals(trained[0].metrics())


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "absent"])
@pytest.mark.parametrize("name", ["settings.json", "scores.json", "provenance.json"])
def test_lists_of_runs_name_a_damaged_one_and_show_the_others(
    damaged, trained, capsys, name, damage
):
    damaged(name, damage)
    if name == "settings.json" and damage == "cut":
        assert outcome_of(capsys, "table") == ""
    assert trained[0].folder in [run.folder for run in finished_runs("emotion")]
    assert f"note: left out: {trained[0].folder.parent / 'damaged' / name}: " in (
        capsys.readouterr().out
    )


def test_scores_of_an_earlier_version_are_left_out_of_lists_and_named(damaged, trained, capsys):
    run = damaged("metrics.csv", "empty")
    run.write_scores(trained[0].scores().drop(columns=["clusters", "unit"]))
    assert run.folder not in [own.folder for own in finished_runs("emotion")]
    assert "damaged/scores.json: was written by an earlier version" in capsys.readouterr().out


def test_a_name_that_is_too_long_for_a_file_is_an_unknown_run(trained):
    with pytest.raises(RunError, match=r"no finished run; there are: .*trained"):
        find_run("x" * 300)


def test_a_file_is_synced_to_disk_before_it_takes_its_name(trained, monkeypatch, tmp_path):
    done, run = [], Run(tmp_path)
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: done.append("sync") or sync(file))
    monkeypatch.setattr(os, "replace", lambda *a: done.append("rename") or replace(*a))
    run.write_json("settings.json", {})
    run.write_predictions(trained[0].predictions())
    run.write_scores(trained[0].scores())
    run.save_weights("best", trained[0].load_weights("best"), {})
    run.save_resume({})
    assert done == ["sync", "rename"] * 5
