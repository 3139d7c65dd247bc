"""Attention at one time of a clip, laid over the picture: cells, joints, pairs, merged tokens.

All places are pixels of the whole picture; the encoder sees the crop alone (`data/crop.py`).
Letters in shapes: h w, rows and columns of the encoder's map; J joints that are seen at this time.

Attention over a clip as pictures: a column a time, a row a criterion, merged tokens below.
"""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int
from plotly.subplots import make_subplots

from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.cropping import picture_places
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.training.runs import Run
from imigue_lab.views.attention.maps import AFTER, ALL, ClipAttention
from imigue_lab.views.footage import Pictures
from imigue_lab.views.footage import title_of as clip_title
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.reel import as_source
from imigue_lab.views.style import notes_of, styled

UNKNOWN = (4, 3)  # width and height of a picture of which nothing is known


class Line(NamedTuple):
    """A pair: from what was attended to, to what attended."""

    ends: Float[np.ndarray, "2 2"]
    weight: float
    to_rgb: bool


class Outline(NamedTuple):
    """What of one merged token is seen at this time; `number` tells them apart over all times."""

    number: int
    cells: Int[np.ndarray, "n 2"]  # row and column
    joints: Float[np.ndarray, "n 2"]


class Glance(NamedTuple):
    """What is seen of a layer at one time.

    Attributes:
        heat: attention on each cell, in times an equal share.
        columns, rows: borders of the cells.
        joints, weight, names: where each joint is, and the attention on it.
    """

    heat: Float[np.ndarray, "h w"]
    columns: Float[np.ndarray, " columns"]
    rows: Float[np.ndarray, " rows"]
    joints: Float[np.ndarray, "J 2"]
    weight: Float[np.ndarray, " J"]
    names: list[str]
    lines: list[Line]
    outlines: list[Outline]

    @property
    def middles(self) -> tuple[Float[np.ndarray, " w"], Float[np.ndarray, " h"]]:
        """Of the columns and of the rows."""
        return middles(self.columns), middles(self.rows)


def glance_at(
    attention: ClipAttention,
    size: tuple[int, int],
    time: int,
    choice: str = ALL,
    most: int = 4,
) -> Glance:
    """
    Args:
        size: width and height of the picture.
        time: of the encoder's map.
        choice: one of `attention.choices`.
        most: pairs of each direction.
    """
    _, height, width = attention.grid
    columns, rows = borders(width, height, size)
    places, joints = attention.tokens_at(time)
    where = picture_places(attention.places.reshape(-1, 2), *size)
    joints = joints[~np.isnan(where[joints, 0])]
    step = attention.step_at(time)
    weight = attention.on_joints(choice)[:, step].ravel()
    middle = np.stack(np.meshgrid(middles(columns), middles(rows)), axis=-1).reshape(-1, 2)
    ends = dict(zip(places.tolist(), middle, strict=True))
    known = set(joints.tolist())
    lines = [
        Line(np.stack(pair_ends), pair.weight, pair.to_rgb)
        for pair in attention.pairs(choice, time, most)
        if pair.joint in known
        for pair_ends in [(where[pair.joint], ends[pair.place])[:: 1 if pair.to_rgb else -1]]
    ]
    person, _, joint = np.unravel_index(joints, attention.seen.shape)
    return Glance(
        attention.on_places(choice)[time],
        columns,
        rows,
        where[joints],
        weight[person * len(attention.joints) + joint],
        [attention.joints[n] for n in joint],
        lines,
        outlines_at(attention, places, joints, where),
    )


def borders(
    width: int, height: int, size: tuple[int, int]
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " rows"]]:
    """Where the columns and the rows of the encoder's map begin and end."""
    shares = [np.linspace(0, 1, n + 1) for n in (width, height)]
    x, y = (np.stack([share, share], axis=-1) for share in shares)
    return picture_places(x, *size)[:, 0], picture_places(y, *size)[:, 1]


def middles(edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " between"]:
    return (edges[1:] + edges[:-1]) / 2


def outlines_at(
    attention: ClipAttention,
    places: Int[np.ndarray, " hw"],
    joints: Int[np.ndarray, " J"],
    where: Float[np.ndarray, "P 2"],
) -> list[Outline]:
    """The merged tokens that hold something of these places and joints."""
    first = attention.rgb_from_pose.shape[1]  # tokens from here on are joints
    found = []
    for number, group in enumerate(attention.merged()):
        inside = np.flatnonzero(np.isin(places, group))
        cells = np.stack(np.divmod(inside, attention.grid[2]), axis=-1)
        own = joints[np.isin(joints + first, group)]
        if len(cells) + len(own):
            found.append(Outline(number, cells, where[own]))
    return found


HEAT = [[0, "rgba(213,94,0,0)"], [1, "rgba(213,94,0,0.85)"]]
JOINTS = [[0, "#e8f1fa"], [1, "#08306b"]]
# Okabe and Ito's colours, told apart with any sight; then again with another dash
GROUPS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
MERGED = "merged"
LINES = "lines, the strongest pairs: blue a place took from a joint, orange a joint from a place"
TILE = 118  # pixels of a tile's width


def attention_over_clip(
    run: Run, index: Index, attention: ClipAttention, pictures: Pictures, why: str = ""
) -> go.Figure:
    """Heat is what the joints gave a place, a joint's size and colour what the places gave it.

    A place without heat got an equal share or less. Lines are the strongest pairs: blue, a place
    took from a joint; orange, a joint from a place.

    Args:
        why: of the choice of the clip.
    """
    size = pictures.size or UNKNOWN
    layers = [ALL, *dict.fromkeys(attention.criteria), AFTER]
    times = attention.grid[0]
    glances = {
        layer: [glance_at(attention, size, time, layer) for time in range(times)]
        for layer in layers
    }
    rows = [*layers, MERGED]
    figure = make_subplots(
        rows=len(rows),
        cols=times,
        horizontal_spacing=0.004,
        vertical_spacing=0.012,
        column_titles=[f"frame {frame}" for frame in pictures.frames],
        row_titles=[*layers, "merged tokens"],
    )
    for row, layer in enumerate(rows, start=1):
        for time, glance in enumerate(glances[ALL if layer == MERGED else layer]):
            place = {"row": row, "col": time + 1}
            add_picture(figure, pictures, time, size, place)
            if layer == MERGED:
                add_outlines(figure, glance, place)
            else:
                add_attention(figure, glance, place)
    add_scales(figure, glances)
    figure.update_xaxes(range=[0, size[0]], visible=False)
    figure.update_yaxes(range=[size[1], 0], visible=False)
    figure.update_annotations(font_size=11)
    notes = notes_for(run, attention, pictures, why)
    figure = styled(figure, title_of(index, attention), notes)
    top = figure.layout.margin.t + 10
    height = int(len(rows) * TILE * size[1] / size[0]) + top + 30
    return figure.update_layout(height=height, margin={"t": top, "b": 20, "r": 110, "l": 20})


def title_of(index: Index, attention: ClipAttention) -> str:
    said = int(attention.probability.argmax())
    given = f"said {CLASSES[said]} ({attention.probability[said]:.2f})"
    clip = clip_title(Moment(index, clip_id=attention.clip_id)).removeprefix("Clip ")
    return f"Attention over clip {clip}<br>{given}"


def add_picture(
    figure: go.Figure, pictures: Pictures, time: int, size: tuple[int, int], place: dict[str, int]
) -> None:
    if not pictures.pictures:
        return
    x, y = (axis.plotly_name.replace("axis", "") for axis in figure.get_subplot(**place))
    figure.add_layout_image(
        source=as_source(pictures.pictures[time]),
        xref=x,
        yref=y,
        x=0,
        y=0,
        sizex=size[0],
        sizey=size[1],
        sizing="stretch",
        layer="below",
    )


def add_attention(figure: go.Figure, glance: Glance, place: dict[str, int]) -> None:
    x, y = glance.middles
    figure.add_heatmap(
        z=glance.heat.round(3),
        x=x,
        y=y,
        coloraxis="coloraxis",
        hovertemplate="place: %{z:.1f} × an equal share<extra></extra>",
        **place,
    )
    for line in glance.lines:
        figure.add_scatter(
            x=line.ends[:, 0],
            y=line.ends[:, 1],
            mode="lines",
            line={"color": colour_of(line), "width": 1.4},
            hoverinfo="skip",
            showlegend=False,
            **place,
        )
    figure.add_scatter(
        x=glance.joints[:, 0],
        y=glance.joints[:, 1],
        mode="markers",
        marker={
            "color": glance.weight,
            "coloraxis": "coloraxis2",
            "size": 2.5 + 3 * np.sqrt(glance.weight),
            "line": {"width": 0.5, "color": "#333"},
        },
        customdata=glance.names,
        hovertemplate="%{customdata}: %{marker.color:.1f} × an equal share<extra></extra>",
        showlegend=False,
        **place,
    )


def colour_of(line: Line) -> str:
    return "#0072b2" if line.to_rgb else "#d55e00"


def add_outlines(figure: go.Figure, glance: Glance, place: dict[str, int]) -> None:
    for outline in glance.outlines:
        x, y = boxes(glance, outline)
        look = {"color": GROUPS[outline.number % len(GROUPS)], "width": 2}
        if outline.number >= len(GROUPS):
            look["dash"] = "dot"
        said = f"merged token {outline.number + 1}<extra></extra>"
        figure.add_scatter(
            x=x, y=y, mode="lines", line=look, hovertemplate=said, showlegend=False, **place
        )
        figure.add_scatter(
            x=outline.joints[:, 0],
            y=outline.joints[:, 1],
            mode="markers",
            marker={"color": look["color"], "size": 6, "line": {"width": 1, "color": "white"}},
            hovertemplate=said,
            showlegend=False,
            **place,
        )


def boxes(glance: Glance, outline: Outline) -> tuple[list[float | None], list[float | None]]:
    """Corners of the cells of a merged token, a little inside of them, with gaps between."""
    x: list[float | None] = []
    y: list[float | None] = []
    inset = 0.06 * float(glance.columns[1] - glance.columns[0])
    for row, column in outline.cells.tolist():
        left, right = glance.columns[column] + inset, glance.columns[column + 1] - inset
        top, bottom = glance.rows[row] + inset, glance.rows[row + 1] - inset
        x += [left, right, right, left, left, None]
        y += [top, top, bottom, bottom, top, None]
    return x, y


def add_scales(figure: go.Figure, glances: dict[str, list[Glance]]) -> None:
    """One scale of places and one of joints for all tiles."""
    every = [glance for row in glances.values() for glance in row]
    for name, scale, low, high, y in (
        ("place", HEAT, 1, max(float(glance.heat.max()) for glance in every), 0.78),
        ("joint", JOINTS, 0, max(float(glance.weight.max(initial=0)) for glance in every), 0.28),
    ):
        title = {"text": f"{name}, × equal share", "side": "right"}
        bar = {"thickness": 10, "len": 0.4, "x": 1.04, "y": y, "title": title}
        axis = {"colorscale": scale, "cmin": low, "cmax": max(high, 2.0), "colorbar": bar}
        figure.update_layout({"coloraxis" if name == "place" else "coloraxis2": axis})


def notes_for(run: Run, attention: ClipAttention, pictures: Pictures, why: str) -> list[str]:
    """What a reader should know."""
    notes = [*notes_of(run), *([why] if why else []), LINES]
    if pictures.absent:
        notes.append(f"no pictures: {pictures.absent}")
    if np.isnan(attention.places).all():
        notes.append("where the joints lie in the picture is not known: they are not drawn")
    return notes
