"""The notebooks: their form, their parameters, and what papermill makes of them.

nbval runs their cells beside these tests (see the Makefile).
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from imigue_lab.training.guard import parameters_cell
from imigue_lab.training.settings import EmotionSettings

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
SETTINGS = {"02_train_emotion": EmotionSettings}
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
EMOTION = FOLDER / "02_train_emotion.ipynb"
TINY = {"epochs": 1, "width": 8, "heads": 2}


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_every_notebook_has_settings():
    assert {path.stem for path in NOTEBOOKS} == set(SETTINGS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_outputs_are_committed(path):
    book = read(path)
    assert all(not c.outputs and c.execution_count is None for c in code_cells(path))
    assert book.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_opens_with_its_contract_parameters_and_guard(path):
    book, cells = read(path), code_cells(path)
    opening = book.cells[0].source
    assert opening.startswith(f"# {path.stem[:2]} · ")
    assert all(f"**{word}**" in opening for word in ("In", "Out", "Next", "Time"))
    assert cells[0].metadata.tags == ["parameters"]
    assert cells[0].source == parameters_cell(SETTINGS[path.stem])
    assert f"guard({SETTINGS[path.stem].__name__})" in cells[1].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_short_and_ends_with_what_it_promised(path):
    cells = code_cells(path)
    assert len(cells) <= 10
    for cell in cells[1:]:
        assert len(cell.source.splitlines()) <= 10
        assert not [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.FunctionDef)]
        assert "!pip" not in cell.source
    assert all(isinstance(line, ast.Assert) for line in ast.parse(cells[-1].source).body)


def papermill(*words, folder, notebook=EMOTION):
    return subprocess.run(
        [sys.executable, "-m", "papermill", str(notebook), "out.ipynb", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "default"},
    )


def tiny(made_up):
    return [word for pair in TINY.items() for word in ("-p", *pair)] + ["-p", "data", made_up]


def test_papermill_runs_from_any_folder_with_visible_figures(tmp_path, made_up):
    done = papermill(*tiny(made_up), "-p", "gamma", 0.7, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [o for cell in code_cells(tmp_path / "out.ipynb") for o in cell.outputs]
    figures = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    assert len(figures) == 3
    text = "".join(o.text for o in outputs if o.output_type == "stream")
    assert f"workspace: {os.environ['IMIGUE_LAB_HOME']}" in text
    assert "epoch 1/1" in text
    assert (tmp_path / "out.ipynb").stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-p", "gama", "0.5"], "gama: no such parameter; did you mean gamma?"),
        (["-p", "name", "0001"], "use -r name 1"),
    ],
    ids=["gama", "name"],
)
def test_papermill_ends_with_an_error_that_names_the_parameter(tmp_path, words, complaint):
    done = papermill(*words, folder=tmp_path)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_papermill_explains_every_parameter():
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "--help-notebook", str(EMOTION)],
        capture_output=True,
        text=True,
    )
    for name, field in EmotionSettings.model_fields.items():
        line = next(li for li in done.stdout.splitlines() if li.strip().startswith(f"{name}:"))
        assert type(field.default).__name__ in line
    told = " ".join(done.stdout.split())
    assert all(field.description in told for field in EmotionSettings.model_fields.values())
