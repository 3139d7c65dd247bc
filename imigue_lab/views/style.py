"""Shared look of every figure, and the notes under a title whose data or features are synthetic."""

from collections.abc import Iterable

import plotly.graph_objects as go

from imigue_lab.data.index import Index, is_synthetic
from imigue_lab.data.splits import UNKNOWN_SUBJECTS
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.training.leaks import USES_TEST
from imigue_lab.training.runs import Run

CONTEXT, FACE, NEUTRAL = "#3b6fb6", "#d9822b", "#8a8f98"
NEGATIVE, POSITIVE = "#7a4fa3", "#2f9e6e"
SYNTHETIC = "these interviews are synthetic: nothing here was filmed"
# Okabe and Ito's, with a violet instead of their yellow, which is invisible on white
DISTINCT = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#870ff0", "#222222")
GROUP_COLOURS = (CONTEXT, FACE, NEGATIVE, "#b0413e", "#4c9aa8", NEUTRAL, *DISTINCT)
SPLIT_COLOURS = {"train": CONTEXT, "validation": FACE, "test": POSITIVE}


def styled(
    figure: go.Figure, title: str, notes: Iterable[str] = (), height=360, above=0, **margin: int
) -> go.Figure:
    """Applies the shared look; `notes` appear below the title, one a line, `above` pixels higher.

    `margin` is that of other sides than the top, by plotly's names.
    """
    below = "".join(f"<br><sub>{note}</sub>" for note in notes)
    figure.update_layout(
        template="plotly_white",
        title={"text": title + below, "x": 0.02, "yref": "container", "y": 1, "yanchor": "top"},
        title_pad_t=24,  # from the edge to the baseline of the first line, at any height
        margin={"l": 60, "r": 20, "t": 80 + above + 20 * below.count("<br>"), "b": 90} | margin,
        height=height,
        font={"size": 13},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    return figure


def class_colours(vocabulary: Vocabulary) -> list[str]:
    """A colour for each class: that of its group, or by its place where there are no groups."""
    names = vocabulary.group_names
    numbers = [names.index(own) for own in vocabulary.groups] if names else range(len(vocabulary))
    return [GROUP_COLOURS[number % len(GROUP_COLOURS)] for number in numbers]


def empty_figure(sentence: str, title: str, notes: Iterable[str] = ()) -> go.Figure:
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
    provenance = run.provenance()
    notes = headlines(provenance["remarks"])
    synthetic = is_synthetic(provenance.get("where", {}).get("data", ""))
    if synthetic and not any("synthetic" in note for note in notes):
        notes.append(SYNTHETIC)
    return notes
