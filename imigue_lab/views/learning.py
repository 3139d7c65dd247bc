"""Learning curves of a run of any task."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from imigue_lab.training.runs import Run
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, WIN, notes_of, styled

TRAIN = ("train_loss", "train loss", CONTEXT, 1)
LINES = {  # by the monitored column: column, name, colour, subplot
    "validation_loss": (  # emotion
        TRAIN,
        ("validation_loss", "validation loss", FACE, 1),
        ("validation_accuracy", "accuracy", WIN, 2),
        ("validation_balanced_accuracy", "balanced accuracy", NEUTRAL, 2),
        ("validation_auc", "AUC", CONTEXT, 2),
    ),
    "validation_error": (  # gestures and baselines
        TRAIN,
        ("validation_top1", "top-1", WIN, 2),
        ("validation_top5", "top-5", NEUTRAL, 2),
        ("validation_macro_f1", "macro F1", FACE, 2),
    ),
}


def learning_curves(run: Run) -> go.Figure:
    """Losses and validation scores by epoch; a dotted line marks the kept epoch.

    With a memory bank the training loss rises during the ramp of alpha.
    """
    metrics = run.metrics()
    monitor = next(column for column in LINES if column in metrics)
    # With a memory bank the epochs of warm-up, in which the bank is not read, do not count.
    settings = run.settings()["settings"]
    warmup = settings["warmup"] if settings.get("memory") else 0
    best = metrics[monitor][warmup if len(metrics) > warmup else 0 :].idxmin() + 1
    figure = make_subplots(rows=1, cols=2, subplot_titles=("loss", "validation"))
    for column, name, colour, place in LINES[monitor]:
        look = {"name": name, "mode": "lines+markers", "line_color": colour}
        figure.add_scatter(x=metrics.epoch + 1, y=metrics[column], row=1, col=place, **look)
    figure.add_vline(x=best, line_dash="dot", annotation_text="kept", col=1)
    figure.add_vline(x=best, line_dash="dot", col=2)
    figure.update_xaxes(title_text="epoch")
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    return styled(figure, f"Learning curves of {run.folder.name}", notes_of(run), height=440)
