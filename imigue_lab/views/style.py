"""How every figure looks, and the note above a figure whose numbers are not real."""

from collections.abc import Iterable

import plotly.graph_objects as go

from imigue_lab.data.index import Index

CONTEXT, FACE, NEUTRAL = "#3b6fb6", "#d9822b", "#8a8f98"
LOSE, WIN = "#7a4fa3", "#2f9e6e"
SYNTHETIC = "these interviews are synthetic: nothing here was filmed"
# Okabe and Ito's, with a violet instead of their yellow, which is invisible on white
DISTINCT = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#870ff0", "#222222")
SPLIT_COLOURS = {"train": CONTEXT, "validation": FACE, "test": WIN}


def styled(
    figure: go.Figure, title: str, notes: Iterable[str] = (), height: int = 360
) -> go.Figure:
    """Applies the shared look; `notes` stand under the title."""
    below = "".join(f"<br><sub>{note}</sub>" for note in notes)
    figure.update_layout(
        template="plotly_white",
        title={
            "text": title + below,
            "x": 0.02,
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 24},  # of the first line's foot from the edge, whatever the height
        },
        margin={"l": 60, "r": 20, "t": 80 + 20 * below.count("<br>"), "b": 90},
        height=height,
        font={"size": 13},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    return figure


def saying(sentence: str, title: str, notes: Iterable[str] = ()) -> go.Figure:
    """A figure that has nothing to draw and says why."""
    figure = go.Figure()
    figure.add_annotation(text=sentence, showarrow=False, font={"size": 15})
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return styled(figure, title, notes, height=220)


def notes_on(index: Index) -> list[str]:
    """The remark on a synthetic tree, to stand above every figure drawn from it."""
    return [SYNTHETIC] * index.synthetic
