"""What a figure says above its axes."""

import plotly.graph_objects as go

SIGN = " i "  # at the end of notes that are too long


def text_of(figure: go.Figure) -> str:
    """Title and notes in one line, those that only a pointer shows as well."""
    notes = (note.hovertext for note in figure.layout.annotations if note.text == SIGN)
    return " ".join([figure.layout.title.text, *notes]).replace("<br>", " ")


def labels_of(figure: go.Figure) -> list[str]:
    """The annotations of a figure, without its notes."""
    return [note.text for note in figure.layout.annotations if note.text != SIGN]
