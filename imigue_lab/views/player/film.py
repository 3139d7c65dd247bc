"""The player: a video or clip with its skeleton, at its own frame rate or frame by frame.

It follows and moves a `Moment`, which other views may share (`lanes.py`).

    moment = Moment(index, clip_id="0001_3")
    player = Player(moment)            # the last line of a cell displays it
    player.dress(paint, weights)       # adds an overlay: a heat map, joints sized by weight

The page (`player.js`) keeps the time, and requests and caches the pictures that it needs.

Letters in shapes: T frames of the skeleton, P points.
"""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import traitlets
from anywidget import AnyWidget
from ipywidgets import VBox
from jaxtyping import Float

from imigue_lab.errors import DataError
from imigue_lab.views.footage import find_footage, still
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.reel import Paint, Reel, as_base64

MOST = 16  # pictures per request, so that the kernel can serve other views in between
Weights = Float[np.ndarray, "T P"]


class Player(AnyWidget):
    """Plays the video or clip of a moment; `frame`, `video_id` and `clip_id` are the moment's.

    Without a video it plays the skeleton only; without either it displays a sentence.
    """

    _esm = Path(__file__).with_name("player.js")
    _css = Path(__file__).with_name("player.css")
    video_id = traitlets.Unicode().tag(sync=True)
    clip_id = traitlets.Unicode().tag(sync=True)
    frame = traitlets.Int().tag(sync=True)
    playing = traitlets.Bool().tag(sync=True)  # set it to start and stop

    def __init__(self, moment: Moment, **traits: Any):
        super().__init__(**traits)
        self.moment = moment
        self.paint: Paint | None = None
        self.plain: Paint | None = None  # where no other overlay is set
        self.weights: Weights | None = None
        self.edition = 0  # of footage and overlay: requests for an older edition are dropped
        self.reel: Reel | None = None
        self.lock = Lock()  # JupyterLab processes the messages of each widget in its own thread
        self.displayed = False  # on a page
        self.load()
        self.on_msg(self.serve)
        moment.observe(self.follow, ["video_id", "clip_id", "frame"])
        self.observe(self.lead, "frame")

    def dress(self, paint: Paint | None = None, weights: Weights | None = None) -> None:
        """Sets the overlay; without arguments, removes it.

        `paint` maps each frame's number and picture to the picture to display; `weights` are the
        sizes, 0 to 1, of the points of `footage.skeleton`. Both are kept with other footage.
        """
        self.paint, self.weights = paint or self.plain, weights
        self.change()

    def load(self) -> None:
        """Opens the footage of the moment."""
        moment = self.moment
        self.footage = footage = find_footage(moment)
        with self.hold_sync():
            self.video_id, self.clip_id, self.frame = moment.video_id, moment.clip_id, moment.frame
        with self.lock:
            self.edition += 1
            if self.reel:
                self.reel.close()
            self.reel = footage.film and Reel(footage.film, (footage.first, footage.last))
        self.change()

    def change(self) -> None:
        """Invalidates all pictures that were sent."""
        with self.lock:
            self.edition += 1
            if self.reel:
                self.reel.paint = self.paint
        if self.displayed:
            self.send_scene()

    def follow(self, _: object) -> None:
        """The moment has changed."""
        if (self.video_id, self.clip_id) != (self.moment.video_id, self.moment.clip_id):
            self.load()
        self.frame = self.moment.frame

    def lead(self, _: object) -> None:
        """The page has changed the frame."""
        self.moment.frame = max(0, self.frame)

    def serve(self, _: object, content: dict[str, Any], __: object) -> None:
        """Serves a request of the page: the scene, or pictures of frames."""
        if content["kind"] == "scene":
            self.displayed = True
            self.send_scene()
        else:
            self.send_pictures(content["edition"], content["frames"][:MOST])

    def send_pictures(self, edition: int, frames: list[int]) -> None:
        """JPEGs in the order of `frames`; for an unreadable frame an empty one, and the reason."""
        pictures, why = [], {}
        with self.lock:
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
        """Sends everything but the pictures."""
        footage, film, skeleton = self.footage, self.footage.film, self.footage.skeleton
        names = ("title", "notes", "first", "last", "marked", "times", "size")
        scene: dict[str, Any] = {name: getattr(footage, name) for name in names}
        scene |= {"kind": "scene", "edition": self.edition, "skeleton": None}
        scene["film"] = film and [film.first, film.last + 1]
        buffers = []
        if skeleton:
            scene["skeleton"] = {
                "first": skeleton.first,
                "points": len(skeleton.joints),
                "colours": skeleton.colours,
                "bones": skeleton.bones,
                "weighted": self.weights is not None,
            }
            arrays = (skeleton.places, self.weights)
            buffers = [np.asarray(n, np.float32).tobytes() for n in arrays if n is not None]
        self.send(scene, buffers)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and a still for static pages."""
        bundle, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return bundle | {"image/jpeg": self.still()}, metadata

    def still(self) -> str:
        """The current picture as a JPEG in base64."""
        return as_base64(np.asarray(still(self.footage, self.frame, paint=self.paint)))


class AroundPlayer(VBox):
    """Widgets around a `player`, whose still replaces them on static pages."""

    player: Player

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return super()._repr_mimebundle_(**options) | {"image/jpeg": self.player.still()}
