"""Shared look of every figure, and the notes under a title whose data or features are synthetic."""

from collections.abc import Iterable, Sequence
from html import escape
from textwrap import shorten, wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go

from imigue_lab.data.index import Index
from imigue_lab.data.splits import UNKNOWN_SUBJECTS
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.training.leaks import USES_TEST
from imigue_lab.training.runs import Run

CONTEXT, FACE, NEUTRAL = "#3b6fb6", "#d9822b", "#8a8f98"
NEGATIVE, POSITIVE = "#7a4fa3", "#2f9e6e"
SYNTHETIC = "these interviews are synthetic: nothing here was filmed"
# Okabe and Ito's, with a violet instead of their yellow, which is invisible on white
DISTINCT = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#870ff0", "#222222")
GROUP_COLOURS = (*DISTINCT, CONTEXT, FACE, NEGATIVE, "#b0413e", "#4c9aa8", NEUTRAL)
NAMED = ("x", "y", "name", "text", "hovertext", "customdata", "labels")  # parts with names of data
TOOLBAR = 44  # pixels from the top to the baseline of a title
WIDEST, LINE = 62, 90  # characters of a title's line, and of the notes below it
SPLIT_COLOURS = {"train": CONTEXT, "validation": FACE, "test": POSITIVE}


def styled(
    figure: go.Figure, title: str, notes: Sequence[str] = (), height=360, above=0, **margin: int
) -> go.Figure:
    """Applies the shared look, below the toolbar; `notes` are one line below the title. Where it is
    too short, an i at its right shows them all to a pointer.

    Text is plain, see `literal`, except that of templates, which get names as `%{...}`. `above` are
    pixels between it and the axes; `margin` is that of other sides than the top, by plotly's names.
    """
    axes = (*figure.select_xaxes(), *figure.select_yaxes())
    for part in (*figure.data, *figure.layout.annotations, *(axis.title for axis in axes)):
        part.update({name: literal(part[name]) for name in NAMED if name in part})
    for trace in (own for frame in figure.frames for own in frame.data if own.text is not None):
        trace.text = literal(trace.text)
    whole = " · ".join(notes)
    title = "\n".join(line for part in title.split("\n") for line in wrap(part, WIDEST))
    end = TOOLBAR + 22 * title.count("\n") + 22 * bool(notes)  # baseline of the last line
    margin = {"l": 60, "r": 20, "t": end + 38 + above, "b": 90} | margin
    line = shorten(whole, LINE, placeholder=" …")
    if line != whole:
        corner = {"x": 1, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "right"}
        corner |= {"xshift": margin["r"] - 4, "yshift": margin["t"] - end - 6, "yanchor": "bottom"}
        sign = {"text": " i ", "font_size": 11, "bordercolor": NEUTRAL, "bgcolor": "white"}
        sign |= {"hovertext": literal("\n".join(notes)), "showarrow": False}
        figure.add_annotation(**corner, **sign)
    text = literal(title) + f"<br><sub>{literal(line)}</sub>" * bool(notes)
    figure.update_layout(
        template="plotly_white",
        title={"text": text, "x": 0.02, "yref": "container", "y": 1, "yanchor": "top"},
        title_pad_t=TOOLBAR,  # from the edge to the baseline of the first line, at any height
        margin=margin,
        height=height,
        font={"size": 13},
        hoverlabel_namelength=-1,  # plotly would cut names, and their escaped letters
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    return figure


def literal(value: Any) -> Any:
    """Text that plotly shows as it is, in lines that end with a line feed; of lists, too."""
    if isinstance(value, str):
        return escape(value, quote=False).replace("\n", "<br>")
    if isinstance(value, list | tuple) or getattr(value, "dtype", np.dtype(int)).kind in "OU":
        return [literal(own) for own in value]
    return value


def class_colours(vocabulary: Vocabulary, most: int = len(GROUP_COLOURS)) -> list[str]:
    """A colour for each class: that of its group, or by its place where there are no groups; of
    the first `most`, of which eight differ in every colour vision."""
    names = vocabulary.group_names
    numbers = [names.index(own) for own in vocabulary.groups] if names else range(len(vocabulary))
    return [GROUP_COLOURS[number % most] for number in numbers]


def empty_figure(sentence: str, title: str, notes: Sequence[str] = ()) -> go.Figure:
    """A figure without data, and the sentence that explains why."""
    figure = go.Figure()
    figure.add_annotation(text=sentence, showarrow=False, font={"size": 15})
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return styled(figure, title, notes, height=220)


def interval_bars(value, low, high) -> dict:
    """Asymmetric error bars from `low` to `high`, in the form of plotly's `error_x`, `error_y`."""
    return {"type": "data", "array": high - value, "arrayminus": value - low}


def notes_on(index: Index) -> list[str]:
    """The note that synthetic data require above every figure."""
    return [SYNTHETIC] * index.synthetic


def headlines(remarks: Iterable[str]) -> list[str]:
    """Those on which the meaning of every score depends."""
    known = ("features (", UNKNOWN_SUBJECTS, USES_TEST)
    return [remark for remark in remarks if any(own in remark for own in known)]


def notes_of(run: Run) -> list[str]:
    """Its `headlines` and that on synthetic data, for every figure of it."""
    if not (run.folder / "provenance.json").exists():
        return []
    notes = headlines(run.provenance()["remarks"])
    if run.synthetic and not any("synthetic" in note for note in notes):
        notes.append(SYNTHETIC)
    return notes
