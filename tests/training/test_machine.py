"""A run records the environment in which it was trained."""

import subprocess
import sys

import pytest
import torch

from imigue_lab.errors import SettingsError, without_password
from imigue_lab.studies.trials import SearchSettings, without_parts
from imigue_lab.training.session import (
    CHECKOUT,
    describe_environment,
    processor,
    revision,
)


def test_a_run_records_revision_packages_machine_seed_and_data(trained):
    run, data = trained
    output = run.provenance()
    assert set(output["git"]) == {"revision", "dirty"}
    assert output["packages"]["numpy"] and output["packages"]["torch"] in torch.__version__
    machine = output["machine"]
    assert machine["processor"] and machine["cores"] >= 1 and machine["memory_gb"] > 0.1
    assert machine["processes"] == 1
    assert run.settings()["settings"]["seed"] == 0
    assert run.settings()["data"] == data.identity()


def test_the_revision_is_marked_dirty_if_files_differ_from_it(tmp_path):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    (tmp_path / "pyproject.toml").write_text("")
    assert revision(tmp_path) == {"revision": None, "dirty": None}
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    clean = revision(tmp_path)
    assert len(clean["revision"]) == 40 and clean["dirty"] is False
    (tmp_path / "new.py").write_text("")
    assert revision(tmp_path) == {**clean, "dirty": True}


def test_packages_inside_another_repository_have_no_revision(tmp_path):
    subprocess.run(["git", "-C", tmp_path, "init"], check=True, capture_output=True)
    assert revision(tmp_path) == {"revision": None, "dirty": None}
    assert (CHECKOUT / "imigue_lab").is_dir()


def test_the_environment_is_plain_text_and_numbers():
    output = describe_environment(processes=4)
    assert output["machine"]["processes"] == 4
    assert isinstance(processor(), str) and processor()


@pytest.mark.parametrize("password", ["secret", "a:b", "p%40ss/w"])
def test_the_password_of_a_database_is_not_kept_with_a_run(monkeypatch, password):
    words = ["ablate", "--storage", f"postgresql://me:{password}@host:5432/studies"]
    monkeypatch.setattr(sys, "argv", words)
    output = describe_environment()["command"]
    assert output == ["ablate", "--storage", "postgresql://me:***@host:5432/studies"]


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        (
            "postgresql://host/db?user=me&password=secret",
            "postgresql://host/db?user=me&password=***",
        ),
        (
            "postgresql://host/db?password=secret&user=me",
            "postgresql://host/db?password=***&user=me",
        ),
        ("postgresql:/me:secret@host/db", "postgresql:/me:***@host/db"),
        ("postgresql:me:secret@", "postgresql:me:***@"),
        ("host=h user=me password=secret", "host=h user=me password=***"),
        ("host=h password = 'a secret' user=me", "host=h password = *** user=me"),
        ("postgresql://me:a secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p%40secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?PASSWORD=a;b'secret", "postgresql://host/db?PASSWORD=***"),
        ("postgresql://host/db?pass%77ord=secret", "postgresql://host/db?pass%77ord=***"),
        ("postgresql://me:secret", "postgresql://me:***"),
        ("--storage=//me:secret@host", "--storage=//me:***@host"),
    ],
)
def test_a_password_is_masked_in_every_form(monkeypatch, word, kept):
    assert without_password(word) == kept
    monkeypatch.setattr(sys, "argv", ["ablate", "--storage", word])
    assert describe_environment()["command"][-1] == kept
    with pytest.raises(SettingsError) as caught:
        SearchSettings.from_arguments({"storage": f"/{word}"})
    assert "secret" not in str(caught.value)


def test_no_part_of_a_password_is_in_a_text_about_its_url():
    url = "postgresql://me:p@ss%2Fword@host/db"  # its host may be taken for ss%2Fword@host
    error = "failed to resolve host 'ss%2Fword@host' of me: ss/word is unknown"
    assert without_parts(error, url) == (
        "failed to resolve host '***%***@host' of me: ***/*** is unknown"
    )


@pytest.mark.parametrize(
    "word", ["postgresql://me@host:5432/x", "sqlite:////a/b.db", "2:2:1:1", "labels:/a.csv"]
)
def test_text_without_a_password_is_unchanged(word):
    assert without_password(word) == word
