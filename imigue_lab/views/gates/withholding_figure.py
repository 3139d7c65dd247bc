"""The prediction of one interview with something withheld, drawn."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from imigue_lab.training.runs import Run
from imigue_lab.views.learning import notes_of
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, WIN, styled

LINES = {"both": (WIN, "solid"), "context": (CONTEXT, "dash"), "face": (FACE, "dot")}


def withheld(run: Run, video_id: str, modality: pd.DataFrame, spans: pd.DataFrame) -> go.Figure:
    """Left the probability from both streams and from either; right the change by span of time.

    Grey is what withholding as many windows at random does: a span inside it tells nothing.

    Args:
        modality: of `withholding.without_modality`.
        spans: of `withholding.without_span`.
    """
    length = int(spans["last"].iloc[0] - spans["first"].iloc[0] + 1)
    titles = ("shown to the model", f"{length} windows withheld, by where they lie")
    figure = make_subplots(
        rows=1, cols=2, column_widths=[0.3, 0.7], subplot_titles=titles, horizontal_spacing=0.1
    )
    figure.add_bar(
        x=modality.shown,
        y=modality.probability,
        text=modality.probability.map("{:.2f}".format),
        marker={"color": [LINES[name.split()[0]][0] for name in modality.shown]},
        showlegend=False,
        row=1,
        col=1,
    )
    figure.add_hline(0.5, line={"dash": "dash", "color": NEUTRAL, "width": 1}, row=1, col=1)
    centre = (spans["first"] + spans["last"]) / 2
    figure.add_scatter(
        x=[*centre, *centre[::-1]],
        y=[*spans.high, *spans.low[::-1]],
        fill="toself",
        fillcolor="rgba(138, 143, 152, 0.25)",
        line={"width": 0},
        hoverinfo="skip",
        name="as many windows at random, 95 %",
        row=1,
        col=2,
    )
    for name, (colour, dash) in LINES.items():
        figure.add_scatter(
            x=centre,
            y=spans[name],
            name="both streams" if name == "both" else f"{name} alone",
            mode="lines",
            line={"color": colour, "dash": dash},
            hovertemplate="around window %{x}: %{y:+.3f}<extra>" + name + "</extra>",
            row=1,
            col=2,
        )
    figure.update_yaxes(title_text="probability of a win", range=[0, 1.05], row=1, col=1)
    figure.update_yaxes(title_text="change of the logit, up: to win", row=1, col=2)
    figure.update_xaxes(title_text="middle of the span, window of 16 frames", row=1, col=2)
    title = f"Interview {video_id} with something withheld"
    notes = [*notes_of(run), "this shows what the prediction rests on, not why"]
    return styled(figure, title, notes, height=470)
