"""Attention in the player: heat on its pictures and joints, a choice of layer, over its own time.

The player's slider is the slider of time; choosing another clip there reads its attention.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from ipywidgets import Checkbox, Dropdown, HBox, VBox
from jaxtyping import Float
from PIL import Image, ImageDraw

from imigue_lab.data.videos.video import Frame
from imigue_lab.errors import RunError
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.views.attention.maps import ALL, ClipAttention, read_attention
from imigue_lab.views.attention.over_clip import GROUPS, Glance, colour_of, glance_at
from imigue_lab.views.footage import Footage
from imigue_lab.views.player.browsers import clip_list
from imigue_lab.views.player.film import Player, still_as_jpeg
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.reel import Paint

FULL = 4.0  # times an equal share at which heat is deepest
HEAT, DEEP, LIGHT = (213, 94, 0), (8, 48, 107), (232, 241, 250)


class AttentionPlayer(VBox):
    """Plays a clip under what a layer attends to.

    Args:
        clips: to choose from, with their label.
        read: the attention of a clip by its id; RunError where it has none.

    Attributes:
        layer, pairs, merged: the choices.
        moment: shared with the player; other views may follow it.
    """

    def __init__(self, moment: Moment, clips: pd.DataFrame, read: Callable[[str], ClipAttention]):
        self.moment, self.read = moment, read
        self.layer = Dropdown(description="layer", options=[ALL])
        self.pairs = Checkbox(True, description="strongest pairs", indent=False)
        self.merged = Checkbox(False, description="merged tokens", indent=False)
        self.player = Player(moment)
        self.attention: ClipAttention | None = None
        choices = HBox([clip_list(moment, clips), self.layer, self.pairs, self.merged])
        super().__init__([choices, self.player])
        self.follow(None)
        moment.observe(self.follow, "clip_id")
        for choice in (self.layer, self.pairs, self.merged):
            choice.observe(self.dress, "value")

    def follow(self, _: object) -> None:
        """Another clip: the layer stays what it was, where there is such a layer."""
        clip_id = self.moment.clip_id
        if not clip_id:
            return self.undress()
        try:
            self.attention = self.read(clip_id)
        except RunError:
            return self.undress()
        options = list(self.attention.choices)
        if list(self.layer.options) != options:
            self.layer.options = options
        self.dress(None)
        return None

    def undress(self) -> None:
        """Nothing attends here."""
        self.attention = None
        self.player.dress()

    def dress(self, _: object) -> None:
        """Draws the chosen layer from now on."""
        if self.attention is None or self.moment.clip is None:
            return
        clip, footage = self.moment.clip, self.player.footage
        span = int(clip.start), int(clip.end)
        if footage.film is None:
            weights = joint_sizes(self.attention, footage, span, self.layer.value)
            self.player.dress(weights=weights)
            return
        size = footage.film.size
        self.player.dress(
            painter(
                self.attention, size, span, self.layer.value, self.pairs.value, self.merged.value
            )
        )

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget, and a still of its player for pages that cannot play it."""
        return super()._repr_mimebundle_(**options) | {"image/jpeg": still_as_jpeg(self.player)}


def look(gesture: GestureRun, system: GestureSystem, clip_id: str) -> AttentionPlayer:
    """The clip under its attention, and the other clips of its part to choose from."""
    clips = gesture.index.clips
    part = clips[clips.split == clips.set_index("clip_id").split[clip_id]]
    moment = Moment(gesture.index, clip_id=clip_id)
    return AttentionPlayer(moment, part, partial(read_attention, gesture, system))


def painter(
    attention: ClipAttention,
    size: tuple[int, int],
    span: tuple[int, int],
    choice: str,
    pairs: bool,
    merged: bool,
) -> Paint:
    """What draws a layer on the pictures of a clip, and leaves those beside it as they are.

    Args:
        size: width and height of the whole picture.
        span: first and last frame of the clip.
    """
    times = attention.grid[0]
    glances = [glance_at(attention, size, time, choice, 4 if pairs else 0) for time in range(times)]

    def paint(frame: int, picture: Frame) -> Frame:
        time = (frame - span[0]) * times // (span[1] - span[0] + 1)
        if not 0 <= time < times:
            return picture
        return painted(picture, glances[time], picture.shape[1] / size[0], merged)

    return paint


def painted(picture: Frame, glance: Glance, scale: float, merged: bool) -> Frame:
    """A picture under one glance; `scale` is its pixels a pixel of the whole picture."""
    ground = Image.fromarray(picture).convert("RGBA")
    over = Image.new("RGBA", ground.size)
    pen = ImageDraw.Draw(over)
    unit = min(picture.shape[:2]) / 100
    width = round(unit) or 1
    for row, column in np.ndindex(glance.heat.shape):
        share = min(max((float(glance.heat[row, column]) - 1) / (FULL - 1), 0.0), 1.0)
        pen.rectangle(cell(glance, row, column, scale), fill=(*HEAT, round(200 * share)))
    for line in glance.lines:
        pen.line([tuple(end) for end in (scale * line.ends).tolist()], colour_of(line), width)
    for spot, weight in zip((scale * glance.joints).tolist(), glance.weight.tolist(), strict=True):
        pen.circle(tuple(spot), unit * (0.9 + 1.1 * weight**0.5), blend(weight / FULL), "#333")
    for outline in glance.outlines if merged else []:
        colour = GROUPS[outline.number % len(GROUPS)]
        for row, column in outline.cells.tolist():
            pen.rectangle(cell(glance, row, column, scale, unit), None, colour, width)
        for spot in (scale * outline.joints).tolist():
            pen.circle(tuple(spot), 2.5 * unit, None, colour, width)
    return np.asarray(Image.alpha_composite(ground, over).convert("RGB"))


def cell(
    glance: Glance, row: int, column: int, scale: float, inset: float = 0.0
) -> tuple[float, float, float, float]:
    left, right = scale * glance.columns[column : column + 2]
    top, bottom = scale * glance.rows[row : row + 2]
    return left + inset, top + inset, right - inset, bottom - inset


def blend(share: float) -> tuple[int, int, int]:
    share = min(share, 1.0)
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(LIGHT, DEEP, strict=True))
    return red, green, blue


def joint_sizes(
    attention: ClipAttention, footage: Footage, span: tuple[int, int], choice: str
) -> Float[np.ndarray, "T P"] | None:
    """Attention on each point of a skeleton that plays without pictures, 0 to 1 at `FULL`."""
    skeleton = footage.skeleton
    if skeleton is None:
        return None
    given = np.nan_to_num(attention.on_joints(choice)) / FULL
    persons, steps, _ = given.shape
    number = {joint: n for n, joint in enumerate(attention.joints)}
    count = len(set(skeleton.joints))  # points are persons by joints
    frames = skeleton.first + np.arange(len(skeleton.places))
    step = (frames - span[0]) * steps // (span[1] - span[0] + 1)
    inside = (step >= 0) & (step < steps)
    sizes = np.zeros((len(frames), len(skeleton.joints)))
    for point, joint in enumerate(skeleton.joints):
        person = point // count
        if joint in number and person < persons:
            sizes[inside, point] = given[person, step[inside], number[joint]]
    return np.clip(sizes, 0, 1)
