"""The player of a video or clip with its skeleton, and widgets that choose what it shows.

It plays at the video's own frame rate, or frame by frame, and follows and moves a `Moment`, which
other views may share (`lanes.py`).

    moment = Moment(index, clip_id="0001_3")
    player = Player(moment)
    player.dress(paint, weights)       # adds an overlay: a heat map, joints sized by weight
    AroundPlayer(player, [player])     # the last line of a cell displays it

The page (`player.js`) keeps the time, and requests and caches the pictures that it needs. The error
browser is a confusion matrix, the list of the selected cell's items, and the player.

Letters in shapes: T frames of the skeleton, P points.
"""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import traitlets
from anywidget import AnyWidget
from IPython.display import display
from ipywidgets import Dropdown, HBox, Layout, Select, ToggleButtons, VBox, Widget
from jaxtyping import Float
from traitlets import link

from imigue_lab.data.index import SPLITS, Index
from imigue_lab.errors import DataError
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import truth_of
from imigue_lab.views.answers import confusion_counts, hardest, in_cell, read_predictions
from imigue_lab.views.corrections import Corrections
from imigue_lab.views.footage import Paint, Reel, as_source, find_footage, still
from imigue_lab.views.player.lanes import Moment

MOST = 16  # pictures per request, so that the kernel can serve other views in between
Weights = Float[np.ndarray, "T P"]
HEIGHT = "430px"
STILL = """<style>
.jp-OutputArea-child:has(.lab-still):has(+ * .lab-player),
.jp-OutputArea-child:has(.lab-still) + .jp-OutputArea-child:not(:has(.lab-player)) {{
  display: none;
}}
</style><img class="lab-still" alt="a still of the player" src="{}">"""


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

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """The page has changed traits; a frame outside of the footage is of the scene before."""
        first, last = self.footage.first, self.footage.last
        if not first <= sync_data.get("frame", first) <= last:
            sync_data = sync_data | {"frame": self.frame}
        super().set_state(sync_data)

    def play(self, clip_id: str) -> None:
        """Selects a clip and plays it from its start, also while another one plays."""
        self.moment.clip_id = clip_id
        self.moment.frame = int(self.moment.clips.start[clip_id])
        self.send({"kind": "play", "frame": self.moment.frame})

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
        scene |= {"kind": "scene", "edition": self.edition}
        scene["film"] = film and [film.first, film.last + 1]
        scene["skeleton"] = skeleton and {
            **{name: getattr(skeleton, name) for name in ("first", "colours", "bones")},
            "points": len(skeleton.joints),
            "weighted": self.weights is not None,
        }
        arrays = (skeleton.places, self.weights) if skeleton else ()
        self.send(scene, [np.asarray(n, np.float32).tobytes() for n in arrays if n is not None])

    def still(self) -> str:
        """The current picture as the URL of an image."""
        return as_source(np.asarray(still(self.footage, self.frame, paint=self.paint)))


class AroundPlayer(VBox):
    """A `player` and widgets around it; its still where there is no kernel.

    JupyterLab prefers a widget's view to a picture in the same output, also in a notebook that was
    opened again and whose widgets no longer exist. So the still is an output of its own, which
    contains the rules that hide it while the widgets are displayed, and them while they are not.
    """

    def __init__(self, player: Player, children: list[Widget], **options: Any):
        self.player = player
        super().__init__(children, **options)

    def _ipython_display_(self, **_: Any) -> None:
        display({"text/html": STILL.format(self.player.still())}, raw=True)
        display(self._repr_mimebundle_() | {"text/plain": ""}, raw=True)


def beside(left: Widget, *right: Widget) -> HBox:
    """A player and its lanes, or a map and its player; the right below where the page is narrow."""
    column = VBox(right, layout=Layout(flex="1 1 420px")).add_class("lab-column")
    left.layout = Layout(flex="1 1 420px")
    return HBox([left, column], layout=Layout(flex_flow="row wrap", grid_gap="6px 14px"))


class Matrix(AnyWidget):
    """A confusion matrix of buttons."""

    _esm = Path(__file__).with_name("matrix.js")
    _css = Path(__file__).with_name("matrix.css")
    rows: traitlets.List = traitlets.List().tag(sync=True)
    columns: traitlets.List = traitlets.List().tag(sync=True)
    counts: traitlets.List = traitlets.List().tag(sync=True)
    cell: traitlets.List = traitlets.List().tag(sync=True)  # its row and column name, or empty

    def __init__(self, counts: pd.DataFrame, **traits: Any):
        super().__init__(**traits)
        self.show(counts)

    def show(self, counts: pd.DataFrame) -> None:
        """Replaces the counts and clears the selection."""
        with self.hold_sync():
            self.rows, self.columns = [str(n) for n in counts.index], [str(n) for n in counts]
            self.counts, self.cell = counts.to_numpy().tolist(), []


def clip_list(moment: Moment, clips: pd.DataFrame) -> Dropdown:
    """A list of clips, linked to the moment in both directions; empty if its clip is not listed.

    `clips` has the columns clip_id and label, at least.
    """
    names = clips.label.map(moment.index.vocabulary.label, na_action="ignore").fillna("?")
    options = [(f"{i} · {name}", i) for i, name in zip(clips.clip_id, names, strict=True)]
    choice = Dropdown(options=[("", ""), *options], description="clip")
    ids = {"", *clips.clip_id}
    ways = (lambda clip_id: clip_id if clip_id in ids else "", lambda clip_id: clip_id)
    link((moment, "clip_id"), (choice, "value"), transform=ways)
    return choice


class ErrorBrowser(AroundPlayer):
    """Click a cell to list its clips or interviews, the most confident first; select one to play.

    Until then the list has the hardest items of `read_predictions`: incorrect, with the lowest
    probability of the truth. Of a `run`, `split` selects another split whose truth is known, and
    buttons correct the labels of clips. The other widgets are `by` (class or group), `matrix`,
    `items` and `player`; other views may follow `moment`, which is the player's.
    """

    def __init__(self, predictions: pd.DataFrame, index: Index, run: Run | None = None):
        self.of_clips = "p_positive" not in predictions
        own, table = predictions.split.iloc[0], run.predictions() if run else None
        known = {own} if table is None else {*table.split[truth_of(table).notna()]}
        self.split = ToggleButtons(options=[n for n in SPLITS if n in known], value=own)
        self.by = ToggleButtons(options=["class", "group"][: 1 + ("truth_group" in predictions)])
        for choice in (self.split, self.by):
            choice.layout.display = "" if len(choice.options) > 1 else "none"
        self.moment = Moment(index, predictions.video_id.iloc[0])
        self.matrix = Matrix(confusion_counts(predictions))
        self.items = Select(layout=Layout(width="360px", height=HEIGHT))
        self.show(predictions)
        self.player = Player(self.moment)
        row = [Corrections(self.moment, run.folder)] if run and self.of_clips else []
        both = HBox([self.items, self.player])
        super().__init__(self.player, [self.split, self.by, self.matrix, both, *row])
        if run:
            self.split.observe(lambda own: self.show(read_predictions(run, own.new)), "value")
        self.by.observe(lambda _: self.show(self.predictions), "value")
        self.matrix.observe(self.press, "cell")
        self.items.observe(lambda choice: self.go_to(choice.new), "value")

    def show(self, predictions: pd.DataFrame) -> None:
        """Counts predictions, and lists the hardest; all where all are correct."""
        self.predictions = predictions
        self.matrix.show(confusion_counts(predictions, self.by.value))
        self.fill(predictions if predictions.correct.all() else hardest(predictions))

    def fill(self, predictions: pd.DataFrame) -> None:
        """Lists items and plays the first."""
        options = []
        for row in predictions.itertuples():
            truth = "" if row.correct else f" (true: {row.truth})"
            label = f"{row.item} · {row.p_predicted:.2f} {row.predicted}{truth}"
            options.append((label, row.item))
        self.items.options = options
        self.go_to(options[0][1])

    def press(self, _: object) -> None:
        """A cell was clicked."""
        if self.matrix.cell:
            truth, predicted = self.matrix.cell
            self.fill(in_cell(self.predictions, truth, predicted, self.by.value))

    def go_to(self, item: str | None) -> None:
        if item and self.of_clips:
            self.moment.clip_id = item
        elif item:
            self.moment.show(item)
