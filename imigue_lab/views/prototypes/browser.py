"""The points of a run on an interactive plane: press a point, and the player plays its clip.

Letters in shapes: N points.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from anywidget import AnyWidget
from ipywidgets import Label, ToggleButtons
from jaxtyping import Float, Int

from imigue_lab.results.open import GestureRun
from imigue_lab.views.player.film import AroundPlayer, Player
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.prototypes import plane
from imigue_lab.views.prototypes.plane import UNKNOWN, Colouring, colour_points, ways_to_colour
from imigue_lab.views.prototypes.points import CLIP, ENTRY, PROTOTYPE
from imigue_lab.views.prototypes.projection import PlaneProjection

KINDS = (ENTRY, CLIP, PROTOTYPE)  # drawn filled, open, and large with an edge


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
        names = [name.replace("<br>", " · ") for name in plane.hover_names(table, vocabulary)]
        kinds = table.kind.map(KINDS.index).to_numpy()
        places = table[["x", "y"]].to_numpy(float)
        self.map = PointMap(places, kinds, names, colour_points(table, self.by.value, vocabulary))
        self.label = Label()
        self.clip_id = ""  # of the chosen point
        first = int(np.flatnonzero(table.kind != PROTOTYPE)[0])
        self.moment = Moment(gesture.index, clip_id=self.clips[first])
        self.player = Player(self.moment)
        super().__init__([self.by, self.map, self.label, self.player])
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
