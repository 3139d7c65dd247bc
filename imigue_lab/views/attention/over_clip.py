"""Attention over a clip as pictures, a column a time: of CMTF, and the rollout of MViTv2.

CMTF has a row a criterion, merged tokens below. The rollout is how much of the class token stems
from each place. All positions are pixels of the whole picture; the encoder sees the crop only
(`data/skeletons/geometry.py`). Letters in shapes: t h w, times, rows and columns of the encoder's
map; P pose tokens; J joints that are seen at one time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float, Int
from plotly.subplots import make_subplots

from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.geometry import picture_places
from imigue_lab.features.encoders import VideoEncoder, normalised
from imigue_lab.models.pictures.mvit import rollout
from imigue_lab.models.tokens import WHOLE, Region
from imigue_lab.models.weights import load_mvit
from imigue_lab.training.runs import Run
from imigue_lab.views.attention.maps import AFTER, ALL, ClipAttention
from imigue_lab.views.footage import Pictures, clip_pictures, title_of
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.reel import as_source
from imigue_lab.views.style import DISTINCT, empty_figure, notes_of, styled

Place = dict[str, int]  # row and column of a subplot
Edges = Float[np.ndarray, " edges"]  # of the columns or rows of the encoder's map
SEEN = 16  # frames of the encoder's input: centres of equal segments
UNKNOWN = (4, 3)  # width and height of a picture of unknown size
TILE = 118  # pixels of a tile's width
HEAT, LIGHT, DEEP = (213, 94, 0), (232, 241, 250), (8, 48, 107)  # of places; of joints
HEAT_SCALE = [[0, f"rgba{(*HEAT, 0)}"], [1, f"rgba{(*HEAT, 0.85)}"]]
JOINT_SCALE = [[0, f"rgb{LIGHT}"], [1, f"rgb{DEEP}"]]
TO_RGB, TO_POSE = "#0072b2", "#d55e00"  # blue, orange
MERGED = "merged tokens"
Corners = list[float | None]  # None is a gap
LINES = (
    "lines are the strongest pairs: blue, a place attends to a joint; orange, a joint to a place"
)


class Line(NamedTuple):
    """A pair, from the token that is attended to, to the token that attends."""

    ends: Float[np.ndarray, "2 2"]
    colour: str


class Outline(NamedTuple):
    """What one merged token contains at this time; `number` is the same at all times."""

    number: int
    cells: Int[np.ndarray, "n 2"]  # row and column
    joints: Float[np.ndarray, "n 2"]

    @property
    def colour(self) -> str:
        return DISTINCT[self.number % len(DISTINCT)]


class Snapshot(NamedTuple):
    """One layer at one time; attention is in equal shares."""

    heat: Float[np.ndarray, "h w"]  # attention to each cell
    columns: Float[np.ndarray, " columns"]  # borders of the cells
    rows: Float[np.ndarray, " rows"]
    joints: Float[np.ndarray, "J 2"]
    weight: Float[np.ndarray, " J"]  # attention to each joint
    names: list[str]
    lines: list[Line]
    outlines: list[Outline]

    def cell(self, row: int, column: int) -> Float[np.ndarray, " 4"]:
        """Left, top, right and bottom."""
        (left, right), (top, bottom) = self.columns[column:][:2], self.rows[row:][:2]
        return np.array([left, top, right, bottom])


def snapshot_at(
    attention: ClipAttention, size: tuple[int, int], time: int, layer: str = ALL, most: int = 4
) -> Snapshot:
    """One of `attention.layers` at a time of the map, in a picture of this width and height; with
    `most` pairs of each direction."""
    _, height, width = attention.grid
    columns, rows = borders(width, height, size, attention.region)
    places, joints = attention.tokens_at(time)
    position = picture_places(attention.places.reshape(-1, 2), *size)
    joints = joints[~np.isnan(position[joints, 0])]
    centres = np.stack(np.meshgrid(middles(columns), middles(rows)), axis=-1).reshape(-1, 2)
    lines = []
    for pair in attention.pairs(layer, time, most):
        if pair.joint in joints:
            ends = np.stack([position[pair.joint], centres[pair.place - places[0]]])
            lines.append(Line(ends, TO_RGB) if pair.to_rgb else Line(ends[::-1], TO_POSE))
    first_joint = attention.rgb_from_pose.shape[1]  # number of the first pose token in N
    outlines = []
    for number, group in enumerate(attention.merged()):
        cells = np.stack(np.divmod(np.flatnonzero(np.isin(places, group)), width), axis=-1)
        own = joints[np.isin(joints + first_joint, group)]
        if len(cells) + len(own):
            outlines.append(Outline(number, cells, position[own]))
    heat, weight = attention.on_places(layer)[time], attention.on_joints(layer).ravel()[joints]
    names = [attention.joints[n % len(attention.joints)] for n in joints]
    return Snapshot(heat, columns, rows, position[joints], weight, names, lines, outlines)


def borders(
    width: int, height: int, size: tuple[int, int], region: Region = WHOLE
) -> tuple[Edges, Edges]:
    """Borders of the columns and of the rows of the encoder's map."""
    ends = zip(region[:2], region[2:], (width, height), strict=True)
    shares = [np.linspace(start, stop, n + 1) for start, stop, n in ends]
    x, y = (np.stack([share, share], axis=-1) for share in shares)
    return picture_places(x, *size)[:, 0], picture_places(y, *size)[:, 1]


def middles(edges: Edges) -> Float[np.ndarray, " between"]:
    return (edges[1:] + edges[:-1]) / 2


def attention_over_clip(
    run: Run, index: Index, attention: ClipAttention, pictures: Pictures, why: str = ""
) -> go.Figure:
    """Heat is the attention of the joints to a place, a joint's size and colour that of the places.

    A place without heat got an equal share or less. `why` is the reason for the choice of the clip.
    """
    size = pictures.size or UNKNOWN
    layers = [ALL, *dict.fromkeys(attention.criteria), AFTER]
    snapshots = {
        layer: [snapshot_at(attention, size, time, layer) for time in range(attention.grid[0])]
        for layer in layers
    }
    rows = [*layers, MERGED]
    figure = make_subplots(
        rows=len(rows),
        cols=attention.grid[0],
        horizontal_spacing=0.004,
        vertical_spacing=0.012,
        column_titles=[f"frame {frame}" for frame in pictures.frames],
        row_titles=rows,
    )
    for row, layer in enumerate(rows, start=1):
        for time, snapshot in enumerate(snapshots[ALL if layer == MERGED else layer]):
            place = {"row": row, "col": time + 1}
            add_picture(figure, pictures, time, size, place)
            if layer == MERGED:
                add_outlines(figure, snapshot, place)
            else:
                add_heat(figure, snapshot.heat, snapshot.columns, snapshot.rows, place)
                add_joints(figure, snapshot, place)
    every = [snapshot for row in snapshots.values() for snapshot in row]
    hottest = max(float(snapshot.heat.max()) for snapshot in every)
    largest = max(float(snapshot.weight.max(initial=0)) for snapshot in every)
    bar = {"len": 0.4, "x": 1.04}
    figure.update_layout(
        coloraxis=colour_axis("place", HEAT_SCALE, 1.0, hottest, **bar, y=0.78),
        coloraxis2=colour_axis("joint", JOINT_SCALE, 0.0, largest, **bar, y=0.28),
    )
    predicted = int(attention.probability.argmax())
    clip = title_of(Moment(index, clip_id=attention.clip_id)).removeprefix("Clip ")
    answer = f"{run.vocabulary().label(predicted)} ({attention.probability[predicted]:.2f})"
    title = f"Attention over clip {clip}<br>predicted {answer}"
    notes = [*notes_of(run), *([why] if why else []), LINES]
    if attention.of_cells:
        notes.append("dots are cells of the heatmaps' map; the player shows them on pictures only")
    if pictures.absent:
        notes.append(f"no pictures: {pictures.absent}")
    if np.isnan(attention.places).all():
        notes.append("the joints are not drawn: their positions in the picture are unknown")
    figure = styled(fit_tiles(figure, size), title, notes, above=10, b=20, l=20, r=110)
    tiles = int(len(rows) * TILE * size[1] / size[0])
    return figure.update_layout(height=tiles + figure.layout.margin.t + 30)


def add_picture(
    figure: go.Figure, pictures: Pictures, time: int, size: tuple[int, int], place: Place
) -> None:
    if pictures.pictures:
        span = {"x": 0, "y": 0, "sizex": size[0], "sizey": size[1], "sizing": "stretch"}
        source = as_source(pictures.pictures[time])
        figure.add_layout_image(source=source, layer="below", **span, **place)


def add_heat(
    figure: go.Figure, heat: Float[np.ndarray, "h w"], columns: Edges, rows: Edges, place: Place
) -> None:
    hover = "place: %{z:.1f} × equal share<extra></extra>"
    look = {"coloraxis": "coloraxis", "hovertemplate": hover}
    figure.add_heatmap(z=heat.round(3), x=middles(columns), y=middles(rows), **look, **place)


def colour_axis(what: str, scale: list, low: float, high: float, **bar: float) -> dict:
    """At least up to twice an equal share, so that noise is not shown in full colour."""
    title = {"text": f"{what}, × equal share", "side": "right"}
    shape = {"thickness": 10, "title": title, **bar}
    return {"colorscale": scale, "cmin": low, "cmax": max(high, 2.0), "colorbar": shape}


def fit_tiles(figure: go.Figure, size: tuple[int, int]) -> go.Figure:
    """Every subplot spans the picture, y downwards, without axes."""
    figure.update_xaxes(range=[0, size[0]], visible=False)
    figure.update_yaxes(range=[size[1], 0], visible=False)
    return figure.update_annotations(font_size=11)


def add_joints(figure: go.Figure, snapshot: Snapshot, place: Place) -> None:
    """The joints, and the lines of the strongest pairs."""
    for line in snapshot.lines:
        look = {"mode": "lines", "line": {"color": line.colour, "width": 1.4}, "hoverinfo": "skip"}
        x, y = line.ends.T
        figure.add_scatter(x=x, y=y, showlegend=False, **look, **place)
    x, y = snapshot.joints.T
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={
            "color": snapshot.weight,
            "coloraxis": "coloraxis2",
            "size": 2.5 + 3 * np.sqrt(snapshot.weight),
            "line": {"width": 0.5, "color": "#333"},
        },
        customdata=snapshot.names,
        hovertemplate="%{customdata}: %{marker.color:.1f} × equal share<extra></extra>",
        showlegend=False,
        **place,
    )


def add_outlines(figure: go.Figure, snapshot: Snapshot, place: Place) -> None:
    for outline in snapshot.outlines:
        dash = "dot" if outline.number >= len(DISTINCT) else "solid"
        shared = {"hovertemplate": f"merged token {outline.number + 1}<extra></extra>", **place}
        line = {"color": outline.colour, "width": 2, "dash": dash}
        marker = {"color": outline.colour, "size": 6, "line": {"width": 1, "color": "white"}}
        x, y = outline_path(snapshot, outline)
        figure.add_scatter(x=x, y=y, mode="lines", line=line, showlegend=False, **shared)
        x, y = outline.joints.T
        figure.add_scatter(x=x, y=y, mode="markers", marker=marker, showlegend=False, **shared)


def outline_path(snapshot: Snapshot, outline: Outline) -> tuple[Corners, Corners]:
    """Corners of a merged token's cells, slightly inset, with gaps between the cells."""
    inset = 0.06 * np.diff(snapshot.columns[:2]) * [1, 1, -1, -1]
    cells = [snapshot.cell(row, column) + inset for row, column in outline.cells.tolist()]
    x = [corner for left, _, right, _ in cells for corner in (left, right, right, left, left, None)]
    y = [corner for _, top, _, low in cells for corner in (top, top, low, low, top, None)]
    return x, y


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
