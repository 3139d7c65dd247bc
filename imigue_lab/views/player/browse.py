"""A list of clips above the player, which plays the chosen one."""

import pandas as pd
from ipywidgets import Dropdown, VBox
from traitlets import link

from imigue_lab.data.classes import CLASSES
from imigue_lab.data.index import Index
from imigue_lab.errors import DataError
from imigue_lab.views.player.moment import Moment
from imigue_lab.views.player.player import Player


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
