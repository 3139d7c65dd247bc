"""Titles and notes of figures."""

import plotly.graph_objects as go

from imigue_lab.views.style import LINE, TOOLBAR, WIDEST, styled
from tests.views.texts import text_of


def test_notes_are_one_line_and_a_pointer_shows_what_does_not_fit():
    few = styled(go.Figure(), "Gates", ["these features are synthetic", "40 clips"])
    assert few.layout.title.text == "Gates<br><sub>these features are synthetic · 40 clips</sub>"
    assert not few.layout.annotations
    notes = ["these features are synthetic", *(f"remark {n} " + "x" * 30 for n in range(4))]
    many = styled(go.Figure(), "Gates", notes)
    _, line = many.layout.title.text.removesuffix("</sub>").split("<br><sub>")
    assert len(line) <= LINE and line.startswith(notes[0]) and line.endswith("…")
    assert many.layout.annotations[0].hovertext.split("<br>") == notes
    assert many.layout.margin.t == few.layout.margin.t


def test_a_long_title_is_wrapped_and_starts_below_the_toolbar():
    title = "Attention over clip 0030_1: touching or scratching facial parts\npredicted head up"
    figure = styled(go.Figure(), title)
    lines = figure.layout.title.text.split("<br>")
    assert len(lines) == 3 and max(map(len, lines)) <= WIDEST
    assert text_of(figure) == title.replace("\n", " ")
    assert figure.layout.title.pad.t == TOOLBAR > 30  # the height of plotly's toolbar
