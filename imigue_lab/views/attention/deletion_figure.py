"""The deletion test as curves: probability left when tokens are taken away, by attention or not."""

import pandas as pd
import plotly.graph_objects as go

from imigue_lab.training.runs import Run
from imigue_lab.views.attention.deletion import LEAST, MOST, RANDOM, faithfulness, mean_curves
from imigue_lab.views.learning import notes_of
from imigue_lab.views.style import styled

LOOKS = {
    MOST: ("213,94,0", "solid", "circle"),
    RANDOM: ("138,143,152", "dash", "square"),
    LEAST: ("0,114,178", "dot", "diamond"),
}


def deletion_curves(run: Run, table: pd.DataFrame, seed: int = 0) -> go.Figure:
    """Bands hold 95 % of draws of whole videos.

    Args:
        table: of `deletion.delete`.
    """
    curves, found = mean_curves(table, seed), faithfulness(table, seed)
    figure = go.Figure()
    for taken, (colour, dash, symbol) in LOOKS.items():
        part = curves[curves.taken == taken]
        x = 100 * part.share
        figure.add_scatter(
            x=pd.concat([x, x[::-1]]),
            y=pd.concat([part.high, part.low[::-1]]),
            mode="lines",
            fill="toself",
            fillcolor=f"rgba({colour},0.15)",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=x,
            y=part.probability,
            name=taken,
            mode="lines+markers",
            line={"color": f"rgb({colour})", "dash": dash},
            marker={"symbol": symbol},
            hovertemplate="%{x:.0f} % taken: %{y:.2f}<extra></extra>",
        )
    figure.update_xaxes(title_text="% of the tokens of both modalities taken away")
    figure.update_yaxes(title_text="probability of the class said first", range=[0, 1.02])
    notes = [*notes_of(run), verdict(found), f"{found['clips']} clips of {found['videos']} videos"]
    return styled(figure, "Does the decision rest on what is attended to?", notes, height=480)


def verdict(found: dict[str, float]) -> str:
    """One sentence on `deletion.faithfulness`."""
    told = f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
    if found["low"] > 0:
        return f"yes, more than on random tokens: they matter more by {told}"
    if found["high"] < 0:
        return f"no: random tokens matter more than the most attended ones, by {told}"
    return f"not shown: the most attended tokens matter no more than random ones, {told}"
