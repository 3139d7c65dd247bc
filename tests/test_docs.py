"""README and the pages under docs: code and commands run, links, paths and quotations exist."""

import ast
import importlib
import inspect
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from papermill.cli import _resolve_type
from papermill.cli import papermill as papermill_command

from benchmarks.stranger import blocks, write_files
from imigue_lab.app import build_parser, main
from imigue_lab.app.study_commands import given_settings
from imigue_lab.data.elan import write_eaf
from imigue_lab.data.segments import as_segments
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.videos.video import write_video
from imigue_lab.data.vocabulary import BUILTIN, Vocabulary, builtin
from imigue_lab.models.baselines import TABLE
from imigue_lab.models.checkpoints.registry import FAMILIES
from imigue_lab.results.open import FusionSettings
from imigue_lab.studies.trials import AblationSettings, SearchSettings
from imigue_lab.training.prepare import ExtractSettings
from imigue_lab.training.tasks import TASKS
from tests.parameters import SETTINGS

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
PAGES = [README, *sorted(DOCS.glob("*.md"))]


def commands(page):
    """The indented lines that run `imigue-lab`."""
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


@pytest.mark.parametrize(
    "page", [*CHECKOUT.glob("*.md"), *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name
)
def test_every_source_file_and_benchmark_that_a_page_names_exists(page):
    text = page.read_text()
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.py)`", text)
    paths += [f"benchmarks/{name}.py" for name in re.findall(r"`benchmarks\.(\w+)`", text)]
    created = {name for language in ("python", "diff") for name, _ in blocks(text, language)}
    roots = (CHECKOUT, CHECKOUT / "imigue_lab")
    missing = {path for path in paths if not any((root / path).exists() for root in roots)}
    assert not missing - created


def test_the_readme_reports_six_results_at_most_each_from_the_page_on_benchmarks():
    rows = re.findall(r"^\| .* \| `(?:make|benchmarks).*` \|$", README.read_text(), re.MULTILINE)
    assert 0 < len(rows) <= 6
    measured = set(re.findall(r"\d[\d.,]*\d|\d", (DOCS / "benchmarks.md").read_text()))
    for row in rows:
        _, _, metric, ours, baseline, *_ = row.split("|")
        assert set(re.findall(r"\d[\d.,]*\d|\d", metric + ours + baseline)) <= measured, row


PROGRAM = r"(?:imigue-lab|torchrun|papermill) "
SHOWN = {"README.md": 6, "recipes.md": 22, "scaling.md": 7}  # commands outside sentences


def documented(text):
    """Every command of a page in words, also of a script: whole lines, then those in sentences.

    Presets in a table are of `train baseline`.
    """
    text = text.replace("\\\n", " ")
    lines = re.findall(rf"^ *(?:\w+=\S+ )*({PROGRAM}.*)", text, re.MULTILINE)
    lines += [
        f"imigue-lab train baseline {own}" for own in re.findall(r"\| `(--preset .*?)` \|", text)
    ]
    sentences = [own for own in re.findall(rf"`({PROGRAM}[^`]+)`", text) if "…" not in own]
    for line in [*lines, *sentences]:
        yield shlex.split(re.split(r" +# | > ", line)[0]), line in sentences


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_valid(page, capsys):
    if page.name == "adding_a_model.md":
        return  # with a model of its own; its commands run below
    given = [*documented(page.read_text())]
    shown = sum(not within_a_sentence for _, within_a_sentence in given)
    assert shown == SHOWN.get(page.name, shown)
    for (program, *words), within_a_sentence in given:
        if program == "papermill":
            check_parameters(words)
            continue
        if program == "torchrun":
            words = words[words.index("imigue_lab") + 1 :]
        try:
            options = build_parser().parse_args(words)
        except SystemExit as end:
            message = capsys.readouterr().err
            left_out = within_a_sentence and "are required" in message
            if end.code and not left_out:
                pytest.fail(message)
            continue
        check_options(words[0], options)


def check_options(command, options):
    """The settings are those that the command would run with."""
    settings = {"ablate": AblationSettings, "search": SearchSettings, "extract": ExtractSettings}
    if command in ("train", "pretrain"):
        given_settings(TASKS[options.task].settings, options)
    elif command in settings:
        given_settings(settings[command], options)
    elif command == "fuse":
        given = {"runs": ",".join(options.runs), "weights": options.weights}
        FusionSettings.from_arguments(given)


def check_parameters(words):
    """Those of papermill exist in its notebook, with these values."""
    options = words[words.index("-p") :] if "-p" in words else []
    given = {
        name: _resolve_type(value) for name, value in zip(options[1::3], options[2::3], strict=True)
    }
    assert set(options[::3]) <= {"-p"}
    for path in re.findall(r"notebooks/\S+", " ".join(words)):
        assert (CHECKOUT / path).exists()
        SETTINGS[Path(path).stem].from_arguments(given)


def test_the_page_on_checkpoints_names_every_family_and_its_own_options():
    rows = re.findall(r"^\| `(.+?)` \|.*\| (.*?) ?\|$", (DOCS / "checkpoints.md").read_text(), re.M)
    assert [family for family, _ in rows] == [*FAMILIES]
    for family, options in rows:
        own = set(inspect.signature(FAMILIES[family].read).parameters)
        assert set(re.findall(r"`(\w+)`", options)) - {"full", "tiny"} <= own, family


def test_the_page_on_adding_a_model_gives_a_model_that_trains(tmp_path, synthetic):
    page = DOCS / "adding_a_model.md"
    for name in ("imigue_lab", "tests/models"):
        ignore = shutil.ignore_patterns("__pycache__", "test_*")
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=ignore)
    write_files(page.read_text(), tmp_path)
    path = {"PYTHONPATH": str(tmp_path)}
    own = "tests/models/test_pose_gru.py"
    call(["-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", own], tmp_path, **path)
    train, *others = commands(page)
    lines = [f"{train} --data {synthetic}", *others]
    code = "import shlex, sys\nfrom imigue_lab.app import main\nfor line in sys.argv[1:]:\n"
    code += "    main(shlex.split(line)[1:])\n    print('=', flush=True)"
    trained, *outputs, _ = call(["-c", code, *lines], tmp_path, **path).split("=\n")
    assert "model" in trained and "always" in trained
    assert len(outputs) == len(others) > 0 and all("my-gru" in output for output in outputs)
    assert Path(outputs[-1].strip()).name == "card.html"


def test_every_step_of_the_page_on_your_own_data_works(tmp_path, monkeypatch, capsys):
    page = DOCS / "your_data.md"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recordings").mkdir()
    film, nod = tmp_path / "interviews/videos/anna.mp4", Vocabulary("", ("nod",), ("nod",), ("",))
    film.parent.mkdir(parents=True)
    for path in (tmp_path / "recordings/anna.mp4", film):
        write_video(path, np.zeros((20, 64, 64, 3), np.uint8), 25)
    annotated = {"label": [0], "start": [3], "end": [9], "confidence": [None]}
    annotated = as_segments(pd.DataFrame(annotated), np.arange(21) / 25)
    write_eaf(annotated, film, 25, tmp_path / "interviews/anna.eaf", nod)
    write_files(page.read_text(), tmp_path)
    lines = re.findall(
        r"^    ((?:mkdir|python|papermill|imigue-lab) .*)$", page.read_text(), re.MULTILINE
    )
    assert len(lines) == 24
    for line in lines:
        program, *words = shlex.split(line)
        if program == "mkdir":
            for folder in words[1:]:
                (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        elif program == "python":
            runpy.run_path(words[0])
        elif program == "papermill":
            done = CliRunner().invoke(papermill_command, [str(CHECKOUT / words[0]), *words[1:]])
            assert done.exit_code == 0, done.exception
        else:
            main(words)
    output = capsys.readouterr().out
    assert "always tense" in output and "extracted 1 items" in output
    assert "note: labels corrected by decided.csv: 1 relabelled (talk00_1); 1 left out" in output
    assert "error, " not in output
    assert "anna.eaf; 1 gestures" in output
    assert "anna_0,anna,3,9,nod" in (tmp_path / "interviews/clips.csv").read_text()


SMALLER = {  # in place of what needs published weights, or days
    "--preset paper": "--epochs 1",
    "--epochs 2": "--epochs 1",
    "--checkpoint imagenet": "",
    "train recognition": "train recognition --epochs 20 --lr 0.003",
    "full --context-weights kinetics400": "context-tiny",
    "--face-weights checkpoint_step_79999_gpu_0.pt": "",
    "outcomes.csv": "outcomes.csv --context context-tiny",
}


def test_every_step_of_the_page_on_the_challenge_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path / "home"))
    imigue = make_data(tmp_path / "iMiGUE", SyntheticSpec(videos=6))
    make_data(tmp_path / "SMG", SyntheticSpec(videos=9, size="long", layout="smg", pictures=False))
    outcomes = imigue.videos[["video_id", "outcome"]]
    outcomes.to_csv("outcomes.csv", header=["video_id", "label"], index=False)
    lines = commands(DOCS / "miga.md")
    assert len(lines) == 14
    for line in lines:
        for published, small in SMALLER.items():
            line = line.replace(published, small)
        main(shlex.split(line.replace("/data", str(tmp_path)))[1:])
    paths = re.findall("^submission: (.*)$", capsys.readouterr().out, re.MULTILINE)
    first, fused, segments, outcome = paths
    tested = [own[own.split == "test"] for own in (imigue.clips, imigue.videos)]
    rows = [len(pd.read_csv(path)) for path in (first, fused, outcome)]
    assert rows == [len(tested[0]), len(tested[0]), len(tested[1])]
    with zipfile.ZipFile(segments) as archive:
        names = archive.namelist()
    assert names and all(re.fullmatch(r"Sample\d+_prediction.csv", own) for own in names)


def test_the_page_on_classes_lists_every_class_with_its_number_and_id():
    page = (DOCS / "classes.md").read_text()
    for name, data in BUILTIN.items():
        own = builtin(name)
        section = page.partition(f"## {data}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (\d+) \| (\S+) \| (.+?) \|(?: (.+) \|)?$", section, re.MULTILINE)
        if name == "bold":
            assert ", ".join(own.classes) in section
        else:
            numbers = map(str, range(len(own)))
            assert rows == [*zip(numbers, own.ids, own.classes, own.groups, strict=True)]


def test_the_functions_on_the_way_of_the_data_are_in_the_files_named():
    rows = re.findall(
        r"^\| \w+ \| (`.*?) \| (`.*?\.py`) \|", (DOCS / "reading_the_code.md").read_text(), re.M
    )
    assert len(rows) == 10
    for functions, files in rows:
        found = [
            importlib.import_module(f"imigue_lab.{path[:-3].replace('/', '.')}")
            for path in re.findall(r"`(.*?)`", files)
        ]
        for name in re.findall(r"`(\w+)", functions):
            assert any(hasattr(module, name) for module in found), name


def texts_in_code():
    """Every string literal of the package; … stands for a formatted value."""
    for path in (CHECKOUT / "imigue_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                values = node.values
                yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_message_quoted_by_the_page_on_troubleshooting_occurs_in_the_code():
    page = (DOCS / "troubleshooting.md").read_text()
    quoted = re.findall(r"^> (.*)$", page, re.MULTILINE)
    assert len(quoted) > 15
    texts = set(texts_in_code())
    assert not [message for message in quoted if message not in texts]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_recipe_is_described_as_it_is_and_compared_with_the_published_one(row):
    page = (DOCS / "recipes.md").read_text()
    assert f"| `{row.name}` | {row.recipe} |\n" in page
    assert page.count(f"\n| `{row.name}` |") == 2
