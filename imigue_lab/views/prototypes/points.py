"""Points on a plane that can be hovered over and pressed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from anywidget import AnyWidget
from jaxtyping import Float, Int

from imigue_lab.views.prototypes.point_colours import NOTHING, Colouring
from imigue_lab.views.prototypes.prototypes import CLIP, ENTRY, PROTOTYPE

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
