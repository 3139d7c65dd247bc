"""Points on a plane that can be hovered over and pressed.

The points of a run to press: the player plays the clip behind the one that was pressed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from anywidget import AnyWidget
from ipywidgets import Label, ToggleButtons, VBox
from jaxtyping import Float, Int

from imigue_lab.results.open import GestureRun
from imigue_lab.views.player.film import Player, still_as_jpeg
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.prototypes.plane import NOTHING, WAYS, Colouring, colour, hover_names
from imigue_lab.views.prototypes.points import CLIP, ENTRY, PROTOTYPE
from imigue_lab.views.prototypes.projection import Flat

KINDS = (ENTRY, CLIP, PROTOTYPE)  # drawn filled, open, and large with an edge


class PointMap(AnyWidget):
    """Draws points; `chosen` is the number of the one that was pressed, -1 at first.

    Args:
        places: x to the right and y up.
        kinds: of each point, a place in `KINDS`.
        names: of each point, shown when the pointer is over it.
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
        **traits: Any,
    ):
        super().__init__(**traits)
        self.places, self.kinds, self.names = places, kinds, names
        self.colouring = colouring
        self.watched = False  # a page shows it
        self.on_msg(self.answer)

    def colour(self, colouring: Colouring) -> None:
        """Other colours and marks from now on."""
        self.colouring = colouring
        if self.watched:
            self.send_scene()

    def answer(self, _: object, content: dict[str, Any], __: object) -> None:
        """What the page asks for: the scene, or the name of a point."""
        if content["kind"] == "scene":
            self.watched = True
            self.send_scene()
        else:
            point = int(content["point"])
            self.send({"kind": "name", "point": point, "name": self.names[point]})

    def send_scene(self) -> None:
        """Places, looks and kinds, as bytes."""
        low, high = self.places.min(axis=0), self.places.max(axis=0)
        scene = {
            "kind": "scene",
            "low": low.tolist(),
            "high": high.tolist(),
            "palette": self.colouring.colours,
            "names": self.colouring.names,
            "marks": self.colouring.marks,
            "kinds": KINDS,
            "nothing": NOTHING,
        }
        arrays = (
            (self.places, np.float32),
            (self.colouring.number, np.int8),
            (self.kinds, np.uint8),
        )
        self.send(scene, [np.ascontiguousarray(a, kind).tobytes() for a, kind in arrays])


class PrototypeBrowser(VBox):
    """Press an entry or a clip and it plays; of a prototype the nearest clip plays.

    Choosing a clip elsewhere, where the moment is shared, marks its point.

    Attributes:
        moment: shared with the player; other views may follow it.
        ways, map, player: the parts.
    """

    def __init__(self, gesture: GestureRun, flat: Flat):
        self.flat, table = flat, flat.table
        self.clips = table.clip_id.to_numpy()
        self.ways = ToggleButtons(options=WAYS)
        names = [name.replace("<br>", " · ") for name in hover_names(table)]
        kinds = table.kind.map(KINDS.index).to_numpy()
        places = table[["x", "y"]].to_numpy(float)
        self.map = PointMap(places, kinds, names, colour(table, WAYS[0]))
        self.told = Label()
        self.behind = ""  # id of the clip behind the chosen point
        first = int(np.flatnonzero(table.kind != PROTOTYPE)[0])
        self.moment = Moment(gesture.index, clip_id=self.clips[first])
        self.player = Player(self.moment)
        super().__init__([self.ways, self.map, self.told, self.player])
        self.ways.observe(self.recolour, "value")
        self.map.observe(self.press, "chosen")
        self.moment.observe(self.follow, "clip_id")
        self.map.chosen = first

    def recolour(self, _: object) -> None:
        """By class, group, confidence, age or correctness."""
        self.map.colour(colour(self.flat.points.table, self.ways.value))

    def press(self, _: object) -> None:
        """A point was pressed."""
        point = self.map.chosen
        told, self.behind = self.map.names[point], str(self.clips[point])
        if not self.behind:
            near = self.flat.points.nearest(point, 1).iloc[0]
            self.behind = str(near.clip_id)
            told += f" · nearest: {near.kind} {near.clip_id}, cosine {near.cosine:.2f}"
        self.told.value = told
        self.moment.clip_id = self.behind

    def follow(self, _: object) -> None:
        """The moment went to another clip."""
        here = np.flatnonzero(self.clips == self.moment.clip_id)
        if self.moment.clip_id not in ("", self.behind) and len(here):
            self.map.chosen = int(here[0])

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget, and a still of its player for pages that cannot play it."""
        return super()._repr_mimebundle_(**options) | {"image/jpeg": still_as_jpeg(self.player)}
