"""Keeps figures beside their run: one page that needs no network, and a PNG of each.

An executed notebook as one HTML file whose plotly figures show without a network.

JupyterLab draws plotly's mimetype itself; nbconvert's HTML leaves it blank, so each figure becomes
a div here, and plotly.js is embedded once.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor, Preprocessor
from PIL import Image
from plotly.io import from_json
from plotly.offline import get_plotlyjs

from imigue_lab.data.workspace import atomic_path, write_atomically
from imigue_lab.errors import DataError
from imigue_lab.training.runs import Run

WIDTH = 1000  # pixels of a figure
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update --disable-dev-shm-usage"
    " --hide-scrollbars --virtual-time-budget=5000"
).split()


def keep_figures(run: Run, page: str, figures: Mapping[str, go.Figure]) -> Path:
    """Writes `figures/<page>.html` of a run and, where a Chromium is found, a PNG a figure.

    Args:
        figures: by the name of their file.

    Returns:
        The page.
    """
    target = run.folder / "figures" / f"{page}.html"
    divs = [
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            default_width=f"{WIDTH}px",
            default_height=f"{height_of(figure)}px",
        )
        for figure in figures.values()
    ]
    head = f'<meta charset="utf-8"><title>{page}</title><script>{get_plotlyjs()}</script>'
    body = f'<body style="margin:0">{"".join(divs)}</body>'
    write_atomically(target, f"<!doctype html><html><head>{head}</head>{body}</html>")
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser:
        take_pictures(browser, target, {name: height_of(f) for name, f in figures.items()})
    return target


def height_of(figure: go.Figure) -> int:
    return int(figure.layout.height or 450)


def take_pictures(browser: str, page: Path, heights: Mapping[str, int]) -> None:
    """One look at the page, cut into its figures; where the browser fails, a note instead."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        words = [browser, *FLAGS, f"--user-data-dir={folder}/profile", f"--screenshot={shot}"]
        words += [f"--window-size={WIDTH},{sum(heights.values())}", page.as_uri()]
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=60)
            whole = Image.open(shot)
        except (OSError, subprocess.SubprocessError) as error:
            print(
                f"note: no PNG of the figures: {browser} did not take it ({type(error).__name__})"
            )
            return
        with whole:
            top = 0
            for name, height in heights.items():
                with atomic_path(page.with_name(f"{name}.png")) as path:
                    whole.crop((0, top, WIDTH, top + height)).save(path)
                top += height


PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"


class PlotlyAsHtml(Preprocessor):
    """Plotly outputs become divs, the first with plotly.js; of a widget its still stays."""

    def preprocess(self, nb, resources):
        embedded = False
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                if "image/jpeg" in output.get("data", {}):
                    output["data"].pop(WIDGET, None)
                if PLOTLY not in output.get("data", {}):
                    continue
                content = output["data"][PLOTLY]
                parts = {k: content[k] for k in ("data", "layout", "frames") if k in content}
                figure = from_json(json.dumps(parts))
                div = figure.to_html(full_html=False, include_plotlyjs=False, auto_play=False)
                if not embedded:
                    div = f"<script>{get_plotlyjs()}</script>{div}"
                    embedded = True
                output["data"] = {"text/html": div}
        return nb, resources


def export_html(notebook: Path) -> Path:
    """Writes `<notebook>.html` beside an executed notebook.

    Raises:
        DataError: there is no such notebook.
    """
    if not notebook.is_file():
        raise DataError(f"{notebook}: no such notebook; run it with papermill first")
    exporter = HTMLExporter(preprocessors=[PlotlyAsHtml])
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)  # progress bars
    for library in (
        "require_js_url",
        "mathjax_url",
        "jquery_url",
        "mermaid_js_url",
        "mermaid_layout_elk_js_url",
    ):
        setattr(exporter, library, "")  # nothing is fetched when the page is opened
    body, _ = exporter.from_filename(str(notebook))
    target = notebook.with_suffix(".html")
    write_atomically(target, body)
    return target
