"""How a gesture run learned."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from imigue_lab.training.runs import Run
from imigue_lab.views.learning import notes_of
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, WIN, styled

LINES = (
    ("train_loss", "train loss", CONTEXT, 1),
    ("validation_top1", "top-1", WIN, 2),
    ("validation_top5", "top-5", NEUTRAL, 2),
    ("validation_macro_f1", "macro F1", FACE, 2),
)


def gesture_curves(run: Run) -> go.Figure:
    """Training loss and validation scores by epoch; the kept epoch is marked.

    With memory it is the best of those that read it, and the loss rises while alpha does.
    """
    metrics = run.metrics()
    asked = run.settings()["settings"]
    settled = asked["warmup"] if asked.get("memory") and len(metrics) > asked["warmup"] else 0
    best = int(metrics.validation_error[settled:].idxmin()) + 1
    figure = make_subplots(rows=1, cols=2, subplot_titles=("loss", "validation"))
    for column, name, colour, place in LINES:
        figure.add_scatter(
            x=metrics.epoch + 1,
            y=metrics[column],
            name=name,
            mode="lines+markers",
            line={"color": colour},
            row=1,
            col=place,
        )
    figure.add_vline(x=best, line_dash="dot", annotation_text="kept", col=1)
    figure.add_vline(x=best, line_dash="dot", col=2)
    figure.update_xaxes(title_text="epoch")
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    return styled(figure, f"Learning curves of {run.folder.name}", notes_of(run), height=440)
