"""Attention rollout of MViTv2: how much of the class token stems from each place of a clip.

Letters in shapes: t h w, times, rows and columns of the encoder's map.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from plotly.subplots import make_subplots

from imigue_lab.data.index import Index
from imigue_lab.features.encoders import VideoEncoder, normalised
from imigue_lab.models.pictures.mvit import rollout
from imigue_lab.models.weights import load_mvit
from imigue_lab.training.runs import Run
from imigue_lab.views.attention.over_clip import (
    HEAT_SCALE,
    add_heat,
    add_picture,
    borders,
    colour_axis,
    fit_tiles,
)
from imigue_lab.views.footage import Pictures, clip_pictures
from imigue_lab.views.style import empty_figure, notes_of, styled

SEEN = 16  # frames of the encoder's input: centres of equal segments


@dataclass(frozen=True)
class Rollout:
    """The share of the class token that stems from each place, in equal shares."""

    places: Float[np.ndarray, "t h w"]
    own: float  # share of the class token that stems from itself
    note: str  # which weights computed it
    absent: str = ""  # why there is none


def read_rollout(index: Index, clip_id: str, weights: str = "", rgb: str = "") -> Rollout:
    """Runs MViTv2 on the frames of a clip; errors as of `load_mvit`.

    Args:
        weights: see `load_mvit`; empty: the tiny untrained network, which only shows the method.
        rgb: the recipe of the RGB tokens that the gesture model was trained on.
    """
    model, loaded = load_mvit(weights, "small" if weights else "tiny")
    encoder = VideoEncoder(model, loaded, torch.device("cpu"), "float32")
    note = f"by {encoder.note or weights}"
    if loaded.digest not in rgb:
        note += ", not by the encoder that extracted this run's RGB tokens"
    shown = clip_pictures(index, clip_id, SEEN, short_side=0)
    if shown.absent:
        return Rollout(np.zeros((1, 1, 1)), 0.0, note, shown.absent)
    pixels = encoder.prepare(np.stack(shown.pictures))[None]
    places = rollout(model, normalised(pixels, encoder.device, 0.45, 0.225)).numpy()
    return Rollout(places * places.size, float(1 - places.sum()), note)


def rollout_over_clip(run: Run, clip_id: str, found: Rollout, pictures: Pictures) -> go.Figure:
    """A column a time; a place without heat contributes an equal share or less."""
    title = f"Attention rollout of MViT over clip {clip_id}"
    notes = [*notes_of(run), found.note]
    if found.absent or pictures.size is None:
        return empty_figure(f"No pictures: {found.absent or pictures.absent}", title, notes)
    times, height, width = found.places.shape
    columns, rows = borders(width, height, pictures.size)
    titles = [f"frame {frame}" for frame in pictures.frames]
    figure = make_subplots(rows=1, cols=times, horizontal_spacing=0.004, column_titles=titles)
    for time in range(times):
        place = {"row": 1, "col": time + 1}
        add_picture(figure, pictures, time, pictures.size, place)
        add_heat(figure, found.places[time], columns, rows, place)
    top = float(np.quantile(found.places, 0.999))
    figure.update_layout(coloraxis=colour_axis("place", HEAT_SCALE, 1.0, top))
    notes.append(f"{found.own:.0%} of the class token stems from the class token itself")
    return styled(fit_tiles(figure, pictures.size), title, notes, height=300, b=20, l=20, r=80)
