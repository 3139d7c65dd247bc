"""How a run learned, and whether its probabilities mean what they say.

How a gesture run learned.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from imigue_lab.training.runs import Run
from imigue_lab.training.statistics import wilson_interval
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, SYNTHETIC, WIN, styled


def learning_curves(run: Run, monitor: str = "validation_loss") -> go.Figure:
    """Loss of train and validation, and validation accuracy, by epoch; the kept epoch is marked."""
    metrics = run.metrics()
    best = int(metrics[monitor].idxmin())
    figure = make_subplots(rows=1, cols=2, subplot_titles=("loss", "validation"))
    lines = (
        ("train_loss", "train loss", CONTEXT, 1),
        ("validation_loss", "validation loss", FACE, 1),
        ("validation_accuracy", "accuracy", WIN, 2),
        ("validation_balanced_accuracy", "balanced accuracy", NEUTRAL, 2),
        ("validation_auc", "AUC", CONTEXT, 2),
    )
    for column, name, colour, place in lines:
        figure.add_scatter(
            x=metrics.epoch + 1,
            y=metrics[column],
            name=name,
            mode="lines+markers",
            line={"color": colour},
            row=1,
            col=place,
        )
    figure.add_vline(x=best + 1, line_dash="dot", annotation_text="kept", col=1)
    figure.add_vline(x=best + 1, line_dash="dot", col=2)
    figure.update_xaxes(title_text="epoch")
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    return styled(figure, f"Learning curves of {run.folder.name}", notes_of(run), height=440)


def reliability(run: Run, split: str = "test", bins: int = 5) -> go.Figure:
    """Share of wins among interviews that were given a like probability of one.

    On the diagonal a probability means what it says. Bars are 95 % Wilson intervals; `n` is small
    in most bins, which is why they are long.
    """
    predictions = run.predictions()
    part = predictions[(predictions.split == split) & predictions.outcome.notna()]
    binned = reliability_bins(
        part.probability.to_numpy(), part.outcome.to_numpy().astype(int), bins
    )
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": NEUTRAL, "dash": "dash"}, name="calibrated"
    )
    figure.add_scatter(
        x=binned.probability,
        y=binned.wins,
        mode="markers+text",
        text=[f"n={n}" for n in binned.n],
        textposition="middle right",
        marker={"color": CONTEXT, "size": 9},
        error_y={
            "type": "data",
            "array": binned.high - binned.wins,
            "arrayminus": binned.wins - binned.low,
        },
        name=f"{split} interviews",
    )
    figure.update_xaxes(title_text="mean predicted probability of a win", range=[0, 1.08])
    figure.update_yaxes(title_text="share of wins", range=[-0.02, 1.04])
    return styled(figure, f"Reliability on {split} (n={len(part)})", notes_of(run), height=480)


def reliability_bins(probability: np.ndarray, outcome: np.ndarray, bins: int) -> pd.DataFrame:
    """Mean probability, share of wins with its Wilson interval, and n, of each bin in use."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    rows = []
    for number in np.unique(place):
        here = place == number
        low, high = wilson_interval(int(outcome[here].sum()), int(here.sum()))
        rows.append((probability[here].mean(), outcome[here].mean(), low, high, here.sum()))
    return pd.DataFrame(rows, columns=["probability", "wins", "low", "high", "n"])


def notes_of(run: Run) -> list[str]:
    """Remarks on synthetic data or untrained features, to stand above every figure of the run."""
    if not (run.folder / "provenance.json").exists():
        return []
    provenance = run.provenance()
    notes = [remark for remark in provenance["remarks"] if "features (" in remark]
    data = provenance.get("where", {}).get("data", "")
    synthetic = data == "synthetic" or (Path(data) / "synthetic.json").exists()
    if synthetic and not any("synthetic" in note for note in notes):
        notes.append(SYNTHETIC)
    return notes


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
