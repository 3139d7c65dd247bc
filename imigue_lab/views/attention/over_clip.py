"""Attention over a clip: of CMTF and MViT as pictures, a column a time, and in the player.

The figure of CMTF has a row a criterion, merged tokens below. The player draws a chosen layer on
its pictures, or sizes its joints by it: its slider is the slider of time, and choosing another clip
reads the attention of that clip. Letters in shapes: h w, rows and columns of the encoder's map;
T frames and P points of a skeleton.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from ipywidgets import HTML, Checkbox, Dropdown, HBox
from jaxtyping import Float
from PIL import Image, ImageDraw
from plotly.subplots import make_subplots

from imigue_lab.data.index import Index
from imigue_lab.data.videos.video import Frame
from imigue_lab.errors import RunError
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.runs import Run
from imigue_lab.views.attention import maps
from imigue_lab.views.footage import Paint, Pictures, as_source, title_of
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.player.widgets import AroundPlayer, Player, clip_list
from imigue_lab.views.skeletons import Skeleton
from imigue_lab.views.style import DISTINCT, empty_figure, notes_of, styled

Place = dict[str, int]  # row and column of a subplot
UNKNOWN = (4, 3)  # width and height of a picture of unknown size
TILE = 118  # pixels of a tile's width
HEAT, LIGHT, DEEP = (213, 94, 0), (232, 241, 250), (8, 48, 107)  # of places; of joints
HEAT_SCALE = [[0, f"rgba{(*HEAT, 0)}"], [1, f"rgba{(*HEAT, 0.85)}"]]
JOINT_SCALE = [[0, f"rgb{LIGHT}"], [1, f"rgb{DEEP}"]]
MERGED = "merged"
Borders = tuple[maps.Edges, maps.Edges]  # of columns, of rows
Corners = list[float | None]  # None is a gap
LEGEND = (  # symbol of plotly, glyph, colour, meaning
    ("square", "■", f"rgb{HEAT}", "place that joints attend to"),
    ("circle", "●", f"rgb{DEEP}", "joint that places attend to: larger, darker"),
    ("line-ew", "━", maps.TO_RGB, "a place attends to a joint"),
    ("line-ew", "━", maps.TO_POSE, "a joint attends to a place"),
    ("square-open", "□", DISTINCT[2], "merged tokens"),
)
FULL = 4.0  # multiple of an equal share at which colours are deepest


def attention_over_clip(
    run: Run, index: Index, attention: maps.ClipAttention, pictures: Pictures, why: str = ""
) -> go.Figure:
    """Heat is the attention of the joints to a place, a joint's size and colour that of the places.

    A place without heat got an equal share or less. `why` is the reason for the choice of the clip.
    """
    size = pictures.size or UNKNOWN
    layers = [maps.ALL, *dict.fromkeys(attention.criteria), maps.AFTER]
    snapshots = {
        layer: [maps.snapshot_at(attention, size, time, layer) for time in range(attention.grid[0])]
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
        for time, snapshot in enumerate(snapshots[maps.ALL if layer == MERGED else layer]):
            place = {"row": row, "col": time + 1}
            add_picture(figure, pictures, time, size, place)
            if layer == MERGED:
                add_outlines(figure, snapshot, place)
            else:
                add_heat(figure, snapshot.heat, (snapshot.columns, snapshot.rows), place)
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
    title = f"Attention over clip {clip}\npredicted {answer}"
    notes = [*notes_of(run), *([why] if why else [])]
    if attention.of_cells:
        notes.append("dots are cells of the heatmaps' map; the player shows them on pictures only")
    if pictures.absent:
        notes.append(f"no pictures: {pictures.absent}")
    if np.isnan(attention.places).all():
        notes.append("the joints are not drawn: their positions in the picture are unknown")
    for symbol, _, colour, name in LEGEND:
        line = {"color": colour, "width": 2}
        mark = {"symbol": symbol, "color": colour, "size": 12, "line": line}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=mark, name=name)
    figure = styled(fit_tiles(figure, size), title, notes, above=10, b=60, l=20, r=110)
    tiles = int(len(rows) * TILE * size[1] / size[0])
    return figure.update_layout(height=tiles + figure.layout.margin.t + 70)


def add_picture(
    figure: go.Figure, pictures: Pictures, time: int, size: tuple[int, int], place: Place
) -> None:
    if pictures.pictures:
        span = {"x": 0, "y": 0, "sizex": size[0], "sizey": size[1], "sizing": "stretch"}
        source = as_source(pictures.pictures[time])
        figure.add_layout_image(source=source, layer="below", **span, **place)


def add_heat(
    figure: go.Figure, heat: Float[np.ndarray, "h w"], borders: Borders, place: Place
) -> None:
    x, y = map(maps.middles, borders)
    hover = "place: %{z:.1f} × equal share<extra></extra>"
    look = {"coloraxis": "coloraxis", "hovertemplate": hover}
    figure.add_heatmap(z=heat.round(3), x=x, y=y, **look, **place)


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


def add_joints(figure: go.Figure, snapshot: maps.Snapshot, place: Place) -> None:
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


def add_outlines(figure: go.Figure, snapshot: maps.Snapshot, place: Place) -> None:
    for outline in snapshot.outlines:
        dash = "dot" if outline.number >= len(DISTINCT) else "solid"
        shared = {"hovertemplate": f"merged token {outline.number + 1}<extra></extra>", **place}
        line = {"color": outline.colour, "width": 2, "dash": dash}
        marker = {"color": outline.colour, "size": 6, "line": {"width": 1, "color": "white"}}
        x, y = outline_path(snapshot, outline)
        figure.add_scatter(x=x, y=y, mode="lines", line=line, showlegend=False, **shared)
        x, y = outline.joints.T
        figure.add_scatter(x=x, y=y, mode="markers", marker=marker, showlegend=False, **shared)


def outline_path(snapshot: maps.Snapshot, outline: maps.Outline) -> tuple[Corners, Corners]:
    """Corners of a merged token's cells, slightly inset, with gaps between the cells."""
    inset = 0.06 * np.diff(snapshot.columns[:2]) * [1, 1, -1, -1]
    cells = [snapshot.cell(row, column) + inset for row, column in outline.cells.tolist()]
    x = [corner for left, _, right, _ in cells for corner in (left, right, right, left, left, None)]
    y = [corner for _, top, _, low in cells for corner in (top, top, low, low, top, None)]
    return x, y


def rollout_over_clip(run: Run, clip_id: str, found: maps.Rollout, pictures: Pictures) -> go.Figure:
    """A column a time; a place without heat contributes an equal share or less."""
    title = f"Attention rollout of MViT over clip {clip_id}\n{found.note}"
    notes = notes_of(run)
    if found.absent or pictures.size is None:
        return empty_figure(f"No pictures: {found.absent or pictures.absent}", title, notes)
    times, height, width = found.places.shape
    borders = maps.borders(width, height, pictures.size)
    titles = [f"frame {frame}" for frame in pictures.frames]
    figure = make_subplots(rows=1, cols=times, horizontal_spacing=0.004, column_titles=titles)
    for time in range(times):
        place = {"row": 1, "col": time + 1}
        add_picture(figure, pictures, time, pictures.size, place)
        add_heat(figure, found.places[time], borders, place)
    top = float(np.quantile(found.places, 0.999))
    figure.update_layout(coloraxis=colour_axis("place", HEAT_SCALE, 1.0, top))
    notes.append(f"{found.own:.0%} of the class token stems from the class token itself")
    return styled(fit_tiles(figure, pictures.size), title, notes, height=300, b=20, l=20, r=80)


class AttentionPlayer(AroundPlayer):
    """Plays a clip with the attention of one layer drawn over it.

    Args:
        moment: shared with the player; other views may follow it.
        clips: to choose from, with their label.
        read: the attention of a clip by its id; raises RunError where there is none.
    """

    def __init__(
        self, moment: Moment, clips: pd.DataFrame, read: Callable[[str], maps.ClipAttention]
    ):
        self.moment, self.read = moment, read
        self.layer = Dropdown(description="layer", options=[maps.ALL])
        self.pairs = Checkbox(True, description="strongest pairs", indent=False)
        self.merged = Checkbox(False, description="merged tokens", indent=False)
        self.player = Player(moment)
        self.attention: maps.ClipAttention | None = None
        controls = HBox([clip_list(moment, clips), self.layer, self.pairs, self.merged])
        legend = (f'<span style="color:{c}">{glyph}</span> {name}' for _, glyph, c, name in LEGEND)
        super().__init__(self.player, [controls, HTML(" &ensp; ".join(legend)), self.player])
        self.follow(None)
        moment.observe(self.follow, "clip_id")
        for control in (self.layer, self.pairs, self.merged):
            control.observe(self.redraw, "value")

    def follow(self, _: object) -> None:
        """Reads the moment's clip and keeps the chosen layer where the clip has it."""
        self.attention = None
        if self.moment.clip_id:
            with suppress(RunError):  # a clip that lacks a modality plays without attention
                self.attention = self.read(self.moment.clip_id)
        if self.attention and list(self.layer.options) != list(self.attention.layers):
            self.layer.options = list(self.attention.layers)
        self.redraw(None)

    def redraw(self, _: object) -> None:
        """Draws the chosen layer from now on, on pictures or else by the size of joints."""
        clip, footage = self.moment.clip, self.player.footage
        paint = weights = None
        if self.attention and clip is not None:
            span, layer = (int(clip.start), int(clip.end)), self.layer.value
            if footage.film:
                shown = self.pairs.value, self.merged.value
                paint = painter(self.attention, footage.film.size, span, layer, *shown)
            elif footage.skeleton and not self.attention.of_cells:
                weights = joint_weights(self.attention, footage.skeleton, span, layer)
        self.player.dress(paint, weights)


def open_attention_player(
    gesture: GestureRun, system: GestureSystem, clip_id: str
) -> AttentionPlayer:
    """The clip with its attention, and the other clips of its split to choose from."""
    clips = gesture.index.clips
    split = clips[clips.split == clips.set_index("clip_id").split[clip_id]]
    moment = Moment(gesture.index, clip_id=clip_id)
    return AttentionPlayer(moment, split, partial(maps.read_attention, gesture, system))


def painter(
    attention: maps.ClipAttention,
    size: tuple[int, int],
    span: tuple[int, int],
    layer: str,
    pairs: bool,
    merged: bool,
) -> Paint:
    """Draws a layer on the pictures of a clip, and leaves other pictures unchanged.

    `size` is that of the whole picture, `span` the first and last frame of the clip.
    """
    times, most = attention.grid[0], 4 if pairs else 0
    snapshots = [maps.snapshot_at(attention, size, time, layer, most) for time in range(times)]

    def paint(frame: int, picture: Frame) -> Frame:
        time = (frame - span[0]) * times // (span[1] - span[0] + 1)
        if not 0 <= time < times:
            return picture
        return painted(picture, snapshots[time], picture.shape[1] / size[0], merged)

    return paint


def painted(picture: Frame, snapshot: maps.Snapshot, scale: float, merged: bool) -> Frame:
    """A picture, of `scale` pixels a pixel of the whole picture, with one snapshot over it."""
    ground = Image.fromarray(picture).convert("RGBA")
    over = Image.new("RGBA", ground.size)
    pen = ImageDraw.Draw(over)
    unit = min(picture.shape[:2]) / 100
    width = round(unit) or 1
    for place, heat in np.ndenumerate(snapshot.heat):
        opacity = round(200 * np.clip((float(heat) - 1) / (FULL - 1), 0, 1))
        pen.rectangle((scale * snapshot.cell(*place)).tolist(), fill=(*HEAT, opacity))
    for line in snapshot.lines:
        pen.line([tuple(end) for end in (scale * line.ends).tolist()], line.colour, width)
    for spot, weight in zip(scale * snapshot.joints, snapshot.weight.tolist(), strict=True):
        colour = np.array(LIGHT) + min(weight / FULL, 1) * np.subtract(DEEP, LIGHT)
        radius = unit * (0.9 + 1.1 * weight**0.5)
        pen.circle(tuple(spot.tolist()), radius, tuple(colour.round().astype(int).tolist()), "#333")
    for outline in snapshot.outlines if merged else []:
        for place in outline.cells.tolist():
            box = scale * snapshot.cell(*place) + unit * np.array([1, 1, -1, -1])
            pen.rectangle(box.tolist(), None, outline.colour, width)
        for spot in (scale * outline.joints).tolist():
            pen.circle(tuple(spot), 2.5 * unit, None, outline.colour, width)
    return np.asarray(Image.alpha_composite(ground, over).convert("RGB"))


def joint_weights(
    attention: maps.ClipAttention, skeleton: Skeleton, span: tuple[int, int], layer: str
) -> Float[np.ndarray, "T P"]:
    """Attention to each point of a skeleton that plays without pictures, 0 to 1 at `FULL`."""
    received = np.nan_to_num(attention.on_joints(layer)) / FULL
    persons, steps, _ = received.shape
    number = {joint: n for n, joint in enumerate(attention.joints)}
    count = len(set(skeleton.joints))  # points are persons by joints
    frames = skeleton.first + np.arange(len(skeleton.places))
    step = (frames - span[0]) * steps // (span[1] - span[0] + 1)
    inside = (step >= 0) & (step < steps)
    weights = np.zeros((len(frames), len(skeleton.joints)))
    for point, joint in enumerate(skeleton.joints):
        person = point // count
        if joint in number and person < persons:
            weights[inside, point] = received[person, step[inside], number[joint]]
    return np.clip(weights, 0, 1)
