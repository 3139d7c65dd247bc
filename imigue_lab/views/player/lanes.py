"""Lines and heat maps over the time of one video, under each other, with the moment as a cursor.

Press or drag on them, and the moment goes there: a `Player` of the same moment shows that frame.

Letters in shapes: R rows or lines of a lane, T windows.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import traitlets
from anywidget import AnyWidget
from jaxtyping import Float

from imigue_lab.views.player.moment import Moment
from imigue_lab.views.strip import WINDOW
from imigue_lab.views.style import CONTEXT


class Lane(NamedTuple):
    """One row of the widget.

    Attributes:
        values: NaN where there is nothing.
        low, high: values at the lower and the upper edge, or of the deepest blue and red.
        lines: name and colour of each row; empty draws a heat map.
    """

    title: str
    values: Float[np.ndarray, "R T"]
    low: float = 0.0
    high: float = 1.0
    lines: tuple[tuple[str, str], ...] = ()


class Lanes(AnyWidget):
    """Lanes of one video; `frame` is the moment's.

    Attributes:
        shown: whether the moment lies in this video; else no cursor is drawn.
    """

    _esm = Path(__file__).with_name("lanes.js")
    _css = Path(__file__).with_name("player.css")
    frame = traitlets.Int().tag(sync=True)
    shown = traitlets.Bool(True).tag(sync=True)
    fps = traitlets.Float().tag(sync=True)
    window = traitlets.Int(WINDOW).tag(sync=True)
    lanes: traitlets.List = traitlets.List().tag(sync=True)
    values = traitlets.Bytes().tag(sync=True)

    def __init__(self, moment: Moment, video_id: str, lanes: list[Lane], **traits: Any):
        described = [
            {
                "title": lane.title,
                "rows": lane.values.shape[0],
                "windows": lane.values.shape[1],
                "low": lane.low,
                "high": lane.high,
                "lines": lane.lines,
            }
            for lane in lanes
        ]
        content = b"".join(np.ascontiguousarray(n.values, np.float32).tobytes() for n in lanes)
        super().__init__(lanes=described, values=content, fps=moment.fps, **traits)
        self.moment, self.own_video = moment, video_id
        self.follow(None)
        moment.observe(self.follow, ["video_id", "frame"])
        self.observe(self.lead, "frame")
        self.on_msg(self.come_back)

    def follow(self, _: object) -> None:
        """The moment has moved."""
        self.shown = self.moment.video_id == self.own_video
        if self.shown:
            self.frame = self.moment.frame

    def lead(self, _: object) -> None:
        """Somebody pressed on a lane."""
        if self.shown:
            self.moment.frame = self.frame

    def come_back(self, _: object, content: dict[str, int], __: object) -> None:
        """Somebody pressed on a lane while the moment was in another video."""
        self.moment.show(self.own_video, content["frame"])


def line_lane(title: str, values: Float[np.ndarray, " T"], colour: str = CONTEXT) -> Lane:
    """A lane of one line between 0 and 1."""
    return Lane(title, np.asarray(values, float)[None], lines=((title, colour),))
