"""Buttons below a player: a person confirms, relabels or rejects the clip that it shows.

Decisions are rows of `corrections.csv` in the folder of a run or an analysis (`data.corrections`).
"""

import getpass
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pandas as pd
from ipywidgets import Button, Dropdown, HBox, Label, Layout

from imigue_lab.data.corrections import FILE, KINDS, key_of, read_rows_of, write_correction
from imigue_lab.data.index import Row
from imigue_lab.errors import LabError
from imigue_lab.views.player.lanes import Moment


class Corrections(HBox):
    """A row of buttons for the clip of a moment; they act for `who`, by default the login name.

    `items` has the id of each clip in the data, empty for a segment that a model has found;
    without it all clips are clips of the data.
    """

    def __init__(
        self, moment: Moment, folder: Path, items: Mapping[str, str] | None = None, who: str = ""
    ):
        self.moment, self.path, self.items = moment, folder / FILE, items
        self.who = who or login_name()
        names = enumerate(moment.index.vocabulary.classes)
        options = [(moment.index.vocabulary.label(label), name) for label, name in names]
        fixed = {"flex": "0 0 auto", "width": "80px"}  # a long text must not narrow the buttons
        self.choice = Dropdown(options=options, layout=Layout(**fixed | {"width": "220px"}))
        self.buttons = [Button(description=kind, layout=Layout(**fixed)) for kind in KINDS]
        self.state = Label()  # shows text as it is, markup included
        confirm, relabel, reject = self.buttons
        super().__init__([confirm, self.choice, relabel, reject, self.state])
        for button in self.buttons:
            button.on_click(self.press)
        moment.observe(self.show, "clip_id")
        self.show()

    @property
    def item(self) -> dict[str, str]:
        """What the moment shows, as `write_correction` takes it."""
        clip, clip_id = self.moment.clips.loc[self.moment.clip_id], self.moment.clip_id
        item = clip_id if self.items is None else self.items[clip_id]
        place = {name: str(clip[name]) for name in ("video_id", "start", "end")}
        return {"item": item, **place, "previous": self.moment.index.vocabulary.classes[clip.label]}

    def show(self, _: object = None) -> None:
        """Shows what this person decided on the clip; one without a known class is not decided."""
        clip = self.moment.clip
        known = clip is not None and not pd.isna(clip.label)
        for widget in (*self.buttons, self.choice):
            widget.disabled = not known
        self.state.value = "" if known else "select a clip whose class is known"
        if known and self.path.exists():
            self.attempt(lambda: read_rows_of(self.path).get((key_of(self.item), self.who), {}))

    def press(self, button: Button) -> None:
        """Writes the decision."""
        kind, item = button.description, self.item
        name = {"confirm": item["previous"], "reject": ""}.get(kind, self.choice.value)
        self.attempt(lambda: write_correction(self.path, item, kind, name, self.who))

    def attempt(self, act: Callable[[], Row]) -> None:
        """Shows the row that an action returns, or its error, beside the buttons."""
        try:
            row = act()
        except LabError as error:
            self.state.value = str(error)
        else:
            self.choice.value = row.get("class") or self.item["previous"]
            self.state.value = " ".join(row[n] for n in ("kind", "class", "who", "when") if row)


def login_name() -> str:
    with suppress(KeyError, OSError, ImportError):  # no such user in a container
        return getpass.getuser()
    return f"user {os.getuid()}"
