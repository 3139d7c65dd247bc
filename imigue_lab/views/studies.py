"""Figures of ablations and of a hyperparameter search."""

from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go

from imigue_lab.training.runs import Run
from imigue_lab.views.style import (
    CONTEXT,
    NEUTRAL,
    empty_figure,
    headlines,
    interval_bars,
    notes_of,
    styled,
)


def gains(table: pd.DataFrame, runs: dict[str, list[Run]]) -> go.Figure:
    """Score of each variant minus that of the full model, in points, with its 95 % interval.

    Filled marks are significant: p < 0.05 after Holm's correction.
    """
    shown = table[table.difference.notna()]
    points = 100 * shown[["difference", "difference_low", "difference_high"]]
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": NEUTRAL, "dash": "dash"})
    figure.add_scatter(
        x=points.difference,
        y=shown.variant,
        mode="markers",
        marker={"color": CONTEXT, "size": 11},
        marker_symbol=["circle" if p < 0.05 else "circle-open" for p in shown.p_holm],
        error_x=interval_bars(points.difference, points.difference_low, points.difference_high),
        customdata=shown[["p_holm", "discordant", "n"]],
        hovertemplate="%{y}: %{x:+.1f} points<br>p after Holm %{customdata[0]:.3f}"
        "<br>%{customdata[1]} of %{customdata[2]} items differ<extra></extra>",
        showlegend=False,
    )
    title = f"{table.metric.iloc[0]} minus that of the full model, in points"
    figure.update_xaxes(title_text=title)
    figure.update_yaxes(autorange="reversed", automargin=True)
    first = table.iloc[0]
    sizes = f"{first.n} items of {first.clusters} {first.unit}, {first.seeds} seeds"
    title = f"{len(shown)} variants against the full model on {first.split}"
    notes = [*notes_of(next(iter(runs.values()))[0]), sizes]
    return styled(figure, title, notes, height=220 + 40 * len(shown))


if TYPE_CHECKING:
    from optuna import Study


def importance(study: "Study") -> go.Figure:
    """Share of the score's variance that each setting explains (fANOVA, completed trials)."""
    import optuna

    fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
    figure = plot(study, "Importance of each setting", "param_importances", evaluator=fanova)
    figure.update_xaxes(title_text="share of variance").update_yaxes(title_text="")
    return figure.update_traces(marker_color=CONTEXT).update_layout(showlegend=False)


def slices(study: "Study") -> go.Figure:
    """Score against each setting, one mark a completed trial; later trials are darker."""
    figure = plot(study, "Score against each setting", "slice", 420, target_name="score")
    return figure.update_layout(width=None)  # optuna's is wider than a page


def parallel(study: "Study") -> go.Figure:
    """One line a completed trial through all its settings; better trials are darker."""
    return plot(study, "All settings", "parallel_coordinate", 440, target_name="score")


def plot(study: "Study", title: str, kind: str, height: int = 360, **options: Any) -> go.Figure:
    """A plot of optuna, with notes on what the scores are of, once three trials are complete."""
    import optuna

    complete = sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))
    title = f"{title} ({complete} trials)"
    notes = headlines(study.user_attrs.get("remarks", []))
    notes += ["scores are means over held-out folds of subjects; the test split is not used"]
    if complete < 3:
        few = "Fewer than three trials are complete; increase `trials` and run again."
        return empty_figure(few, title, notes)
    figure = getattr(optuna.visualization, f"plot_{kind}")(study, **options)
    return styled(figure, title, notes, height=height)
