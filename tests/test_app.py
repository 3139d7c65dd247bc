"""The command line: its help, its exit statuses, and the notebooks' settings as options."""

import pytest

from imigue_lab.app import main
from imigue_lab.data.synthetic.story import LAYOUTS
from imigue_lab.training.settings import EmotionSettings


def run(*words):
    """Exit status of one command."""
    try:
        main(words)
    except SystemExit as end:
        return end.code or 0
    return 0


def test_help_names_the_commands(capsys):
    assert run("--help") == 0
    told = capsys.readouterr().out
    assert all(command in told for command in ("make-data", "train", "html"))


def test_every_setting_is_an_option_with_its_help(capsys):
    assert run("train", "emotion", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    for name, field in EmotionSettings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in told
        assert field.description in told


def test_make_data_and_train_end_with_a_score_table(tmp_path, capsys):
    root = str(tmp_path / "tree")
    assert run("make-data", root, "--videos", "12", "--no-pictures", "--seed", "4") == 0
    assert "12 made-up interviews" in capsys.readouterr().out
    words = ["--data", root, "--epochs", "1", "--width", "8", "--heads", "2"]
    assert run("train", "emotion", *words, "--max-windows", "5") == 0
    assert "always win" in capsys.readouterr().out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_make_data_writes_every_layout(tmp_path, capsys, layout):
    root = str(tmp_path / "tree")
    words = ["--layout", layout, "--size", "full", "--videos", "3", "--no-pictures"]
    assert run("make-data", root, *words) == 0
    assert "3 made-up interviews with 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["train", "emotion", "--gama", "1"], 2, "unrecognized arguments: --gama"),
        (["train", "emotion", "--gamma", "-1"], 2, "gamma: input should be greater"),
        (["train", "emotion", "--gamma", "high"], 2, "gamma: input should be a valid number"),
        (["train"], 2, "required"),
        (["make-data", "here", "--videos", "0"], 2, "at least 1"),
        (["train", "emotion", "--data", "/nowhere"], 1, "/nowhere: no such folder"),
        (["html", "none.ipynb"], 1, "none.ipynb: no such notebook"),
    ],
)
def test_exit_status_tells_words_from_data(words, status, complaint, capsys):
    assert run(*words) == status
    told = capsys.readouterr().err
    assert complaint in told
    assert "Traceback" not in told
