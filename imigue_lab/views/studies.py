"""What each variant gains or loses against the full model, with its interval.

What a search found: which settings matter, where good values lie, how they go together.
"""

from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from imigue_lab.training.runs import Run
from imigue_lab.views.learning import notes_of
from imigue_lab.views.style import CONTEXT, NEUTRAL, saying, styled


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
        customdata=shown[["p_holm", "discordant", "n"]],
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


if TYPE_CHECKING:
    from optuna import Study

FEW = "Fewer than three trials are finished: raise trials, and run again."
UNSEEN = "scores are means over held-out folds of subjects; the test split was never read"


def complete(study: "Study") -> int:
    return sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))


def study_notes(study: "Study") -> list[str]:
    """What the scores are of, and remarks on synthetic or untrained features."""
    remarks = study.user_attrs.get("remarks", [])
    return [UNSEEN, *(remark for remark in remarks if "features (" in remark)]


def importance(study: "Study") -> go.Figure:
    """Share of the score's variance that each setting explains (fANOVA, over finished trials)."""
    import optuna

    title = f"What matters ({complete(study)} trials)"
    if complete(study) < 3:
        return saying(FEW, title, study_notes(study))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    figure = optuna.visualization.plot_param_importances(study, evaluator=evaluator)
    figure.update_xaxes(title_text="share of variance").update_yaxes(title_text="")
    figure.update_traces(marker_color=CONTEXT).update_layout(showlegend=False)
    return styled(figure, title, study_notes(study))


def slices(study: "Study") -> go.Figure:
    """The score over each setting alone, one mark a finished trial; later ones are darker."""
    import optuna

    title = f"Each setting alone ({complete(study)} trials)"
    if complete(study) < 3:
        return saying(FEW, title, study_notes(study))
    figure = optuna.visualization.plot_slice(study, target_name="score")
    figure.update_layout(width=None)  # optuna's is wider than a page
    return styled(figure, title, study_notes(study), height=420)


def parallel(study: "Study") -> go.Figure:
    """One line a finished trial through all its settings; the better, the darker."""
    import optuna

    title = f"All settings together ({complete(study)} trials)"
    if complete(study) < 3:
        return saying(FEW, title, study_notes(study))
    figure = optuna.visualization.plot_parallel_coordinate(study, target_name="score")
    return styled(figure, title, study_notes(study), height=440)
