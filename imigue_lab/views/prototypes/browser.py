"""The points of a run to press: the player plays the clip behind the one that was pressed."""

from typing import Any

import numpy as np
from ipywidgets import Label, ToggleButtons, VBox

from imigue_lab.training.finished.opened import GestureRun
from imigue_lab.views.player.moment import Moment
from imigue_lab.views.player.player import Player, still_as_jpeg
from imigue_lab.views.prototypes.map import Flat
from imigue_lab.views.prototypes.point_colours import WAYS, colour, hover_names
from imigue_lab.views.prototypes.points import KINDS, PointMap
from imigue_lab.views.prototypes.prototypes import PROTOTYPE


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
