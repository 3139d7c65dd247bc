"""What of a clip reached MViT's class token: its rollout over the frames that it saw."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from plotly.subplots import make_subplots

from imigue_lab.data.index import Index
from imigue_lab.data.videos.video import Frames, Video, segment_centres
from imigue_lab.errors import DataError
from imigue_lab.features.encoders import VideoEncoder, normalised
from imigue_lab.models.pictures.rollout import rollout
from imigue_lab.models.weights import load_mvit
from imigue_lab.training.runs import Run
from imigue_lab.views.attention.over_clip import HEAT, add_picture, borders, middles
from imigue_lab.views.footage import Pictures, open_film
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.style import empty_figure, notes_of, styled

SEEN = 16  # frames that the encoder takes


@dataclass(frozen=True)
class Rollout:
    """The share of the class token that stems from each place, in times an equal share.

    Attributes:
        own: share of the class token that stems from itself.
        note: on the weights that made it.
        absent: why there is none.
    """

    places: Float[np.ndarray, "t h w"]
    own: float
    note: str
    absent: str = ""


def read_rollout(index: Index, clip_id: str, weights: str = "", rgb: str = "") -> Rollout:
    """Runs MViTv2 over the frames of a clip.

    Args:
        weights: see `load_mvit`; empty: the tiny network, untrained, which shows the method alone.
        rgb: the recipe of the RGB tokens that the gesture model was trained on.

    Raises:
        DataError: the weights are not there, or are another network's.
    """
    model, loaded = load_mvit(weights, "small" if weights else "tiny")
    encoder = VideoEncoder(model, loaded, torch.device("cpu"), "float32")
    own = loaded.digest in rgb
    note = f"by {encoder.note or weights}" + (
        "" if own else ", not by the encoder that made this run's RGB tokens"
    )
    try:
        frames = clip_frames(index, clip_id)
    except DataError as error:
        return Rollout(np.zeros((1, 1, 1)), 0.0, note, str(error))
    pixels = encoder.prepare(frames)[None]
    places = rollout(model, normalised(pixels, encoder.device, 0.45, 0.225)).numpy()
    return Rollout(places * places.size, float(1 - places.sum()), note)


def clip_frames(index: Index, clip_id: str) -> Frames:
    """The frames that the RGB encoder sees: centres of 16 equal segments."""
    moment = Moment(index, clip_id=clip_id)
    assert moment.clip is not None
    film = open_film(moment)
    numbers = segment_centres(int(moment.clip.start), int(moment.clip.end), SEEN)
    with Video(film.path) as video:
        return np.stack([video.frame(number - film.first) for number in numbers])


def rollout_over_clip(run: Run, clip_id: str, found: Rollout, pictures: Pictures) -> go.Figure:
    """A column a time; a place without heat gave an equal share or less."""
    title = f"What of clip {clip_id} reached MViT's class token"
    notes = [*notes_of(run), found.note]
    if found.absent or pictures.size is None:
        return empty_figure(f"No pictures: {found.absent or pictures.absent}", title, notes)
    times, height, width = found.places.shape
    columns, rows = (middles(edges) for edges in borders(width, height, pictures.size))
    titles = [f"frame {frame}" for frame in pictures.frames]
    figure = make_subplots(rows=1, cols=times, horizontal_spacing=0.004, column_titles=titles)
    for time in range(times):
        place = {"row": 1, "col": time + 1}
        add_picture(figure, pictures, time, pictures.size, place)
        figure.add_heatmap(
            z=found.places[time].round(2),
            x=columns,
            y=rows,
            coloraxis="coloraxis",
            hovertemplate="%{z:.1f} × an equal share<extra></extra>",
            **place,
        )
    bar = {"thickness": 10, "title": {"text": "× equal share", "side": "right"}}
    top = max(2.0, float(np.quantile(found.places, 0.999)))
    figure.update_layout(coloraxis={"colorscale": HEAT, "cmin": 1, "cmax": top, "colorbar": bar})
    figure.update_xaxes(range=[0, pictures.size[0]], visible=False)
    figure.update_yaxes(range=[pictures.size[1], 0], visible=False)
    figure.update_annotations(font_size=11)
    notes.append(f"{found.own:.0%} of it stems from the class token itself")
    figure = styled(figure, title, notes, height=300)
    return figure.update_layout(margin={"b": 20, "l": 20, "r": 80})
