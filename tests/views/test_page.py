"""The HTML copy of a notebook: figures that show without a network."""

import shutil
import subprocess

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from imigue_lab.errors import DataError
from imigue_lab.views.export import export_html

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


def test_the_page_brings_plotly_once_and_fetches_nothing(notebook):
    page = export_html(notebook).read_text()
    assert page.count("plotly.js v") == 1
    assert page.count('class="plotly-graph-div"') == 2
    for tag in (
        '<script src="http',
        '<link rel="stylesheet" href="http',
    ):
        assert tag not in page


def test_progress_bars_keep_their_last_state(notebook):
    page = export_html(notebook).read_text()
    assert "100%|##" in page
    assert " 50%|#" not in page


def test_an_animation_keeps_its_frames_and_waits_to_be_played(tmp_path):
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
    words = [CHROMIUM, *OFFLINE, f"--user-data-dir={tmp_path / 'profile'}"]
    words += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--screenshot={shot}", f"file://{page}"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    with Image.open(shot) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert (np.abs(pixels - (200, 0, 100)).max(axis=2) < 12).mean() > 0.05


def test_a_notebook_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="no such notebook"):
        export_html(tmp_path / "none.ipynb")
