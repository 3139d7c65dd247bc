"""The bands of the gate figure as lanes, which a player follows and leads.

The gates of one interview over its windows, and beneath each other what went with them.

Letters in shapes: T windows of 16 frames, G groups of channels.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from imigue_lab.training.runs import Run
from imigue_lab.views.faces import Strip, add_strip
from imigue_lab.views.gates.values import Gates
from imigue_lab.views.player.lanes import Lane, Lanes, Moment, line_lane
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, WIN, notes_of, styled


def gate_lanes(
    moment: Moment,
    gates: Gates,
    running: pd.DataFrame,
    face_share: Float[np.ndarray, " T"] | None = None,
) -> Lanes:
    """Press where a gate does something remarkable, and look at the frame.

    Args:
        running: `withholding.running_probability` of the interview.
        face_share: share of each window's frames that show the face.
    """
    windows = np.arange(len(gates.face_seen))
    lanes = [
        Lane(f"stage {stage}: gate by group of channels", gate.T)
        for stage, gate in enumerate(gates.by_group(), start=1)
    ]
    means = gates.mean().to_numpy().T
    low, high = float(means.min()), float(means.max())
    colours = (NEUTRAL, "#222222")
    named = tuple((f"stage {n}", colour) for n, colour in enumerate(colours[: len(means)], 1))
    lanes.append(Lane(f"mean gate, {low:.2f} to {high:.2f}", means, low, high, named))
    for stage, taken in enumerate(gates.taken, start=1):
        lines = (("face in context", FACE), ("context in face", CONTEXT))
        shares = taken[[name for name, _ in lines]].to_numpy().T
        most = np.ceil(10 * float(np.nanmax(shares))) / 10
        title = f"share of the other stream, stage {stage}, 0 to {most:.1f}"
        lanes.append(Lane(title, shares, 0.0, most, lines))
    if face_share is not None:
        lanes.append(line_lane("share of frames that show the face", face_share, FACE))
    win = np.interp(windows, running.window, running.probability)
    lanes.append(line_lane("probability of a win, had it ended here", win, WIN))
    return Lanes(moment, gates.video_id, lanes)


FEW = 12  # windows, of which each has its number
BETWEEN = 36  # pixels between two bands, for the title of the lower one
DASHES = ("solid", "dot")  # of the stages


class Band(NamedTuple):
    """One row of the figure: its title, its height in pixels, and what puts traces into it."""

    title: str
    height: int
    add: Callable[[go.Figure, int], None]


def gates_over_time(
    run: Run,
    gates: Gates,
    strips: tuple[Strip, ...] = (),
    face_share: Float[np.ndarray, " T"] | None = None,
    running: pd.DataFrame | None = None,
    notes: list[str] | None = None,
) -> go.Figure:
    """Gates by group of channels and on average, and how much each stream took of the other.

    Grey windows hold no face: there is nothing that a gate could let through.

    Args:
        strips: pictures and faces along the interview (`strip.py`).
        face_share: share of each window's frames that show the face.
        running: `withholding.running_probability` of the interview.
        notes: of an interview that the run was not trained on; None: those on the run's data.
    """
    bands = bands_of(gates, strips, face_share, running)
    heights = [band.height for band in bands]
    whole = sum(heights) + BETWEEN * (len(bands) - 1)
    figure = make_subplots(
        rows=len(bands),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=BETWEEN / whole,
        row_heights=heights,
        subplot_titles=[band.title for band in bands],
    )
    figure.update_annotations(font_size=12, xanchor="left", x=0)  # the titles of the bands
    for row, band in enumerate(bands, start=1):
        band.add(figure, row)
    for window in np.flatnonzero(~gates.face_seen):
        figure.add_vrect(window - 0.5, window + 0.5, fillcolor="grey", opacity=0.3, line_width=0)
    windows = len(gates.face_seen)
    figure.update_xaxes(range=[-0.5, windows - 0.5], showgrid=False)
    figure.update_xaxes(dtick=1 if windows <= FEW else None)
    figure.update_xaxes(title_text="window of 16 frames", row=len(bands), col=1)
    hidden = int((~gates.face_seen).sum())
    title = (
        f"Gates of interview {gates.video_id}: win with {gates.probability:.2f},"
        f" windows without a face: {hidden}"
    )
    figure = styled(figure, title, notes_of(run) if notes is None else notes)
    margin = figure.layout.margin
    return figure.update_layout(
        height=whole + margin.t + 130, margin_b=130, margin_t=margin.t + 20, legend_tracegroupgap=0
    )


def bands_of(
    gates: Gates,
    strips: tuple[Strip, ...],
    face_share: Float[np.ndarray, " T"] | None,
    running: pd.DataFrame | None,
) -> list[Band]:
    bands = [
        Band(strip.title, 80 if strip.pictures else 24, partial(add_strip, strip))
        for strip in strips
    ]
    if face_share is not None:
        title = "share of frames that show the face"
        bands.append(Band(title, 70, partial(add_face_share, face_share)))
    for stage, gate in enumerate(gates.by_group(), start=1):
        title = f"stage {stage}: gate by group of channels"
        bands.append(Band(title, 150, partial(add_heat, gate)))
    bands.append(Band("mean gate", 120, partial(add_means, gates)))
    title = "share of the other stream in what InterFusion hands to a stream"
    bands.append(Band(title, 120, partial(add_taken, gates)))
    if running is not None:
        title = "probability of a win, had the interview ended here"
        bands.append(Band(title, 120, partial(add_running, running)))
    return bands


def add_face_share(share: Float[np.ndarray, " T"], figure: go.Figure, row: int) -> None:
    figure.add_bar(
        y=share,
        marker={"color": FACE},
        showlegend=False,
        hovertemplate="window %{x}: %{y:.0%} of frames<extra></extra>",
        row=row,
        col=1,
    )
    figure.update_yaxes(range=[0, 1.05], row=row, col=1)


def add_heat(gate: Float[np.ndarray, "T G"], figure: go.Figure, row: int) -> None:
    """Red lets through, blue keeps out; white is half."""
    figure.add_heatmap(
        z=gate.T.round(3),
        coloraxis="coloraxis",
        hovertemplate="window %{x}<br>group %{y}<br>gate %{z:.2f}<extra></extra>",
        row=row,
        col=1,
    )
    figure.update_yaxes(title_text="group", row=row, col=1)
    bar = {"title": "gate", "len": 0.4, "thickness": 14}
    scale = {"colorscale": "RdBu_r", "cmin": 0, "cmax": 1, "colorbar": bar}
    figure.update_layout(coloraxis=scale)


def add_means(gates: Gates, figure: go.Figure, row: int) -> None:
    for (stage, mean), dash in zip(gates.mean().items(), DASHES, strict=False):
        look = {"mode": "lines", "line": {"color": NEUTRAL, "dash": dash}}
        figure.add_scatter(y=mean, name=f"mean gate, {stage}", row=row, col=1, **look)


def add_taken(gates: Gates, figure: go.Figure, row: int) -> None:
    colours = {"face in context": FACE, "context in face": CONTEXT}
    for stage, (taken, dash) in enumerate(zip(gates.taken, DASHES, strict=False), start=1):
        for name, colour in colours.items():
            look = {"mode": "lines", "line": {"color": colour, "dash": dash}}
            label = f"{name}, stage {stage}"
            figure.add_scatter(y=taken[name], name=label, row=row, col=1, **look)
    figure.update_yaxes(rangemode="tozero", row=row, col=1)


def add_running(running: pd.DataFrame, figure: go.Figure, row: int) -> None:
    figure.add_scatter(
        x=running.window,
        y=running.probability,
        mode="lines+markers",
        marker={"size": 4},
        line={"color": WIN},
        showlegend=False,
        hovertemplate="after window %{x}: %{y:.2f}<extra></extra>",
        row=row,
        col=1,
    )
    figure.add_hline(0.5, line={"dash": "dash", "color": NEUTRAL, "width": 1}, row=row, col=1)
    figure.update_yaxes(range=[0, 1], row=row, col=1)
