"""The gates of InterFusion in one interview (paper section 3, Fig. 2c), window by window: as
numbers, as a figure, and as lanes that move a player.

Letters in shapes: T windows of 16 frames, D channels of the tokens, G groups of channels.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from jaxtyping import Bool, Float
from plotly.subplots import make_subplots
from scipy.special import expit
from torch import Tensor, nn

from imigue_lab.data.datasets import Batch, InterviewDataset, collate
from imigue_lab.errors import RunError, some
from imigue_lab.models.emotion import EmotionModel, InterFusion
from imigue_lab.training.emotion.data import EmotionData
from imigue_lab.training.emotion.train import load_emotion
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import Settings, setting
from imigue_lab.views.faces import Strip, add_strip
from imigue_lab.views.player.lanes import Lane, Lanes, Moment, line_lane
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, POSITIVE, notes_of, styled

Tokens = Float[Tensor, "1 T D"]
Windows = Bool[np.ndarray, " T"]
MEAN, FROM_FACE, FROM_CONTEXT = "mean gate", "face in context", "context in face"
FEW = 12  # windows, up to which every window is numbered
BETWEEN = 36  # pixels between two bands, for the title of the lower one
HEAT = "gate by group of channels"
SHARES = "share of the other stream in InterFusion's output for a stream"
FACE_SHARE = "share of frames that show the face"
NAMED, MOST = "blendshapes of the face that vary most", 6
RUNNING = "probability of {} if the interview ended here"
# Colour of each quantity in the first and the second stage
COLOURS = {MEAN: (NEUTRAL, "#222222"), FROM_FACE: (FACE, FACE), FROM_CONTEXT: (CONTEXT, CONTEXT)}
DASHES = ("solid", "dot")  # of the stages


class GatesSettings(Settings):
    """Parameters of 07_gates."""

    run: str = setting("demo", "finished run of 02, by name; demo: as 02 is committed")
    video: str = setting("", "video id; empty: the held-out one with most windows without a face")


@dataclass(frozen=True)
class Gates:
    """The gates of one interview.

    `per_window` has for each stage n `mean gate, stage n` (over channels), `face in context, stage
    n` and `context in face, stage n`: the share of the other stream in InterFusion's output for a
    stream, by vector length; 0 where the other is masked, null where the stream is.
    """

    video_id: str
    stages: list[Float[np.ndarray, "T D"]]  # 1 passes everything of the other stream, 0 nothing
    per_window: pd.DataFrame
    face_seen: Windows  # whether the window contains a face
    outcome: str  # whose probability is shown: of two the positive, of more the predicted one
    logit: float  # of this outcome, against all others
    face: Float[np.ndarray, "T W"] | None = None  # features
    face_share: Float[np.ndarray, " T"] | None = None  # of frames that show the face, if stored
    strips: tuple[Strip, ...] = ()  # pictures and faces along the interview (`views/faces.py`)
    running: pd.DataFrame | None = None  # `withholding.running_probability`

    @property
    def probability(self) -> float:
        """Of `outcome`."""
        return float(expit(self.logit))

    def columns(self, *quantities: str) -> list[str]:
        """The columns of `per_window` for `MEAN`, `FROM_FACE` or `FROM_CONTEXT`, in all stages."""
        return [name for name in self.per_window if name.split(", ")[0] in quantities]

    def by_group(self, groups: int = 16) -> list[Float[np.ndarray, "T G"]]:
        """Mean gates of equal groups of channels, sorted by mean gate in the first stage.

        A group contains the same channels in both stages.
        """
        order = np.argsort(self.stages[0].mean(axis=0), kind="stable")
        channels = np.array_split(order, min(groups, len(order)))
        return [np.stack([g[:, own].mean(axis=1) for own in channels], 1) for g in self.stages]


def whole_interview(data: EmotionData, video_id: str) -> Batch:
    """A batch of one. Raises RunError where the data do not contain the interview."""
    videos = data.split.videos[data.split.videos.video_id == video_id]
    if videos.empty:
        raise RunError(
            f"video {video_id!r} is not in the run's data; choose one of"
            f" {some(data.split.videos.video_id)}"
        )
    return collate([InterviewDataset(data.features, videos)[0]])


def load_gated(run: Run, data: EmotionData) -> EmotionModel:
    """The run's best model. Raises RunError where it has no gates."""
    model = load_emotion(run, data)
    if not isinstance(model, EmotionModel) or not len(model.fusions):
        raise RunError(f"{run.folder.name}: its fusion has no gates; choose an interfusion run")
    return model


def read_gates(run: Run, data: EmotionData, video_id: str) -> Gates:
    """Gates of one whole interview; errors as of `load_gated` and `whole_interview`."""
    return compute_gates(load_gated(run, data), whole_interview(data, video_id), run.outcomes())


@torch.no_grad()
def compute_gates(model: EmotionModel, batch: Batch, outcomes: Sequence[str]) -> Gates:
    """The gates of an interview that is alone in its batch."""
    inputs: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, streams: tuple[Tensor, Tensor]) -> None:
        inputs.append(streams)

    with ExitStack() as hooks:
        for fusion in model.fusions:
            hooks.enter_context(fusion.register_forward_pre_hook(keep))
        output = model(**batch.inputs(), return_gates=True)
    stages = [gate[0].numpy() for gate in output.gates]
    context_seen, face_seen = batch.context_mask[0].numpy(), batch.face_mask[0].numpy()
    columns = {}
    for stage, (fusion, gate) in enumerate(zip(model.fusions, stages, strict=True), start=1):
        assert isinstance(fusion, InterFusion)
        (context, from_face), (from_context, face) = fusion.parts(*inputs[stage - 1])
        columns[f"{MEAN}, stage {stage}"] = gate.mean(axis=1)
        columns[f"{FROM_FACE}, stage {stage}"] = share(from_face, context, context_seen)
        columns[f"{FROM_CONTEXT}, stage {stage}"] = share(from_context, face, face_seen)
    per_window = pd.DataFrame(columns).rename_axis("window")
    place, features = shown_outcome(output.logit), batch.face[0].float().numpy()
    logit, outcome = float(log_odds(output.logit, place)[0]), outcomes[place]
    return Gates(batch.video_ids[0], stages, per_window, face_seen, outcome, logit, features)


def shown_outcome(logit: Float[Tensor, "1 *K"]) -> int:
    """The place of the outcome that figures of one interview show, from its logit; see `Gates`."""
    return 1 if logit.ndim == 1 else int(logit[0].argmax())


def log_odds(logit: Float[Tensor, "B *K"], place: int) -> Float[Tensor, " B"]:
    """The logit of one outcome against all others: ``log p / (1 - p)``."""
    if logit.ndim == 1:
        return logit
    others = [other for other in range(logit.shape[1]) if other != place]
    return logit[:, place] - logit[:, others].logsumexp(dim=1)


def share(other: Tokens, own: Tokens, seen: Windows) -> Float[np.ndarray, " T"]:
    """``|other| / (|other| + |own|)``; NaN where the stream has no window."""
    lengths = [tokens[0].norm(dim=-1).numpy() for tokens in (other, own)]
    return np.divide(lengths[0], sum(lengths), out=np.full(len(seen), np.nan), where=seen)


# A row of the figure: its title, its height in pixels, and what draws its traces
Band = tuple[str, int, Callable[[go.Figure, int], None]]


def line_style(column: str) -> dict[str, str]:
    """Colour and dash of a column of `Gates.per_window`; plotly's own of another curve."""
    quantity, _, stage = column.partition(", stage ")
    if not stage:
        return {}
    return {"color": COLOURS[quantity][int(stage) - 1], "dash": DASHES[int(stage) - 1]}


def gates_over_time(run: Run, gates: Gates, notes: list[str] | None = None) -> go.Figure:
    """Gates by group of channels and on average, and the share of the other stream.

    Grey windows contain no face, so nothing of the face can pass a gate there. `notes` are for an
    interview outside the run's data; None: the notes of the run.
    """
    bands: list[Band] = [
        (strip.title, 80 if strip.pictures else 24, partial(add_strip, strip))
        for strip in gates.strips
    ]
    if gates.face_share is not None:
        bands.append((FACE_SHARE, 70, partial(add_face_share, gates.face_share)))
    for stage, gate in enumerate(gates.by_group(), start=1):
        bands.append((f"stage {stage}: {HEAT}", 150, partial(add_gate_heat, gate)))
    for title, quantities in ((MEAN, (MEAN,)), (SHARES, (FROM_FACE, FROM_CONTEXT))):
        curves = gates.per_window[gates.columns(*quantities)]
        bands.append((title, 120, partial(add_curves, curves)))
    if not (named := named_curves(run, gates)).empty:
        bands.append((NAMED, 160, partial(add_curves, named)))
    if gates.running is not None:
        bands.append((RUNNING.format(gates.outcome), 120, partial(add_running, gates.running)))
    titles, heights, draw = zip(*bands, strict=True)
    total = sum(heights) + BETWEEN * (len(bands) - 1)
    figure = make_subplots(
        rows=len(bands),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=BETWEEN / total,
        row_heights=heights,
        subplot_titles=titles,
    )
    figure.update_annotations(font_size=12, xanchor="left", x=0)  # the titles of the bands
    for row, add in enumerate(draw, start=1):
        add(figure, row)
    for window in np.flatnonzero(~gates.face_seen):
        figure.add_vrect(window - 0.5, window + 0.5, fillcolor="grey", opacity=0.3, line_width=0)
    windows = len(gates.face_seen)
    each = 1 if windows <= FEW else None
    figure.update_xaxes(range=[-0.5, windows - 0.5], showgrid=False, dtick=each)
    figure.update_xaxes(title_text="window of 16 frames", row=len(bands), col=1)
    title = (
        f"Gates of interview {gates.video_id}: probability of {gates.outcome}"
        f" {gates.probability:.2f}, windows without a face: {(~gates.face_seen).sum()}"
    )
    figure = styled(figure, title, notes_of(run) if notes is None else notes, above=20, b=130)
    figure.layout.height = total + figure.layout.margin.t + 110
    return figure.update_layout(legend_tracegroupgap=0)


def add_face_share(share: Float[np.ndarray, " T"], figure: go.Figure, row: int) -> None:
    hover = "window %{x}: %{y:.0%} of frames<extra></extra>"
    look = {"marker": {"color": FACE}, "hovertemplate": hover}
    figure.add_bar(y=share, showlegend=False, **look, row=row, col=1)
    figure.update_yaxes(range=[0, 1.05], row=row, col=1)


def add_gate_heat(gate: Float[np.ndarray, "T G"], figure: go.Figure, row: int) -> None:
    """Red passes the other stream, blue blocks it; white is half."""
    hover = "window %{x}<br>group %{y}<br>gate %{z:.2f}<extra></extra>"
    look = {"coloraxis": "coloraxis", "hovertemplate": hover}
    figure.add_heatmap(z=gate.T.round(3), **look, row=row, col=1)
    figure.update_yaxes(title_text="group", row=row, col=1)
    bar = {"title": "gate", "len": 0.4, "thickness": 14}
    figure.update_layout(coloraxis={"colorscale": "RdBu_r", "cmin": 0, "cmax": 1, "colorbar": bar})


def add_curves(curves: pd.DataFrame, figure: go.Figure, row: int) -> None:
    for name in curves:
        hover = f"window %{{x}}: %{{y:.2f}}<extra>{name}</extra>"
        look = {"name": name, "mode": "lines", "line": line_style(name), "hovertemplate": hover}
        figure.add_scatter(y=curves[name], **look, row=row, col=1)
    if not curves.columns[0].startswith(MEAN):
        figure.update_yaxes(rangemode="tozero", row=row, col=1)


def named_curves(run: Run, gates: Gates) -> pd.DataFrame:
    """The blendshapes that vary most, by window; empty where the face's features have no names."""
    encoder = run.read_checkpoint("best")["face"] if gates.face is not None else ""
    if not encoder.startswith("face-blendshapes-"):
        return pd.DataFrame()
    from imigue_lab.features.encoders import BLENDSHAPES

    table = pd.DataFrame(gates.face, columns=BLENDSHAPES)
    table = table.where(np.repeat(gates.face_seen[:, None], len(BLENDSHAPES), axis=1))
    return table[table.std().nlargest(MOST).index]


def add_running(running: pd.DataFrame, figure: go.Figure, row: int) -> None:
    look = {"mode": "lines+markers", "marker": {"size": 4}, "line": {"color": POSITIVE}}
    hover, x, y = "after window %{x}: %{y:.2f}<extra></extra>", running.window, running.probability
    figure.add_scatter(x=x, y=y, showlegend=False, hovertemplate=hover, **look, row=row, col=1)
    figure.add_hline(0.5, line={"dash": "dash", "color": NEUTRAL, "width": 1}, row=row, col=1)
    figure.update_yaxes(range=[0, 1], row=row, col=1)


def gate_lanes(moment: Moment, gates: Gates) -> Lanes:
    """The bands of `gates_over_time` as lanes: press one, and the player shows the frame."""
    lanes = [Lane(f"stage {n}: {HEAT}", gate.T) for n, gate in enumerate(gates.by_group(), start=1)]
    means = gates.per_window[gates.columns(MEAN)]
    lanes.append(curve_lane(MEAN, means, *np.nanquantile(means, [0, 1]).tolist()))
    for columns in zip(gates.columns(FROM_FACE), gates.columns(FROM_CONTEXT), strict=True):
        shares = gates.per_window[list(columns)]
        high = float(np.ceil(10 * shares.max(axis=None)) / 10)
        lanes.append(curve_lane("share of the other stream", shares, 0.0, high))
    if gates.face_share is not None:
        lanes.append(line_lane(FACE_SHARE, gates.face_share, FACE))
    if (running := gates.running) is not None:
        curve = np.interp(range(len(gates.face_seen)), running.window, running.probability)
        lanes.append(line_lane(RUNNING.format(gates.outcome), curve, POSITIVE))
    return Lanes(moment, gates.video_id, lanes)


def curve_lane(title: str, curves: pd.DataFrame, low: float, high: float) -> Lane:
    """A lane of columns of `Gates.per_window`."""
    lines = tuple((name, line_style(name)["color"]) for name in curves)
    return Lane(title, curves.to_numpy().T, low, high, lines)
