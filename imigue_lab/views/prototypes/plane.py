"""The points of a run on a plane: as one figure, and interactive, where a press plays the clip.

Points are coloured by class, group, confidence, age or correctness; another figure has the clips
nearest to some prototypes. Letters in shapes: N points.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import traitlets
from anywidget import AnyWidget
from ipywidgets import Label, ToggleButtons
from jaxtyping import Float, Int
from plotly.colors import sequential
from plotly.subplots import make_subplots

from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.results.open import GestureRun
from imigue_lab.views.footage import as_source, clip_pictures
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.player.widgets import AroundPlayer, Player, beside
from imigue_lab.views.prototypes.points import CLIP, ENTRY, PROTOTYPE, PlaneProjection, Points
from imigue_lab.views.style import NEGATIVE, POSITIVE, class_colours, empty_figure, notes_of, styled

MARKS = (
    *("circle", "square", "triangle-up", "cross", "diamond", "triangle-down", "x", "star"),
    *("triangle-left", "pentagon", "triangle-right", "hourglass", "hexagram"),
)
UNKNOWN = "#c4c7cc"
STEPS = 9
RAMP = sequential.Cividis[:STEPS]  # dark to light
COLOUR_BY = ("class", "group", "confidence", "age", "correctness")
SIZES = {ENTRY: 7, CLIP: 7, PROTOTYPE: 14}  # pixels
BORDERS = {ENTRY: 0.0, CLIP: 1.3, PROTOTYPE: 1.5}
INK, EIGHT = "#111", 8  # colours that are combined with marks
ROW = 20  # characters of a line beside a row of pictures
DRAWN = 2500  # points at most, so that a page stays small; the widget draws all
KINDS = (ENTRY, CLIP, PROTOTYPE)  # drawn filled, open, and large with an edge


class Colouring(NamedTuple):
    """The number of each point's look, and colours, names and marks by number."""

    number: Int[np.ndarray, " N"]  # -1 where the value is unknown, drawn as a grey circle
    colours: list[str]
    names: list[str]
    marks: list[str]


def ways_to_colour(vocabulary: Vocabulary) -> list[str]:
    """Those of `COLOUR_BY` that the vocabulary has."""
    return [by for by in COLOUR_BY if by != "group" or vocabulary.group_names]


def colour_points(table: pd.DataFrame, by: str, vocabulary: Vocabulary) -> Colouring:
    """Colours the points of `Points.table` by one of `ways_to_colour`.

    A class looks the same in every run: it has the colour of its group, and a mark of its own in
    it. Without groups the eight colours are combined with one mark after the other.
    """
    marks, every = [], class_colours(vocabulary, EIGHT)
    if by == "class":
        number, found = pd.factorize(table.label, sort=True)
        classes = [int(label) for label in found]
        colours = [every[label] for label in classes]
        marks = [MARKS[every[:label].count(every[label]) % len(MARKS)] for label in classes]
        names = list(map(vocabulary.label, classes))
    elif by == "group":
        number, names = table.group.cat.codes, list(vocabulary.group_names)
        colours = [every[vocabulary.groups.index(name)] for name in names]
    elif by == "correctness":
        names, colours = ["correct", "incorrect"], [POSITIVE, NEGATIVE]
        number = pd.Categorical(table.correctness, names).codes
    else:
        return ramp(table[by], by)
    return Colouring(
        np.asarray(number, dtype=int), colours, names, marks or [MARKS[0]] * len(names)
    )


def ramp(values: pd.Series, name: str) -> Colouring:
    """Equal steps from the smallest to the largest value."""
    known = values.dropna()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    share = (values - low) / max(high - low, 1e-9)
    number = np.floor(share * STEPS).clip(upper=STEPS - 1).fillna(-1).to_numpy(dtype=int)
    edges = np.linspace(low, high, STEPS + 1)
    digits, unit = (0, " steps") if name == "age" else (2, "")
    names = [f"{a:.{digits}f} to {b:.{digits}f}{unit}" for a, b in pairwise(edges)]
    return Colouring(number, RAMP, names, [MARKS[0]] * STEPS)


def hover_names(table: pd.DataFrame, vocabulary: Vocabulary) -> list[str]:
    """Description of each point in one to four lines."""
    label, unknown = vocabulary.label, " · group unknown" if vocabulary.group_names else ""
    return [
        f"{p.kind} {p.clip_id}".strip()
        + f"\n{p.name}{f' · {p.group}' if isinstance(p.group, str) else unknown}"
        + (f"\nconfidence {p.confidence:.2f}" if p.confidence == p.confidence else "")
        + (f", {p.age:.0f} steps old" if p.age == p.age else "")
        + (f"\npredicted {label(int(p.predicted))}" if p.correctness == "incorrect" else "")
        for p in table.rename_axis("row").itertuples()
    ]


def points_on_plane(gesture: GestureRun, projection: PlaneProjection) -> go.Figure:
    """Filled: entries; open: clips; large: learned prototypes. A menu chooses the colours."""
    points, rows = projection.points, drawn_rows(projection.points.table)
    vocabulary, ways = points.vocabulary, ways_to_colour(points.vocabulary)
    table = projection.table.loc[rows]
    hover = np.array(hover_names(table, vocabulary))
    figure = go.Figure()
    owners: list[str] = []
    for by in ways:
        number, *looks = colour_points(points.table, by, vocabulary)
        colouring = Colouring(number[rows], *looks)
        owners += [by] * add_points(figure, table, colouring, hover, by == COLOUR_BY[0])
    buttons = [
        {"label": by, "method": "update", "args": [{"visible": [by == owner for owner in owners]}]}
        for by in ways
    ]
    place = {"x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"}
    menu = {"buttons": buttons, "type": "buttons", "direction": "right", **place}
    figure.update_layout(updatemenus=[menu])
    add_class_ids(figure, table, vocabulary)
    figure.update_xaxes(title_text="no unit: only neighbourhoods have a meaning")
    figure.update_xaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False)
    kinds = "filled: entries of the bank; open: clips; large, with an edge: learned prototypes"
    notes = [*notes_of(gesture.run), *str(projection).split("; ", 1), kinds, *points.notes]
    if len(table) < len(points.table):
        notes.append(f"{len(table)} of {len(points.table)} points are drawn")
    title = f"Memory of {gesture.run.folder.name} and its clips"
    figure = styled(figure, title, notes, height=820, above=30, b=50, l=40, r=300)
    legend = {"orientation": "v", "x": 1.01, "y": 1, "yref": "paper", "yanchor": "top"}
    return figure.update_layout(legend=legend | {"font": {"size": 11}})


def drawn_rows(table: pd.DataFrame) -> np.ndarray:
    """Rows to draw: the memory, and random clips up to `DRAWN` points."""
    rows = np.arange(len(table))
    clips = (table.kind == CLIP).to_numpy()
    room = max(0, DRAWN - int((~clips).sum()))
    chosen = np.random.default_rng(0).permutation(rows[clips])[:room]
    return np.sort(np.concatenate([rows[~clips][:DRAWN], chosen]))


def add_points(
    figure: go.Figure, table: pd.DataFrame, colouring: Colouring, hover: np.ndarray, shown: bool
) -> int:
    """Adds a trace a kind and colour, and returns their number."""
    before = len(figure.data)
    named: set[int] = set()
    looks = [*zip(*colouring[1:], strict=True), (UNKNOWN, "unknown", MARKS[0])]  # the last of -1
    for kind, size in SIZES.items():
        for number in range(-1, len(colouring.colours)):
            own = ((table.kind == kind) & (colouring.number == number)).to_numpy()
            if not own.any():
                continue
            colour, name, mark = looks[number]
            line = {"width": BORDERS[kind], "color": INK if kind == PROTOTYPE else None}
            symbol = mark + "-open" * (kind == CLIP)
            figure.add_scatter(
                x=table.x[own].to_numpy(np.float32),
                y=table.y[own].to_numpy(np.float32),
                mode="markers",
                marker={"symbol": symbol, "size": size, "color": colour, "line": line},
                name=name,
                legendgroup=name,
                legendrank=1000 + number,
                showlegend=number not in named,
                text=hover[own],
                hovertemplate="%{text}<extra></extra>",
                visible=shown,
            )
            named.add(number)
    return len(figure.data) - before


def add_class_ids(figure: go.Figure, table: pd.DataFrame, vocabulary: Vocabulary) -> None:
    """The id of each class at the median of its entries, or of its clips if it has none."""
    look: dict[str, Any] = {"showarrow": False, "borderpad": 1, "bgcolor": "rgba(255,255,255,0.65)"}
    look["font"] = {"size": 12, "color": INK, "weight": "bold"}
    places, near = list[pd.Series](), 0.04 * np.ptp(table[["x", "y"]], axis=0)
    for label, own in table.dropna(subset=["label"]).groupby("label"):
        entries = own[own.kind == ENTRY]
        place = (own if entries.empty else entries)[["x", "y"]].median()
        above = sum((abs(place - other) < near).all() for other in places)  # would collide
        look["yshift"] = 13 + 16 * above
        figure.add_annotation(x=place.x, y=place.y, text=vocabulary.ids[label], **look)
        places.append(place)


def nearest_clips(
    gesture: GestureRun, points: Points, classes: int = 5, most: int = 6
) -> go.Figure:
    """Middle frames of the clips nearest to the prototypes of the classes with most entries."""
    title = "Clips nearest to some prototypes"
    counts = points.of(ENTRY).label.value_counts()
    prototypes = points.of(PROTOTYPE).reset_index(names="point").set_index("label")
    chosen = [label for label in counts.index if label in prototypes.index][:classes]
    notes = notes_of(gesture.run)
    if not chosen:
        return empty_figure("No class has an entry and a prototype.", title, notes)
    lists = [points.nearest(int(prototypes.point[label]), most) for label in chosen]
    titles = []
    for near in lists:
        ids = dict(enumerate(points.vocabulary.ids))
        labels = near.label.map(ids, na_action="ignore").fillna("?")
        rows = zip(near.clip_id, labels, near.cosine, strict=True)
        titles += [f"{clip} · {label} · {cosine:.2f}" for clip, label, cosine in rows]
        titles += [""] * (most - len(near))
    figure = make_subplots(
        rows=len(chosen),
        cols=most,
        horizontal_spacing=0.008,
        vertical_spacing=0.28 / len(chosen) / 1.6,
        subplot_titles=titles,
        row_titles=["\n".join(wrap(prototypes.name[label], ROW)) for label in chosen],
    )
    absent = ""
    for row, near in enumerate(lists, start=1):
        for col, clip in enumerate(near.itertuples(), start=1):
            shot = clip_pictures(gesture.index, clip.clip_id, 1)
            absent = absent or shot.absent
            if shot.pictures:
                look = {"name": f"{clip.kind} {clip.clip_id}: {clip.name}"}
                look |= {"hovertemplate": "%{fullData.name}<extra></extra>"}
                figure.add_image(source=as_source(shot.pictures[0]), **look, row=row, col=col)
    if absent:
        notes.append(f"no pictures: {absent}")
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    figure.update_annotations(font_size=11)
    notes += ["a row: class of the prototype; above a picture: clip, class, cosine"]
    return styled(figure, title, notes, 180 + 125 * len(chosen), above=10, b=20, l=20, r=60)


class PointMap(AnyWidget):
    """Draws points, x to the right and y up, of kinds that are indices into `KINDS`.

    `chosen` is the number of the point that was pressed last, -1 at first. A point's name is shown
    when the pointer is over it.
    """

    _esm = Path(__file__).with_name("points.js")
    _css = Path(__file__).with_name("points.css")
    chosen = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        places: Float[np.ndarray, "N 2"],
        kinds: Int[np.ndarray, " N"],
        names: Sequence[str],
        colouring: Colouring,
    ):
        super().__init__()
        self.places, self.kinds, self.names, self.colouring = places, kinds, names, colouring
        self.displayed = False  # by a page
        self.on_msg(self.reply)

    def recolour(self, colouring: Colouring) -> None:
        """Uses other colours and marks from now on."""
        self.colouring = colouring
        if self.displayed:
            self.send_scene()

    def reply(self, _: object, content: dict[str, Any], __: object) -> None:
        """Sends what the page requests: the scene, or the name of a point."""
        if content["kind"] == "scene":
            self.displayed = True
            self.send_scene()
        else:
            point = int(content["point"])
            self.send({"kind": "name", "point": point, "name": self.names[point]})

    def send_scene(self) -> None:
        """Sends places, looks and kinds as bytes."""
        low, high = self.places.min(axis=0), self.places.max(axis=0)
        number, colours, names, marks = self.colouring
        scene = {"kind": "scene", "low": low.tolist(), "high": high.tolist(), "palette": colours}
        scene |= {"names": names, "marks": marks, "kinds": KINDS, "unknown": UNKNOWN}
        arrays = (
            self.places.astype(np.float32),
            number.astype(np.int16),
            self.kinds.astype(np.uint8),
        )
        self.send(scene, [array.tobytes() for array in arrays])


class PrototypeBrowser(AroundPlayer):
    """Press an entry or a clip to play it; for a prototype the nearest clip plays.

    Choosing a clip in another view of the same `moment` marks its point.
    """

    def __init__(self, gesture: GestureRun, projection: PlaneProjection):
        self.points, table = projection.points, projection.table
        self.clips = table.clip_id.to_numpy()
        vocabulary = self.points.vocabulary
        self.by = ToggleButtons(options=ways_to_colour(vocabulary))
        names = [name.replace("\n", " · ") for name in hover_names(table, vocabulary)]
        kinds = table.kind.map(KINDS.index).to_numpy()
        places = table[["x", "y"]].to_numpy(float)
        self.map = PointMap(places, kinds, names, colour_points(table, self.by.value, vocabulary))
        self.label = Label()
        self.clip_id = ""  # of the chosen point
        first = int(np.flatnonzero(table.kind != PROTOTYPE)[0])
        self.moment = Moment(gesture.index, clip_id=self.clips[first])
        self.player = Player(self.moment)
        super().__init__(self.player, [self.by, beside(self.map, self.label, self.player)])
        self.by.observe(self.recolour, "value")
        self.map.observe(self.press, "chosen")
        self.moment.observe(self.follow, "clip_id")
        self.map.chosen = first

    def recolour(self, _: object) -> None:
        """By class, group, confidence, age or correctness."""
        self.map.recolour(colour_points(self.points.table, self.by.value, self.points.vocabulary))

    def press(self, _: object) -> None:
        """A point was pressed."""
        point = self.map.chosen
        name, self.clip_id = self.map.names[point], str(self.clips[point])
        if not self.clip_id:
            near = self.points.nearest(point, 1).iloc[0]
            self.clip_id = str(near.clip_id)
            name += f" · nearest: {near.kind} {near.clip_id}, cosine {near.cosine:.2f}"
        self.label.value, self.moment.clip_id = name, self.clip_id

    def follow(self, _: object) -> None:
        """The moment has moved to another clip."""
        rows = np.flatnonzero(self.clips == self.moment.clip_id)
        if self.moment.clip_id not in ("", self.clip_id) and len(rows):
            self.map.chosen = int(rows[0])
