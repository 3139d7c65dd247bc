"""A table of counts whose cells can be pressed.

A list of clips above the player, which plays the chosen one.

Errors of a run, to press and to play: a matrix, the list of a cell's clips, and the player.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import traitlets
from anywidget import AnyWidget
from ipywidgets import Dropdown, HBox, Layout, Select, ToggleButtons, VBox
from traitlets import link

from imigue_lab.data.index import Index
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.errors import DataError
from imigue_lab.views.answers import confusion_counts, hardest, in_cell
from imigue_lab.views.player.film import Player, still_as_jpeg
from imigue_lab.views.player.lanes import Moment


class Matrix(AnyWidget):
    """Counts by row and column; `cell` is the one that was pressed last, empty at first.

    Attributes:
        cell: names of its row and column.
    """

    _esm = Path(__file__).with_name("matrix.js")
    _css = Path(__file__).with_name("matrix.css")
    rows: traitlets.List = traitlets.List().tag(sync=True)
    columns: traitlets.List = traitlets.List().tag(sync=True)
    counts: traitlets.List = traitlets.List().tag(sync=True)
    cell: traitlets.List = traitlets.List().tag(sync=True)

    def __init__(self, counts: pd.DataFrame, **traits: Any):
        super().__init__(**traits)
        self.show(counts)

    def show(self, counts: pd.DataFrame) -> None:
        """Other counts from now on; no cell is pressed."""
        with self.hold_sync():
            self.rows, self.columns = [str(n) for n in counts.index], [str(n) for n in counts]
            self.counts, self.cell = counts.to_numpy().tolist(), []


def browse_clips(index: Index, split: str = "train") -> VBox:
    """The clips of a part, with their class.

    Raises:
        DataError: the part has no clip.
    """
    part = index.clips[index.clips.split == split]
    if part.empty:
        raise DataError(f"{index.root}: has no clip of {split}; name another part")
    moment = Moment(index, clip_id=part.clip_id.iloc[0])
    return VBox([clip_list(moment, part), Player(moment)])


def clip_list(moment: Moment, clips: pd.DataFrame) -> Dropdown:
    """Chooses one of some clips, and shows which of them is chosen; empty where none of them is.

    Args:
        clips: clip_id and label, at least.
    """
    names = clips.label.map(lambda label: CLASSES[label], na_action="ignore").fillna("?")
    options = [(f"{i} · {name}", i) for i, name in zip(clips.clip_id, names, strict=True)]
    choice = Dropdown(options=[("", ""), *options], description="clip")
    ids = {"", *clips.clip_id}
    link(
        (moment, "clip_id"),
        (choice, "value"),
        transform=(lambda clip_id: clip_id if clip_id in ids else "", lambda clip_id: clip_id),
    )
    return choice


HEIGHT = "430px"


class ErrorBrowser(VBox):
    """Press a cell to list its clips or interviews, the most confident first; choose one to play.

    Before a cell is pressed the list holds the hardest: wrong answers that gave the truth the least
    probability.

    Attributes:
        moment: shared with the player; other views may follow it.
        matrix, items, player: the parts.
    """

    def __init__(self, answers: pd.DataFrame, index: Index):
        self.answers = answers
        first = hardest(answers) if not answers.right.all() else answers
        clips = set(index.clips.clip_id)
        self.of_clips = answers.item.iloc[0] in clips
        self.moment = Moment(index, first.video_id.iloc[0])
        self.by = ToggleButtons(options=["class", "group"], layout=Layout(display="none"))
        if self.of_clips:
            self.by.layout.display = ""
        self.matrix = Matrix(confusion_counts(answers, self.by.value))
        self.items = Select(layout=Layout(width="360px", height=HEIGHT))
        self.fill(first)
        self.player = Player(self.moment)
        super().__init__([self.by, self.matrix, HBox([self.items, self.player])])
        self.by.observe(self.regroup, "value")
        self.matrix.observe(self.press, "cell")
        self.items.observe(self.choose, "value")

    def fill(self, answers: pd.DataFrame) -> None:
        """Lists answers and plays the first."""
        options = [
            (
                f"{a.item} · {a.p_said:.2f} {a.predicted}" + ("" if a.right else f", is {a.truth}"),
                a.item,
            )
            for a in answers.itertuples()
        ]
        self.items.options = options
        self.go_to(options[0][1])

    def regroup(self, _: object) -> None:
        """By class or by group."""
        self.matrix.show(confusion_counts(self.answers, self.by.value))

    def press(self, _: object) -> None:
        """A cell was pressed."""
        if self.matrix.cell:
            truth, said = self.matrix.cell
            self.fill(in_cell(self.answers, truth, said, self.by.value))

    def choose(self, _: object) -> None:
        """One of the list was chosen."""
        if self.items.value is not None:
            self.go_to(self.items.value)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget, and a still of its player for pages that cannot play it."""
        return super()._repr_mimebundle_(**options) | {"image/jpeg": still_as_jpeg(self.player)}

    def go_to(self, item: str) -> None:
        if self.of_clips:
            self.moment.clip_id = item
        else:
            self.moment.show(item)
