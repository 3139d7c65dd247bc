"""How the prediction of one interview changes when a modality or a span of time is withheld.

Withheld windows are masked like windows without a face: they are no keys of attention, have no
gated term, and are left out of every mean. This shows what the prediction is based on, not why.

`choose_interview` reads everything that notebook 07 shows of one interview.

Letters in shapes: T windows of 16 frames, B masked copies of the interview.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from einops import repeat
from jaxtyping import Bool, Float
from plotly.subplots import make_subplots
from scipy.special import expit
from torch import Tensor, nn

from imigue_lab.data.datasets import Batch
from imigue_lab.data.store import open_features
from imigue_lab.errors import RunError, some
from imigue_lab.models.emotion import EmotionModel
from imigue_lab.results.open import EmotionRun
from imigue_lab.training.runs import Run
from imigue_lab.views.faces import face_strip, frame_strip
from imigue_lab.views.gates.interview import (
    Gates,
    compute_gates,
    gate_lanes,
    load_gated,
    log_odds,
    shown_outcome,
    whole_interview,
)
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.player.widgets import AroundPlayer, Player, beside
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, POSITIVE, notes_of, styled

AT_ONCE = 16  # masked copies in a batch
CONTROLS = 40  # draws of random windows
Shown = Bool[Tensor, "B T"]  # windows that the model sees
LINES = {"both": (POSITIVE, "solid"), "context": (CONTEXT, "dash"), "face": (FACE, "dot")}


@torch.no_grad()
def logits_when(
    model: nn.Module, batch: Batch, context: Shown, face: Shown
) -> Float[np.ndarray, " B"]:
    """The logit of a batch of one interview under each pair of masks of its streams.

    It is of the outcome that the figures show, see `Gates`.
    """
    place, logits = shown_outcome(model(**batch.inputs()).logit), []
    for rows in torch.arange(len(context)).split(AT_ONCE):
        copies = partial(repeat, pattern="1 ... -> b ...", b=len(rows))
        inputs = {name: copies(value) for name, value in batch.inputs().items()}
        inputs["context_mask"] = inputs["context_mask"] & context[rows]
        inputs["face_mask"] = inputs["face_mask"] & face[rows]
        logits.append(log_odds(model(**inputs).logit, place))
    return torch.cat(logits).numpy()


def running_probability(model: nn.Module, batch: Batch, moments: int = 60) -> pd.DataFrame:
    """Columns window (the last one that the model sees) and probability (of the outcome shown), at
    most `moments` rows, spread evenly up to the end."""
    windows = batch.context.shape[1]
    last = np.unique(np.linspace(0, windows - 1, min(moments, windows)).round().astype(int))
    shown = torch.arange(windows) <= torch.from_numpy(last)[:, None]
    logit = logits_when(model, batch, shown, shown)
    return pd.DataFrame({"window": last, "probability": expit(logit)})


def without_modality(model: nn.Module, batch: Batch) -> pd.DataFrame:
    """The prediction from both streams and from either alone.

    Columns: shown, logit, probability (of the outcome shown). A stream that is withheld entirely is
    replaced by a learned vector, which is trained only if some training interviews lack it.
    """
    windows = batch.context.shape[1]
    context = repeat(torch.tensor([True, True, False]), "b -> b t", t=windows)
    face = repeat(torch.tensor([True, False, True]), "b -> b t", t=windows)
    logit = logits_when(model, batch, context, face)
    names = ["both", "context alone", "face alone"]
    return pd.DataFrame({"shown": names, "logit": logit, "probability": expit(logit)})


def without_span(
    model: nn.Module, batch: Batch, span: int = 0, places: int = 40, seed: int = 0
) -> pd.DataFrame:
    """The change of the logit when a span of windows is withheld, along the interview.

    Args:
        span: length in windows; 0: an eighth of the interview.
        places: positions of the span, at most, spread evenly over the interview.

    Returns:
        first, last (windows of the span); `both`, `context`, `face`: the logit with that span of
        that stream withheld, minus the logit of the whole interview; `low`, `high`: the central
        95 % of `CONTROLS` draws, each of `span` random windows withheld from both streams.
    """
    windows = batch.context.shape[1]
    span = min(windows, span or max(1, windows // 8))
    first = np.unique(np.linspace(0, windows - span, min(places, windows)).round().astype(int))
    window, begin = torch.arange(windows), torch.from_numpy(first)[:, None]
    hidden = (window >= begin) & (window < begin + span)
    rng = np.random.default_rng(seed)
    random = torch.zeros(CONTROLS, windows, dtype=torch.bool)
    for row in random:
        row[torch.from_numpy(rng.permutation(windows)[:span].copy())] = True
    nothing = torch.zeros_like(hidden)
    context = torch.cat([hidden, hidden, nothing, random, nothing[:1]])
    face = torch.cat([hidden, nothing, hidden, random, nothing[:1]])
    logit = logits_when(model, batch, ~context, ~face)
    change = logit[:-1] - logit[-1]
    *changes, control = np.split(change, np.cumsum([len(first)] * 3))
    low, high = np.quantile(control, [0.025, 0.975])
    table = pd.DataFrame({"first": first, "last": first + span - 1})
    return table.assign(**dict(zip(LINES, changes, strict=True)), low=low, high=high)


def withheld(run: Run, gates: Gates, modality: pd.DataFrame, spans: pd.DataFrame) -> go.Figure:
    """Left `without_modality`: the probability by streams shown; right `without_span`.

    The grey band is the change under random windows: a span inside it shows no effect of its place.
    """
    length = int(spans["last"].iloc[0] - spans["first"].iloc[0] + 1)
    titles = ("streams shown to the model", f"{length} windows withheld, by position")
    figure = make_subplots(
        rows=1, cols=2, column_widths=[0.3, 0.7], subplot_titles=titles, horizontal_spacing=0.1
    )
    left, right = {"row": 1, "col": 1}, {"row": 1, "col": 2}
    figure.add_bar(
        x=modality.shown,
        y=modality.probability,
        text=modality.probability.map("{:.2f}".format),
        marker={"color": [LINES[name.split()[0]][0] for name in modality.shown]},
        showlegend=False,
        **left,
    )
    figure.add_hline(0.5, line={"dash": "dash", "color": NEUTRAL, "width": 1}, **left)
    centre = (spans["first"] + spans["last"]) / 2
    figure.add_scatter(
        x=[*centre, *centre[::-1]],
        y=[*spans.high, *spans.low[::-1]],
        fill="toself",
        fillcolor="rgba(138, 143, 152, 0.25)",
        line={"width": 0},
        hoverinfo="skip",
        name=f"{length} random windows, 95 %",
        **right,
    )
    for name, (colour, dash) in LINES.items():
        figure.add_scatter(
            x=centre,
            y=spans[name],
            name="both streams" if name == "both" else f"{name} alone",
            mode="lines",
            line={"color": colour, "dash": dash},
            hovertemplate="around window %{x}: %{y:+.3f}<extra>" + name + "</extra>",
            **right,
        )
    figure.update_yaxes(title_text=f"probability of {gates.outcome}", range=[0, 1.05], **left)
    figure.update_yaxes(title_text=f"change of the logit (up: {gates.outcome})", **right)
    figure.update_xaxes(title_text="middle of the span, window of 16 frames", **right)
    title = f"Interview {gates.video_id} with streams or spans withheld"
    notes = [*notes_of(run), "this shows what the prediction is based on, not why"]
    return styled(figure, title, notes, height=470)


class GatedInterview(NamedTuple):
    """One interview as a run's best model sees it."""

    model: EmotionModel
    batch: Batch
    gates: Gates  # with strips: frames, and the face crops that the encoder received


def choose_interview(emotion: EmotionRun, video_id: str = "") -> GatedInterview:
    """Reads one interview; an empty id is that of `longest_hidden`.

    Raises RunError where the run's model has no gates, or its data do not contain the interview.
    """
    video_id = video_id or longest_hidden(emotion)
    model = load_gated(emotion.run, emotion.data)
    batch = whole_interview(emotion.data, video_id)
    windows = batch.context.shape[1]
    source = open_features(emotion.settings.face, emotion.settings.store, emotion.index)
    frames = frame_strip(emotion.index, video_id, windows)
    gates = replace(
        compute_gates(model, batch, emotion.run.outcomes()),
        face_share=source.read(video_id).get("face_share"),
        strips=(frames, face_strip(emotion.index, source, video_id, windows)),
        running=running_probability(model, batch),
    )
    return GatedInterview(model, batch, gates)


def longest_hidden(emotion: EmotionRun) -> str:
    """The held-out interview with most windows without a face."""
    predictions = emotion.run.predictions()
    held_out = predictions[predictions.split != "train"]
    if held_out.empty:
        raise RunError(
            f"{emotion.run.folder}: expected predictions of validation or test interviews, got"
            f" none; set `video` to one of {some(predictions.video_id)}"
        )
    return str(held_out.video_id[(held_out.windows - held_out.windows_with_face).idxmax()])


def open_gate_player(emotion: EmotionRun, gates: Gates) -> AroundPlayer:
    """The interview in the player, and its gates as lanes that move it."""
    moment = Moment(emotion.index, gates.video_id)
    player = Player(moment)
    return AroundPlayer(player, [beside(player, gate_lanes(moment, gates))])
