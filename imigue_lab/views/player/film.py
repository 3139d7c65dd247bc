"""The player: a video or clip with its skeleton over it, at its own rate, forward, back, by frame.

It shows a `Moment` and moves it: hand the same moment to other views (`moment.py` says how).

    moment = Moment(index, clip_id="0001_3")
    player = Player(moment)            # the last line of a cell shows it
    player.dress(paint, weights)       # a view's own layer: heat on the pictures, joints by weight

The page (`player.js`) asks for the pictures it needs, and holds some; it keeps the time.

Letters in shapes: T frames of the skeleton, P points.
"""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import traitlets
from anywidget import AnyWidget
from jaxtyping import Float

from imigue_lab.errors import DataError
from imigue_lab.views.footage import find_footage, still
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.reel import Paint, Reel, as_jpeg

MOST = 16  # pictures handed out at once, so that other views get their turn


class Player(AnyWidget):
    """Plays what a moment chooses; `frame`, `video_id` and `clip_id` are the moment's.

    Without a video the skeleton plays alone, without both a sentence stands in the picture's place.

    Attributes:
        playing: whether it runs; set it to start and stop.
    """

    _esm = Path(__file__).with_name("player.js")
    _css = Path(__file__).with_name("player.css")
    video_id = traitlets.Unicode().tag(sync=True)
    clip_id = traitlets.Unicode().tag(sync=True)
    frame = traitlets.Int().tag(sync=True)
    playing = traitlets.Bool().tag(sync=True)

    def __init__(self, moment: Moment, **traits: Any):
        super().__init__(**traits)
        self.moment = moment
        self.paint: Paint | None = None
        self.weights: Float[np.ndarray, "T P"] | None = None
        self.edition = 0  # of the footage and its dress: pictures of an older one are dropped
        self.reel: Reel | None = None
        self.turn = Lock()  # JupyterLab hands messages of widgets to threads of their own
        self.watched = False  # a page shows it
        self.load()
        self.on_msg(self.answer)
        moment.observe(self.follow, ["video_id", "clip_id", "frame"])
        self.observe(self.lead, "frame")

    def dress(
        self, paint: Paint | None = None, weights: Float[np.ndarray, "T P"] | None = None
    ) -> None:
        """Draws a view's own layer from now on; without arguments, none.

        The dress stays when the moment goes to other footage; whoever set it changes it.

        Args:
            paint: gets each frame's number and picture and gives the picture to show.
            weights: 0 to 1 of each point of `footage.skeleton`: how large it is drawn.
        """
        self.paint, self.weights = paint, weights
        self.change()

    def load(self) -> None:
        """Finds the footage of the moment."""
        moment = self.moment
        self.footage = footage = find_footage(moment)
        with self.hold_sync():
            self.video_id, self.clip_id = moment.video_id, moment.clip_id
            self.frame = moment.frame
        with self.turn:
            self.edition += 1
            if self.reel:
                self.reel.close()
            self.reel = footage.film and Reel(footage.film, (footage.first, footage.last))
        self.change()

    def change(self) -> None:
        """What was handed out no longer counts."""
        with self.turn:
            self.edition += 1
            if self.reel:
                self.reel.paint = self.paint
        if self.watched:
            self.send_scene()

    def follow(self, _: object) -> None:
        """The moment has moved."""
        if (self.video_id, self.clip_id) != (self.moment.video_id, self.moment.clip_id):
            self.load()
        self.frame = self.moment.frame

    def lead(self, _: object) -> None:
        """The player has moved."""
        self.moment.frame = max(0, self.frame)

    def answer(self, _: object, content: dict[str, Any], __: object) -> None:
        """What the page asks for: the scene, or pictures of frames."""
        if content["kind"] == "scene":
            self.watched = True
            self.send_scene()
        else:
            self.send_pictures(content["edition"], content["frames"][:MOST])

    def send_pictures(self, edition: int, frames: list[int]) -> None:
        """JPEGs in the order of `frames`; an empty one, and why, where a frame cannot be shown."""
        pictures, why = [], {}
        with self.turn:
            if edition != self.edition or self.reel is None:
                return
            for frame in frames:
                try:
                    pictures.append(self.reel.jpeg(frame))
                except DataError as error:
                    pictures.append(b"")
                    why[str(frame)] = str(error)
        self.send({"kind": "pictures", "edition": edition, "frames": frames, "why": why}, pictures)

    def send_scene(self) -> None:
        """Everything but the pictures."""
        footage, skeleton = self.footage, self.footage.skeleton
        scene: dict[str, Any] = {
            "kind": "scene",
            "edition": self.edition,
            "title": footage.title,
            "notes": footage.notes,
            "first": footage.first,
            "last": footage.last,
            "marked": footage.marked,
            "fps": footage.fps,
            "size": footage.size,
            "film": footage.film and [footage.film.first, footage.film.first + footage.film.frames],
            "skeleton": None,
        }
        buffers = []
        if skeleton:
            scene["skeleton"] = {
                "first": skeleton.first,
                "points": len(skeleton.joints),
                "colours": skeleton.colours,
                "bones": skeleton.bones,
                "weighted": self.weights is not None,
            }
            buffers.append(np.ascontiguousarray(skeleton.places, np.float32).tobytes())
            if self.weights is not None:
                buffers.append(np.ascontiguousarray(self.weights, np.float32).tobytes())
        self.send(scene, buffers)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and a still for pages that cannot play it."""
        bundle, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return bundle | {"image/jpeg": still_as_jpeg(self)}, metadata


def still_as_jpeg(player: Player) -> str:
    """The player's picture as it would show it first."""
    from base64 import b64encode

    return b64encode(
        as_jpeg(np.asarray(still(player.footage, player.frame, paint=player.paint)))
    ).decode()
