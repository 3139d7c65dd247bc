"""Errors of a run, to press and to play: a matrix, the list of a cell's clips, and the player."""

from typing import Any

import pandas as pd
from ipywidgets import HBox, Layout, Select, ToggleButtons, VBox

from imigue_lab.data.index import Index
from imigue_lab.views.answers import confusion_counts, hardest, in_cell
from imigue_lab.views.player.matrix import Matrix
from imigue_lab.views.player.moment import Moment
from imigue_lab.views.player.player import Player, still_as_jpeg

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
            (f"{a.item} · {a.p_said:.2f} {a.said}" + ("" if a.right else f", is {a.truth}"), a.item)
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
