"""Figures of ablations and of a hyperparameter search."""

from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from imigue_lab.training.runs import Run
from imigue_lab.views.style import (
    CONTEXT,
    NEUTRAL,
    empty_figure,
    interval_bars,
    notes_of,
    styled,
)


def gains(table: pd.DataFrame, runs: dict[str, list[Run]]) -> go.Figure:
    """Accuracy of each variant minus that of the full model, in points, with its 95 % interval.

    Filled marks are significant: p < 0.05 after Holm's correction.
    """
    shown = table[table.difference.notna()]
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": NEUTRAL, "dash": "dash"})
    figure.add_scatter(
        x=100 * shown.difference,
        y=shown.variant,
        mode="markers",
        marker={
            "color": CONTEXT,
            "size": 11,
            "symbol": ["circle" if p < 0.05 else "circle-open" for p in shown.p_holm],
        },
        error_x=interval_bars(
            100 * shown.difference, 100 * shown.difference_low, 100 * shown.difference_high
        ),
        customdata=shown[["p_holm", "discordant", "n"]],
        hovertemplate="%{y}: %{x:+.1f} points<br>p after Holm %{customdata[0]:.3f}"
        "<br>%{customdata[1]} of %{customdata[2]} items differ<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title_text="accuracy minus that of the full model, in points")
    figure.update_yaxes(autorange="reversed", automargin=True)
    first = table.iloc[0]
    title = (
        f"{len(shown)} variants compared with the full model ({first.n} items, {first.seeds} seeds)"
    )
    notes = notes_of(next(iter(runs.values()))[0])
    return styled(figure, title, notes, height=220 + 40 * len(shown))


if TYPE_CHECKING:
    from optuna import Study

FEW = "Fewer than three trials are complete; increase `trials` and run again."
UNSEEN = "scores are means over held-out folds of subjects; the test split is not used"


def complete(study: "Study") -> int:
    return sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))


def study_notes(study: "Study") -> list[str]:
    """What the scores are of, and remarks on synthetic or untrained features."""
    remarks = study.user_attrs.get("remarks", [])
    return [UNSEEN, *(remark for remark in remarks if "features (" in remark)]


def importance(study: "Study") -> go.Figure:
    """Share of the score's variance that each setting explains (fANOVA, completed trials)."""
    import optuna

    title = f"Importance of each setting ({complete(study)} trials)"
    if complete(study) < 3:
        return empty_figure(FEW, title, study_notes(study))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    figure = optuna.visualization.plot_param_importances(study, evaluator=evaluator)
    figure.update_xaxes(title_text="share of variance").update_yaxes(title_text="")
    figure.update_traces(marker_color=CONTEXT).update_layout(showlegend=False)
    return styled(figure, title, study_notes(study))


def slices(study: "Study") -> go.Figure:
    """Score against each setting, one mark a completed trial; later trials are darker."""
    import optuna

    title = f"Score against each setting ({complete(study)} trials)"
    if complete(study) < 3:
        return empty_figure(FEW, title, study_notes(study))
    figure = optuna.visualization.plot_slice(study, target_name="score")
    figure.update_layout(width=None)  # optuna's is wider than a page
    return styled(figure, title, study_notes(study), height=420)


def parallel(study: "Study") -> go.Figure:
    """One line a completed trial through all its settings; better trials are darker."""
    import optuna

    title = f"All settings ({complete(study)} trials)"
    if complete(study) < 3:
        return empty_figure(FEW, title, study_notes(study))
    figure = optuna.visualization.plot_parallel_coordinate(study, target_name="score")
    return styled(figure, title, study_notes(study), height=440)
