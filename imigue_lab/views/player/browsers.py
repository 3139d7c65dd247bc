"""Widgets that choose what the player shows: a list of clips, and the errors of a run.

The error browser is a confusion matrix, the list of the selected cell's items, and the player.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import traitlets
from anywidget import AnyWidget
from ipywidgets import Dropdown, HBox, Layout, Select, ToggleButtons, VBox
from traitlets import link

from imigue_lab.data.index import Index
from imigue_lab.errors import DataError
from imigue_lab.views.answers import confusion_counts, hardest, in_cell
from imigue_lab.views.player.film import AroundPlayer, Player
from imigue_lab.views.player.lanes import Moment

HEIGHT = "430px"


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


def browse_clips(index: Index, split: str = "train") -> VBox:
    """A player with a list of the clips of a split; DataError where it has none."""
    part = index.clips[index.clips.split == split]
    if part.empty:
        raise DataError(f"{index.root}: no clip of {split}; choose another split")
    moment = Moment(index, clip_id=part.clip_id.iloc[0])
    return VBox([clip_list(moment, part), Player(moment)])


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

    Initially the list contains the hardest items of `read_predictions`: incorrect, with the lowest
    probability of the truth. Other views may follow `moment`, which is the player's. The widgets
    are `matrix`, `items` and `player`.
    """

    def __init__(self, predictions: pd.DataFrame, index: Index):
        self.predictions = predictions
        first = predictions if predictions.correct.all() else hardest(predictions)
        self.of_clips = "p_positive" not in predictions
        self.moment = Moment(index, first.video_id.iloc[0])
        shown = Layout(display="" if "truth_group" in predictions else "none")
        self.by = ToggleButtons(options=["class", "group"], layout=shown)
        self.matrix = Matrix(confusion_counts(predictions, self.by.value))
        self.items = Select(layout=Layout(width="360px", height=HEIGHT))
        self.fill(first)
        self.player = Player(self.moment)
        super().__init__([self.by, self.matrix, HBox([self.items, self.player])])
        self.by.observe(self.regroup, "value")
        self.matrix.observe(self.press, "cell")
        self.items.observe(self.select, "value")

    def fill(self, predictions: pd.DataFrame) -> None:
        """Lists items and plays the first."""
        options = []
        for row in predictions.itertuples():
            truth = "" if row.correct else f" (true: {row.truth})"
            label = f"{row.item} · {row.p_predicted:.2f} {row.predicted}{truth}"
            options.append((label, row.item))
        self.items.options = options
        self.go_to(options[0][1])

    def regroup(self, _: object) -> None:
        """Another grouping was selected."""
        self.matrix.show(confusion_counts(self.predictions, self.by.value))

    def press(self, _: object) -> None:
        """A cell was clicked."""
        if self.matrix.cell:
            truth, predicted = self.matrix.cell
            self.fill(in_cell(self.predictions, truth, predicted, self.by.value))

    def select(self, _: object) -> None:
        """An item of the list was selected."""
        if self.items.value is not None:
            self.go_to(self.items.value)

    def go_to(self, item: str) -> None:
        if self.of_clips:
            self.moment.clip_id = item
        else:
            self.moment.show(item)
