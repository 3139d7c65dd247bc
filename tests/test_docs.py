"""The pages under docs say what is so: their code runs, their sentences and links are there."""

import ast
import inspect
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imigue_lab.app import build_parser, main
from imigue_lab.app.study_commands import given_settings
from imigue_lab.data.videos.video import write_video
from imigue_lab.models.checkpoints.registry import FAMILIES
from imigue_lab.studies.settings import AblationSettings, SearchSettings
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.emotion.settings import EmotionSettings

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
OF_COMMANDS = {
    "run_ablation": AblationSettings,
    "run_search": SearchSettings,
    "train_emotion": EmotionSettings,
    "train_baseline": BaselineSettings,
}
PAGES = [CHECKOUT / "README.md", *sorted(DOCS.glob("*.md"))]


def blocks(page, language):
    """The fenced blocks of a language: the file that their first line names, and the rest."""
    for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL):
        first, _, rest = block.partition("\n")
        yield first.removeprefix("# "), rest


def commands(page):
    """The indented lines that call the command line."""
    return re.findall(r"^    (imigue-lab .*)$", page.read_text(), re.MULTILINE)


def call(words, folder, **environment):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, (words, done.stderr[-2000:])
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_resolves(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    ours = [link for link in links if not link.startswith(("http:", "https:"))]
    assert not [link for link in ours if not (page.parent / link).exists()]


def test_the_page_on_checkpoints_names_every_family_and_its_own_options():
    rows = re.findall(r"^\| `(.+?)` \|.*\| (.*?) ?\|$", (DOCS / "checkpoints.md").read_text(), re.M)
    assert [family for family, _ in rows] == [*FAMILIES]
    for family, told in rows:
        own = set(inspect.signature(FAMILIES[family].read).parameters)
        assert set(re.findall(r"`(\w+)`", told)) - {"full", "tiny"} <= own, family


def test_what_the_page_on_adding_a_model_says_gives_a_model_that_trains(tmp_path, synthetic):
    page = DOCS / "adding_a_model.md"
    for name in ("imigue_lab", "tests/models"):
        ignore = shutil.ignore_patterns("__pycache__", "test_*")
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=ignore)
    for name, code in blocks(page, "python"):
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(code)
    for name, change in blocks(page, "diff"):
        lines = [(line[:1], line[1:]) for line in change.splitlines()]
        old = "\n".join(text for mark, text in lines if mark != "+")
        new = "\n".join(text for mark, text in lines if mark != "-")
        source = (tmp_path / name).read_text()
        assert source.count(old) == 1, f"{name} has no single place for:\n{change}"
        (tmp_path / name).write_text(source.replace(old, new))
    path = {"PYTHONPATH": str(tmp_path)}
    own = "tests/models/test_pose_gru.py"
    call(["-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", own], tmp_path, **path)
    train, *others = commands(page)
    told = call(["-m", *to_module(train), "--data", str(synthetic)], tmp_path, **path)
    assert "model" in told and "always" in told
    for line in others:
        told = call(["-m", *to_module(line)], tmp_path, **path)
        assert "my-gru" in told
    assert Path(told.strip()).name == "card.html"


def to_module(line):
    return ["imigue_lab", *shlex.split(line)[1:]]


def test_what_the_page_on_your_own_data_says_works(tmp_path, monkeypatch, capsys):
    page = DOCS / "your_data.md"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recordings").mkdir()
    write_video(tmp_path / "recordings/anna.mp4", np.zeros((20, 64, 64, 3), np.uint8), 25)
    for name, code in blocks(page, "python"):
        (tmp_path / name).write_text(code)
    lines = re.findall(r"^    ((?:mkdir|python|imigue-lab) .*)$", page.read_text(), re.MULTILINE)
    assert len(lines) == 11
    for line in lines:
        program, *words = shlex.split(line)
        if program == "mkdir":
            for folder in words[1:]:
                (tmp_path / folder).mkdir(parents=True)
        elif program == "python":
            runpy.run_path(words[0])
        else:
            main(words)
    told = capsys.readouterr().out
    assert "always win" in told and "made 1 items" in told
    assert "error, " not in told


def test_every_command_of_the_page_on_scaling_is_one_that_is_taken():
    page = (DOCS / "scaling.md").read_text().replace("\\\n", " ")
    lines = re.findall(
        r"^ *(?:OMP_NUM_THREADS=\S+ )?(imigue-lab|torchrun) (.*)$", page, re.MULTILINE
    )
    assert len(lines) == 7
    for program, rest in lines:
        words = shlex.split(rest.partition("-m imigue_lab")[2] if program == "torchrun" else rest)
        options = build_parser().parse_args(words)
        given_settings(OF_COMMANDS[options.run.__name__], options)


def said_in_code():
    """Every text of the package; what is filled in later is …"""
    for path in (CHECKOUT / "imigue_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                values = node.values
                yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_sentence_that_the_page_on_trouble_quotes_is_one_of_the_code():
    page = (DOCS / "troubleshooting.md").read_text()
    quoted = re.findall(r"^> (.*)$", page, re.MULTILINE)
    assert len(quoted) > 15
    said = set(said_in_code())
    assert not [sentence for sentence in quoted if sentence not in said]
