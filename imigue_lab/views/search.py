"""What a search found: which settings matter, where good values lie, how they go together."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from imigue_lab.views.style import CONTEXT, saying, styled

if TYPE_CHECKING:
    from optuna import Study

FEW = "Fewer than three trials are finished: raise trials, and run again."
UNSEEN = "scores are means over held-out folds of subjects; the test split was never read"


def complete(study: "Study") -> int:
    return sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))


def notes_of(study: "Study") -> list[str]:
    """What the scores are of, and remarks on made-up or untrained features."""
    remarks = study.user_attrs.get("remarks", [])
    return [UNSEEN, *(remark for remark in remarks if "features (" in remark)]


def importance(study: "Study") -> go.Figure:
    """Share of the score's variance that each setting explains (fANOVA, over finished trials)."""
    import optuna

    title = f"What matters ({complete(study)} trials)"
    if complete(study) < 3:
        return saying(FEW, title, notes_of(study))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    figure = optuna.visualization.plot_param_importances(study, evaluator=evaluator)
    figure.update_xaxes(title_text="share of variance").update_yaxes(title_text="")
    figure.update_traces(marker_color=CONTEXT).update_layout(showlegend=False)
    return styled(figure, title, notes_of(study))


def slices(study: "Study") -> go.Figure:
    """The score over each setting alone, one mark a finished trial; later ones are darker."""
    import optuna

    title = f"Each setting alone ({complete(study)} trials)"
    if complete(study) < 3:
        return saying(FEW, title, notes_of(study))
    figure = optuna.visualization.plot_slice(study, target_name="score")
    figure.update_layout(width=None)  # optuna's is wider than a page
    return styled(figure, title, notes_of(study), height=420)


def parallel(study: "Study") -> go.Figure:
    """One line a finished trial through all its settings; the better, the darker."""
    import optuna

    title = f"All settings together ({complete(study)} trials)"
    if complete(study) < 3:
        return saying(FEW, title, notes_of(study))
    figure = optuna.visualization.plot_parallel_coordinate(study, target_name="score")
    return styled(figure, title, notes_of(study), height=440)
