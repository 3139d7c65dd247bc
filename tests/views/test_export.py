"""Pages of figures need no network: the HTML copy of a notebook, and the saved figures of a run."""

import shutil
import subprocess

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from imigue_lab.errors import DataError
from imigue_lab.training.runs import Run
from imigue_lab.views import export
from imigue_lab.views.export import export_html, save_figures

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OFFLINE = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update --disable-dev-shm-usage"
    " --window-size=800,1000 --virtual-time-budget=5000"
).split()


@pytest.fixture
def notebook(tmp_path):
    figure = go.Figure(go.Bar(x=["win", "lose"], y=[3, 5], marker={"color": "rgb(200, 0, 100)"}))
    output = nbformat.v4.new_output(
        "display_data", {"application/vnd.plotly.v1+json": figure.to_plotly_json()}
    )
    bar = [nbformat.v4.new_output("stream", text=t) for t in ("\r 50%|#", "\r100%|##", "\nend\n")]
    cells = [nbformat.v4.new_code_cell("a", outputs=outs) for outs in ([output], [output], bar)]
    path = tmp_path / "out.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_the_page_of_a_notebook_embeds_plotly_once_and_fetches_nothing(notebook):
    page = export_html(notebook).read_text()
    assert page.count("plotly.js v") == 1
    assert page.count('class="plotly-graph-div"') == 2
    for tag in ('<script src="http', '<link rel="stylesheet" href="http'):
        assert tag not in page


def test_progress_bars_keep_only_their_last_state(notebook):
    page = export_html(notebook).read_text()
    assert "100%|##" in page
    assert " 50%|#" not in page


def test_an_animation_keeps_its_frames_and_does_not_start_by_itself(tmp_path):
    moving = go.Figure(go.Scatter(x=[1]), frames=[go.Frame(data=[go.Scatter(x=[271828])])])
    output = nbformat.v4.new_output(
        "display_data", {"application/vnd.plotly.v1+json": moving.to_plotly_json()}
    )
    path = tmp_path / "moving.ipynb"
    cell = nbformat.v4.new_code_cell("a", outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    page = export_html(path).read_text()
    _, found, rest = page.partition("Plotly.addFrames(")
    assert found and "271828" in rest
    assert "Plotly.animate(" not in rest


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; make system installs it")
def test_figures_are_visible_in_a_browser_without_a_network(notebook, tmp_path):
    page = export_html(notebook)
    shot = tmp_path / "shot.png"
    command = [CHROMIUM, *OFFLINE, f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--screenshot={shot}", f"file://{page}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with Image.open(shot) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert (np.abs(pixels - (200, 0, 100)).max(axis=2) < 12).mean() > 0.05


def test_a_missing_notebook_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such notebook"):
        export_html(tmp_path / "none.ipynb")


@pytest.fixture
def figures():
    def bar(colour, height):
        figure = go.Figure(go.Bar(x=["win", "lose"], y=[3, 5], marker={"color": colour}))
        return figure.update_layout(height=height)

    return {"first": bar("rgb(200, 0, 100)", 300), "second": bar("rgb(0, 120, 0)", 200)}


def test_saved_figures_are_a_page_that_embeds_plotly_once_and_fetches_nothing(
    figures, tmp_path, monkeypatch
):
    monkeypatch.setattr(export, "CHROMIUM", ())
    page = save_figures(Run(tmp_path), "07_gates", figures)
    assert page == tmp_path / "figures" / "07_gates.html"
    text = page.read_text()
    assert text.count("plotly.js v") == 1
    assert text.count('class="plotly-graph-div"') == 2
    assert '<script src="http' not in text
    assert not list(page.parent.glob("*.png"))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; make system installs it")
def test_each_saved_figure_has_its_own_png(figures, tmp_path):
    page = save_figures(Run(tmp_path), "07_gates", figures)
    red, green = (200, 0, 100), (0, 120, 0)
    for name, height, own, other in (("first", 300, red, green), ("second", 200, green, red)):
        with Image.open(page.with_name(f"{name}.png")) as picture:
            assert picture.size == (1000, height)
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert (np.abs(pixels - own).max(axis=2) < 12).mean() > 0.03
        assert not (np.abs(pixels - other).max(axis=2) < 12).any()


def test_a_browser_that_fails_costs_only_the_pngs(figures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "CHROMIUM", ("false",))
    page = save_figures(Run(tmp_path), "07_gates", figures)
    assert page.exists()
    assert "note: no PNG of the figures" in capsys.readouterr().out
