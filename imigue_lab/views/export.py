"""Figures as pages that need no network: those of a run, with a PNG of each, and of a notebook.

JupyterLab renders plotly's MIME type itself; nbconvert's HTML leaves it blank. So each figure of an
executed notebook becomes a div, and plotly.js is embedded once.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

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
PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"


def write_page(target: Path, title: str, body: str, style: str = "body { margin: 0 }") -> Path:
    """Writes an HTML page with plotly.js embedded, in which `body` may contain `as_div` figures."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{style}</style>'
    head += f"<script>{get_plotlyjs()}</script>"
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    write_atomically(target, page)
    return target


def as_div(figure: go.Figure, **options: Any) -> str:
    """A figure as HTML without plotly.js, at its own height."""
    height = f"{height_of(figure)}px"
    return figure.to_html(full_html=False, include_plotlyjs=False, default_height=height, **options)


def height_of(figure: go.Figure) -> int:
    return int(figure.layout.height or 450)


def save_figures(run: Run, page: str, figures: Mapping[str, go.Figure]) -> Path:
    """Writes `figures/<page>.html` of a run and, if Chromium is installed, a PNG of each figure.

    The keys of `figures` are the names of these files. Returns the page.
    """
    divs = [as_div(figure, default_width=f"{WIDTH}px") for figure in figures.values()]
    target = write_page(run.folder / "figures" / f"{page}.html", page, "".join(divs))
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser:
        take_pictures(browser, target, {name: height_of(f) for name, f in figures.items()})
    return target


def take_pictures(browser: str, page: Path, heights: Mapping[str, int]) -> None:
    """One screenshot of the page, cut into its figures; prints a note if the browser fails."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        command = [browser, *FLAGS, f"--user-data-dir={folder}/profile", f"--screenshot={shot}"]
        command += [f"--window-size={WIDTH},{sum(heights.values())}", page.as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            whole = Image.open(shot)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"note: no PNG of the figures: {browser} failed ({type(error).__name__})")
            return
        with whole:
            top = 0
            for name, height in heights.items():
                with atomic_path(page.with_name(f"{name}.png")) as path:
                    whole.crop((0, top, WIDTH, top + height)).save(path)
                top += height


class PlotlyAsHtml(Preprocessor):
    """Replaces plotly outputs by divs, the first with plotly.js; leaves out what needs a kernel."""

    def preprocess(self, nb, resources):
        embedded = False
        for cell in nb.cells:
            outputs = cell.get("outputs", [])
            outputs[:] = [output for output in outputs if WIDGET not in output.get("data", {})]
            for output in outputs:
                if PLOTLY not in output.get("data", {}):
                    continue
                content = output["data"][PLOTLY]
                parts = {k: content[k] for k in ("data", "layout", "frames") if k in content}
                figure = from_json(json.dumps(parts))
                div = figure.to_html(full_html=False, include_plotlyjs=False, auto_play=False)
                script = "" if embedded else f"<script>{get_plotlyjs()}</script>"
                output["data"] = {"text/html": script + div}
                embedded = True
        return nb, resources


def export_html(notebook: Path) -> Path:
    """Writes `<notebook>.html` next to an executed notebook; DataError where that is absent."""
    if not notebook.is_file():
        raise DataError(f"{notebook}: no such notebook; run it with papermill first")
    exporter = HTMLExporter(preprocessors=[PlotlyAsHtml])
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)  # progress bars
    for library in ("require_js", "mathjax", "jquery", "mermaid_js", "mermaid_layout_elk_js"):
        setattr(exporter, f"{library}_url", "")  # the page must not fetch anything
    body, _ = exporter.from_filename(str(notebook))
    target = notebook.with_suffix(".html")
    write_atomically(target, body)
    return target
