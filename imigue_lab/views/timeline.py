"""Predictions of a gesture run and an emotion run over the time of one video (notebook 09).

Letters in shapes: T windows of 16 frames, F frames, C classes.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from ipywidgets import HBox
from jaxtyping import Float
from plotly.subplots import make_subplots

from imigue_lab.data.store import open_features
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.inference.analysis import Analysis
from imigue_lab.views.attention.maps import read_attention
from imigue_lab.views.attention.over_clip import AttentionPlayer
from imigue_lab.views.corrections import Corrections
from imigue_lab.views.faces import outline
from imigue_lab.views.gates.interview import Gates, gate_lanes
from imigue_lab.views.player.lanes import WINDOW, Lane, Lanes, Moment, line_lane
from imigue_lab.views.player.widgets import AroundPlayer, Player, beside, clip_list
from imigue_lab.views.style import NEUTRAL, POSITIVE, class_colours, styled

MOST = 6  # lanes of classes
Curves = Float[np.ndarray, "F C"]


def segment_table(analysis: Analysis) -> pd.DataFrame:
    """The segments for display: class, group if any, start_s, end_s, confidence."""
    segments, vocabulary = analysis.segments, analysis.gesture_run.vocabulary()
    table = segments[["start_s", "end_s", "confidence"]].round(2)
    table.insert(0, "class", [vocabulary.label(label) for label in segments.label])
    if vocabulary.group_names:
        table.insert(1, "group", [vocabulary.groups[label] for label in segments.label])
    return table


def over_time(analysis: Analysis, running: pd.DataFrame) -> go.Figure:
    """Gestures as bars, paler at low confidence, and below them the probability of the outcome.

    `running` is `withholding.running_probability` of the video.
    """
    segments, times = analysis.segments, analysis.own.times
    vocabulary = analysis.gesture_run.vocabulary()
    colours = class_colours(vocabulary)
    named = vocabulary.groups if vocabulary.group_names else vocabulary.classes
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    groups = pd.Series([named[label] for label in segments.label], segments.index, dtype=str)
    for group, own in segments.groupby(groups):
        bars = segment_bars(own, str(group), colours[own.label.iloc[0]], vocabulary)
        figure.add_trace(bars, row=1, col=1)
    if segments.empty:
        figure.add_annotation(text="no gesture was detected", showarrow=False, row=1, col=1)
        figure.update_yaxes(visible=False, row=1, col=1)
    ends = np.minimum((running.window.to_numpy() + 1) * WINDOW, len(times) - 1)
    seconds, name = times[ends], f"{analysis.outcome}, from the video so far"
    curve = go.Scatter(x=seconds, y=running.probability, name=name, line_color=POSITIVE)
    figure.add_trace(curve, row=2, col=1)
    figure.add_hline(0.5, line_color=NEUTRAL, line_dash="dot", row=2, col=1)
    figure.update_yaxes(range=[0, 1], title_text="probability", row=2, col=1)
    figure.update_xaxes(range=[min(0, times[0]), times[-1]])
    figure.update_xaxes(title_text="seconds", row=2, col=1)
    count = f"{len(segments)} gesture{'s' * (len(segments) != 1)}"
    found = f"{analysis.outcome} {analysis.probability:.2f}"
    based_on = f"based on {analysis.prediction.based_on}"
    title = f"{analysis.own.source.name}: {count}; probability of {found}, {based_on}"
    return styled(figure, title, analysis.remarks, 440 + 22 * segments.label.nunique())


def segment_bars(
    segments: pd.DataFrame, name: str, colour: str, vocabulary: Vocabulary, **options: Any
) -> go.Bar:
    """A bar a segment in the row of its class, paler at low confidence; `options` are plotly's."""
    return go.Bar(
        x=segments.end_s - segments.start_s,
        base=segments.start_s,
        y=[vocabulary.label(label) for label in segments.label],
        orientation="h",
        name=name,
        marker={"color": colour, "opacity": (0.3 + 0.7 * segments.confidence.fillna(1)).tolist()},
        customdata=segments.confidence.round(2),
        hovertemplate="%{y}<br>%{base:.2f} s, confidence %{customdata}",
        **options,
    )


def look(analysis: Analysis, shown: Gates) -> AroundPlayer:
    """The video in the player with keypoints and face, classes and gates as lanes that move it.

    If the modalities attend to each other, a selected gesture is shown with its attention. Buttons
    correct it.
    """
    moment = Moment(analysis.emotion.index, shown.video_id)
    vocabulary = analysis.gesture_run.vocabulary()
    lanes = class_lanes(analysis.curves, len(shown.face_seen), vocabulary)
    gestures = Lanes(moment, analysis.own.video_id, lanes)
    player = Player(moment)
    view: Player | AttentionPlayer = player
    if analysis.attending is not None:
        read = partial(read_attention, *analysis.attending)
        view = AttentionPlayer(moment, analysis.emotion.index.clips, read)
        player = view.player
    if film := player.footage.film:
        trained = analysis.emotion.settings
        face = open_features(trained.face, trained.store, analysis.own.index).read(shown.video_id)
        player.plain = outline(face["face_boxes"], film.size[0])
        player.dress()
    clips = analysis.emotion.index.clips
    buttons = Corrections(moment, analysis.folder, dict.fromkeys(clips.clip_id, ""))
    row = HBox([*[clip_list(moment, clips)] * (view is player), buttons])
    return AroundPlayer(player, [beside(view, gestures, gate_lanes(moment, shown)), row])


def class_lanes(curves: Curves, count: int, vocabulary: Vocabulary) -> list[Lane]:
    """The probability of the classes with the highest maxima, in the colour of their group, at the
    middle frame of each of `count` windows."""
    lanes, colours = [], class_colours(vocabulary)
    middle = np.arange(count) * WINDOW + WINDOW // 2
    at_windows = curves[np.minimum(middle, len(curves) - 1)]
    for label in np.argsort(-curves.max(axis=0), kind="stable")[:MOST].tolist():
        values = at_windows[:, label]
        title = f"{vocabulary.label(label)}, up to {values.max():.2f}"
        lanes.append(line_lane(title, values, colours[label]))
    return lanes
