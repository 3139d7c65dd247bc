"""What each variant gains or loses against the full model, with its interval."""

import pandas as pd
import plotly.graph_objects as go

from imigue_lab.training.runs import Run
from imigue_lab.views.learning import notes_of
from imigue_lab.views.style import CONTEXT, NEUTRAL, styled


def gains(table: pd.DataFrame, runs: dict[str, list[Run]]) -> go.Figure:
    """A row a variant: its difference to the full model in points, the bar its 95 % interval.

    Filled marks are those that Holm's correction leaves at p < 0.05.
    """
    shown = table[table.difference.notna()]
    told = shown.p_holm < 0.05
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": NEUTRAL, "dash": "dash"})
    figure.add_scatter(
        x=100 * shown.difference,
        y=shown.variant,
        mode="markers",
        marker={
            "color": CONTEXT,
            "size": 11,
            "symbol": ["circle" if certain else "circle-open" for certain in told],
        },
        error_x={
            "type": "data",
            "array": 100 * (shown.difference_high - shown.difference),
            "arrayminus": 100 * (shown.difference - shown.difference_low),
        },
        customdata=shown[["p_holm", "decided", "n"]],
        hovertemplate="%{y}: %{x:+.1f} points<br>p after Holm %{customdata[0]:.3f}"
        "<br>%{customdata[1]} of %{customdata[2]} items decided it<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title_text="points of accuracy over the full model")
    figure.update_yaxes(autorange="reversed", automargin=True)
    first = table.iloc[0]
    title = f"{len(shown)} variants against the full model ({first.n} items, {first.seeds} seeds)"
    notes = notes_of(next(iter(runs.values()))[0])
    return styled(figure, title, notes, height=220 + 40 * len(shown))
