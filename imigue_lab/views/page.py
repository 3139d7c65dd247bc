"""An executed notebook as one HTML file whose plotly figures show without a network.

JupyterLab draws plotly's mimetype itself; nbconvert's HTML leaves it blank, so each figure becomes
a div here, and plotly.js is embedded once.
"""

import json
from pathlib import Path

from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor, Preprocessor
from plotly.io import from_json
from plotly.offline import get_plotlyjs

from imigue_lab.data.workspace import write_atomically
from imigue_lab.errors import DataError

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
