"""The notebooks: their form, their parameters, and their execution by papermill.

`make test` also runs their cells as committed, by nbval (see the Makefile).
"""

import ast
import contextlib
import os
import re
import subprocess
import sys
from functools import reduce
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import nbformat
import pytest
from click.testing import CliRunner
from papermill.cli import papermill as papermill_command

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.workspace import workspace
from imigue_lab.results.fuse import fusion_table, show_members
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.prepare import ExtractSettings, extract_features
from imigue_lab.training.runs import find_run
from imigue_lab.views.export import export_html
from tests.parameters import LESS_OFTEN, SETTINGS, parameters_cell

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
PREPARE, GESTURE, EMOTION, ABLATIONS, BASELINES, PROTOTYPES = NOTEBOOKS[:6]
ATTENTION, GATES, SEARCH, ANALYSE, PRETRAIN, RECOGNISE = NOTEBOOKS[6:]
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
    lines = opening.replace("\n\n", "\n").splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= 170  # the title, and three lines
    assert cells[0].metadata.tags == ["parameters"]
    first = re.findall(r"^(\w+): ", cells[0].source.split(LESS_OFTEN)[0], re.MULTILINE)
    assert first[0] in ("data", "video") and len(first) <= 12
    assert cells[0].source == parameters_cell(SETTINGS[path.stem], first)
    assert f"guard({SETTINGS[path.stem].__name__})" in cells[1].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_short_and_ends_with_assertions(path):
    cells = code_cells(path)
    assert len(cells) <= 10
    for cell in cells[1:]:
        assert len(cell.source.splitlines()) <= 10
        assert not [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.FunctionDef)]
        assert "!pip" not in cell.source
    assert all(isinstance(line, ast.Assert) for line in ast.parse(cells[-1].source).body)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_function_that_the_text_calls_is_there(path):
    """Imported by the notebook, or in a module that the text names."""
    scope = {}
    for cell in code_cells(path):
        imports = [n for n in ast.parse(cell.source).body if isinstance(n, ast.ImportFrom)]
        exec("\n".join(map(ast.unparse, imports)), scope)
    for text in (cell.source for cell in read(path).cells if cell.cell_type == "markdown"):
        named = [import_module(name) for name in re.findall(r"`(imigue_lab\.[\w.]+)`", text)]
        for first, *rest in (name.split(".") for name in re.findall(r"`([\w.]+)\(", text)):
            homes = [scope, *map(vars, named)]
            own = next((home[first] for home in homes if first in home), None)
            assert callable(reduce(getattr, rest, own)), f"the text calls {first}, which is nowhere"


def papermill(*words, folder, notebook=EMOTION):
    """The command, run in this process: importing papermill takes two seconds."""
    with contextlib.chdir(folder), patch.dict(os.environ, PYTHONWARNINGS="default"):
        return CliRunner().invoke(papermill_command, [str(notebook), "out.ipynb", *map(str, words)])


def tiny(synthetic):
    return [word for pair in TINY.items() for word in ("-p", *pair)] + ["-p", "data", synthetic]


def outputs_of(folder):
    """The figures of the executed notebook, and everything that its cells printed."""
    outputs = [o for cell in code_cells(folder / "out.ipynb") for o in cell.outputs]
    figures = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    text = "".join(o.text for o in outputs if o.output_type == "stream")
    assert f"workspace: {os.environ['IMIGUE_LAB_HOME']}\nin force: " in text
    assert not [o for o in outputs if o.get("name") == "stderr"]  # which JupyterLab shows on red
    assert (folder / "out.ipynb").stat().st_size < 1_000_000
    return figures, text


def test_papermill_runs_from_any_folder_with_visible_figures(tmp_path, synthetic):
    words = [*tiny(synthetic), "-p", "gamma", 0.7, "--log-output"]
    command = [sys.executable, "-m", "papermill", EMOTION, "out.ipynb", *map(str, words)]
    # A kernel that starts anew: also warnings of imports would be shown.
    own = os.environ | {"PYTHONWARNINGS": "default"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=own)
    assert done.returncode == 0, done.stderr[-2000:]
    figures, text = outputs_of(tmp_path)
    assert len(figures) == 4
    assert "epoch 1/1" in text
    line = re.search(r"^emotion-\S+: test, \d+ of \d+ subjects: accuracy model 0\.\d\d", text, re.M)
    assert line and line[0] in done.stderr  # on the terminal, as README says
    readme = (FOLDER.parent / "README.md").read_text()
    runs = re.findall(r"^    papermill .*02_train_emotion.*$", readme, re.MULTILINE)
    assert runs and all("--log-output" in own for own in runs)


def test_papermill_trains_gestures_on_both_modalities(tmp_path, synthetic):
    words = ["-p", "data", synthetic, "-p", "epochs", 1, "-p", "frames", 8, "-p", "memory", "true"]
    done = papermill(*words, folder=tmp_path, notebook=GESTURE)
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    assert len(figures) == 6
    assert "rgb features (synthetic-rgb-" in text
    assert re.search(r"^gesture-\S+: test, \d+ of \d+ subjects: top1 model 0\.\d\d", text, re.M)


def test_papermill_ablates(tmp_path, synthetic):
    words = ["-p", "data", synthetic, "-p", "given", "epochs:1 width:8 heads:2", "-p", "seeds", 2]
    done = papermill(*words, "-p", "variants", "late", folder=tmp_path, notebook=ABLATIONS)
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    assert len(figures) == 1
    assert text.count("late, seed ") == 2
    assert re.search(r"^full: accuracy 0\.\d\d .* of validation", text, re.M)


def test_papermill_trains_a_network_of_table_1_and_prints_the_table(tmp_path, synthetic):
    words = [
        "-p",
        "data",
        synthetic,
        "-p",
        "epochs",
        1,
        "-p",
        "frames",
        8,
        "-p",
        "model",
        "ctr-gcn",
    ]
    done = papermill(*words, "-p", "stream", "all", folder=tmp_path, notebook=BASELINES)
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    titles = [f["data"]["application/vnd.plotly.v1+json"]["layout"]["title"] for f in figures]
    curves = [title["text"] for title in titles if "Learning curves of" in title["text"]]
    assert len(figures) == 5 and len(set(curves)) == 4
    assert "published weights 2:2:1:1" in text
    assert "Chen et al., ICCV 2021" in text and "epoch 1/1" in text
    shown = str([o.get("data", {}) for c in code_cells(tmp_path / "out.ipynb") for o in c.outputs])
    assert "62.87" in shown and "fusion (2:2:1:1) of baseline-" in shown
    line = re.search(r"^fusion-\S+: test, \d+ of \d+ subjects: top1 model 0\.\d\d", text, re.M)
    fused = find_run(line[0].partition(":")[0])
    table, sentences = fusion_table(fused), show_members(fused)[1]
    assert sentences and "\n".join(sentences) in text
    below = (table.groupby("split").fusion_gains.min() < 0).sum()
    assert text.count("points below ") == below


def test_papermill_looks_at_the_gates_of_a_run_that_it_trains_first(tmp_path, synthetic):
    words = ["-p", "data", synthetic, "-r", "video", "0003"]
    done = papermill(*words, folder=tmp_path, notebook=GATES)
    assert done.exit_code == 0, done.exception
    figures, _ = outputs_of(tmp_path)
    titles = [f["data"]["application/vnd.plotly.v1+json"]["layout"]["title"] for f in figures]
    assert [title["text"].split("<br>")[0].split(":")[0] for title in titles] == [
        "Gates of interview 0003",
        "Interview 0003 with streams or spans withheld",
        "Gates of correctly and incorrectly predicted test interviews",
    ]
    page = export_html(tmp_path / "out.ipynb").read_text()
    assert page.count('class="plotly-graph-div"') == 3
    assert page.count('src="data:image/jpeg;base64,') == 1  # the player's still


def test_papermill_looks_at_what_a_run_remembers(tmp_path, synthetic):
    words = ["-p", "data", synthetic, "-p", "method", "pca"]
    done = papermill(*words, folder=tmp_path, notebook=PROTOTYPES)
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    assert len(figures) == 2
    assert "trustworthiness" in text and "silhouette" in text
    page = export_html(tmp_path / "out.ipynb").read_text()
    assert page.count('class="plotly-graph-div"') == 2
    assert 'src="data:image/jpeg;base64,' in page  # the player's still


def test_papermill_looks_at_the_attention_of_a_run_that_it_trains_first(tmp_path, synthetic):
    words = ["-p", "data", synthetic, "-r", "clip", "0030_1"]
    done = papermill(*words, folder=tmp_path, notebook=ATTENTION)
    assert done.exit_code == 0, done.exception
    figures, _ = outputs_of(tmp_path)
    titles = [f["data"]["application/vnd.plotly.v1+json"]["layout"]["title"] for f in figures]
    assert [title["text"].split("<br>")[0].split(":")[0] for title in titles] == [
        "Attention over clip 0030_1",
        "Does the prediction depend on the attended tokens?",
        "Attention rollout of MViT over clip 0030_1",
        "Adaptive graph of 2s-AGCN in clip 0030_1",
    ]
    page = export_html(tmp_path / "out.ipynb").read_text()
    assert page.count('class="plotly-graph-div"') == 4
    assert 'src="data:image/jpeg;base64,' in page  # the player's still


def test_papermill_searches_and_02_takes_the_preset(tmp_path, synthetic):
    make_data(tmp_path / "tree", SyntheticSpec(videos=60, pictures=False))
    words = ["-p", "data", tmp_path / "tree", "-p", "given", "epochs:1 width:8", "-p", "folds", 2]
    done = papermill(
        *words, "-p", "trials", 4, "-p", "study", "mine", folder=tmp_path, notebook=SEARCH
    )
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    assert len(figures) == 3 and "-p preset mine" in text
    settings = EmotionSettings.from_arguments({"preset": "mine"})
    assert (settings.width, settings.epochs) == (8, 1) and 1e-5 <= settings.lr <= 5e-4


@pytest.mark.parametrize("layout", ["miga2026", "full"])
def test_papermill_prepares_trees_of_other_layouts_and_writes_its_index(tmp_path, layout):
    index = make_data(tmp_path / "tree", SyntheticSpec(videos=8, layout=layout))
    words = ["-p", "data", index.root, "-p", "split", "test", "-p", "limit", 2]
    done = papermill(*words, folder=tmp_path, notebook=PREPARE)
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    assert len(figures) == 5
    assert f"{len(index.videos)} videos, {len(index.clips)} clips" in text
    assert (workspace() / "index" / index.key / "clips.parquet").exists()


@pytest.fixture(scope="module")
def real_interviews(shared, tmp_path_factory):
    """Five real recordings in the plain form with synthetic outcomes, and the extraction report."""
    root = tmp_path_factory.mktemp("real") / "recordings"
    root.mkdir()
    (root / "videos").symlink_to(shared / "data" / "video")
    (root / "videos.csv").write_text(
        "video_id,split,outcome\ncarphone_pristine,train,win\nsigner,train,lose\n"
        "bikes,validation,lose\nstreet_crowd,validation,win\nspeaker_on_stage,test,win\n"
    )
    settings = ExtractSettings.from_arguments({"encoders": "context-tiny,face-tiny"})
    return root, extract_features(settings, read_index(root))


@pytest.mark.shared
def test_faces_of_real_recordings_are_found_and_followed(real_interviews):
    _, report = real_interviews
    assert not report.failed
    table = report.stores[1].manifest().set_index("item").astype({"frames_chosen": int})
    assert table.frames_chosen["carphone_pristine"] >= 118
    assert table.frames_chosen["bikes"] == 0
    assert table.windows_with_face["bikes"] == "0"
    assert table.frames_chosen["signer"] >= 50
    assert table.frames_chosen["speaker_on_stage"] >= 120


@pytest.mark.shared
def test_papermill_trains_on_features_of_real_recordings(real_interviews, tmp_path):
    words = [*tiny(real_interviews[0]), "-p", "context", "context-tiny", "-p", "face", "face-tiny"]
    done = papermill(*words, folder=tmp_path)
    assert done.exit_code == 0, done.exception
    _, text = outputs_of(tmp_path)
    assert "no face in 1 of 5 interviews: only context is used: bikes" in " ".join(text.split())
    assert "untrained weights" in text


def test_papermill_shows_a_faulty_tree_and_names_what_is_wrong(tmp_path):
    index = make_data(tmp_path / "tree", SyntheticSpec(videos=8, pictures=False))
    next(index.root.rglob("0001_label.csv")).write_text("32,5,10\n1,3,9\n")
    next(index.root.rglob("0002_light_hand.csv")).write_text("frame\n")
    done = papermill("-p", "data", index.root, folder=tmp_path, notebook=PREPARE)
    assert done.exit_code == 0, done.exception
    _, text = outputs_of(tmp_path)
    assert "got '32' (1: 0001_label.csv:1)" in text
    assert text.count("\nerror, ") == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-p", "gama", "0.5"], "gama: no such parameter; did you mean gamma?"),
        (["-p", "name", "0001"], "use -r name, with the text as you typed it"),
    ],
    ids=["gama", "name"],
)
def test_papermill_ends_with_an_error_that_names_the_parameter(tmp_path, words, complaint):
    done = papermill(*words, folder=tmp_path)
    assert complaint in str(done.exception)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_papermill_explains_every_parameter(path):
    done = CliRunner().invoke(papermill_command, ["--help-notebook", str(path)])
    fields = SETTINGS[path.stem].model_fields
    for name, field in fields.items():
        line = next(li for li in done.output.splitlines() if li.strip().startswith(f"{name}:"))
        assert type(field.default).__name__ in line
    output = " ".join(done.output.split())
    assert all(field.description in output for field in fields.values())


def test_the_readme_links_every_notebook_and_passes_known_parameters():
    readme = (FOLDER.parent / "README.md").read_text()
    assert all(f"(notebooks/{name}.ipynb)" in readme for name in SETTINGS)
    commands = re.findall(
        r"^    papermill (?:--log-output )?notebooks/(\w+)\.ipynb (.*)$", readme, re.MULTILINE
    )
    assert len(commands) == 3
    for name, words in commands:
        assert set(re.findall(r"-[pr] (\w+)", words)) <= set(SETTINGS[name].model_fields)


@pytest.mark.parametrize("kind", ["motion", "video"])
def test_papermill_pre_trains_and_plays_a_reconstruction(tmp_path, filmed, kind):
    words = ["-p", "data", filmed, "-p", "kind", kind, "-p", "epochs", 1, "-p", "frames", 8]
    done = papermill(*words, "-p", "windows", 2, folder=tmp_path, notebook=PRETRAIN)
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    assert len(figures) == 2
    curves, shown = (f["data"]["application/vnd.plotly.v1+json"] for f in figures)
    assert curves["data"][-1]["name"] == "linear probe" and "epoch 1/1" in text
    assert re.search(r"^pretraining-\S+: validation, \d+ of .*: error model \d\.\d\d", text, re.M)
    assert len(shown["frames"]) == 8


def test_papermill_recognises_gestures_and_counts_errors(tmp_path):
    index = make_data(tmp_path / "tree", SyntheticSpec(videos=12, size="long", pictures=False))
    words = ["-p", "data", index.root, "-p", "model", "frames", "-p", "epochs", 2, "-p", "width", 8]
    done = papermill(*words, folder=tmp_path, notebook=RECOGNISE)
    assert done.exit_code == 0, done.exception
    figures, text = outputs_of(tmp_path)
    titles = [f["data"]["application/vnd.plotly.v1+json"]["layout"]["title"] for f in figures]
    assert [title["text"].split(",")[0].split(":")[0][:10] for title in titles] == [
        "Precision ",
        "Video 0009",
    ]
    assert "epoch 2/2" in text
    assert re.search(r"^recognition-\S+: test, \d+ of \d+ .*: f1 10 model 0\.\d\d", text, re.M)
    shown = str([o.get("data", {}) for c in code_cells(tmp_path / "out.ipynb") for o in c.outputs])
    assert "badly placed" in shown and "nothing found" in shown
