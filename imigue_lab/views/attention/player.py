"""Attention in the player: heat on its pictures and joints, for a chosen layer, over time.

The player's slider is the slider of time; choosing another clip reads the attention of that clip.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
import pandas as pd
from ipywidgets import Checkbox, Dropdown, HBox
from jaxtyping import Float
from PIL import Image, ImageDraw

from imigue_lab.data.videos.video import Frame
from imigue_lab.errors import RunError
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.views.attention.maps import ALL, ClipAttention, read_attention
from imigue_lab.views.attention.over_clip import DEEP, HEAT, LIGHT, Snapshot, snapshot_at
from imigue_lab.views.player.browsers import clip_list
from imigue_lab.views.player.film import AroundPlayer, Player
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.reel import Paint
from imigue_lab.views.skeletons import Skeleton

FULL = 4.0  # multiple of an equal share at which colours are deepest


class AttentionPlayer(AroundPlayer):
    """Plays a clip with the attention of one layer drawn over it.

    Args:
        moment: shared with the player; other views may follow it.
        clips: to choose from, with their label.
        read: the attention of a clip by its id; raises RunError where there is none.
    """

    def __init__(self, moment: Moment, clips: pd.DataFrame, read: Callable[[str], ClipAttention]):
        self.moment, self.read = moment, read
        self.layer = Dropdown(description="layer", options=[ALL])
        self.pairs = Checkbox(True, description="strongest pairs", indent=False)
        self.merged = Checkbox(False, description="merged tokens", indent=False)
        self.player = Player(moment)
        self.attention: ClipAttention | None = None
        controls = HBox([clip_list(moment, clips), self.layer, self.pairs, self.merged])
        super().__init__([controls, self.player])
        self.follow(None)
        moment.observe(self.follow, "clip_id")
        for control in (self.layer, self.pairs, self.merged):
            control.observe(self.redraw, "value")

    def follow(self, _: object) -> None:
        """Reads the moment's clip and keeps the chosen layer where the clip has it."""
        self.attention = None
        if self.moment.clip_id:
            with suppress(RunError):  # a clip that lacks a modality plays without attention
                self.attention = self.read(self.moment.clip_id)
        if self.attention and list(self.layer.options) != list(self.attention.layers):
            self.layer.options = list(self.attention.layers)
        self.redraw(None)

    def redraw(self, _: object) -> None:
        """Draws the chosen layer from now on, on pictures or else by the size of joints."""
        clip, footage = self.moment.clip, self.player.footage
        paint = weights = None
        if self.attention and clip is not None:
            span, layer = (int(clip.start), int(clip.end)), self.layer.value
            if footage.film:
                shown = self.pairs.value, self.merged.value
                paint = painter(self.attention, footage.film.size, span, layer, *shown)
            elif footage.skeleton and not self.attention.of_cells:
                weights = joint_weights(self.attention, footage.skeleton, span, layer)
        self.player.dress(paint, weights)


def open_attention_player(
    gesture: GestureRun, system: GestureSystem, clip_id: str
) -> AttentionPlayer:
    """The clip with its attention, and the other clips of its split to choose from."""
    clips = gesture.index.clips
    split = clips[clips.split == clips.set_index("clip_id").split[clip_id]]
    moment = Moment(gesture.index, clip_id=clip_id)
    return AttentionPlayer(moment, split, partial(read_attention, gesture, system))


def painter(
    attention: ClipAttention,
    size: tuple[int, int],
    span: tuple[int, int],
    layer: str,
    pairs: bool,
    merged: bool,
) -> Paint:
    """Draws a layer on the pictures of a clip, and leaves other pictures unchanged.

    `size` is that of the whole picture, `span` the first and last frame of the clip.
    """
    times, most = attention.grid[0], 4 if pairs else 0
    snapshots = [snapshot_at(attention, size, time, layer, most) for time in range(times)]

    def paint(frame: int, picture: Frame) -> Frame:
        time = (frame - span[0]) * times // (span[1] - span[0] + 1)
        if not 0 <= time < times:
            return picture
        return painted(picture, snapshots[time], picture.shape[1] / size[0], merged)

    return paint


def painted(picture: Frame, snapshot: Snapshot, scale: float, merged: bool) -> Frame:
    """A picture, of `scale` pixels a pixel of the whole picture, with one snapshot over it."""
    ground = Image.fromarray(picture).convert("RGBA")
    over = Image.new("RGBA", ground.size)
    pen = ImageDraw.Draw(over)
    unit = min(picture.shape[:2]) / 100
    width = round(unit) or 1
    for place, heat in np.ndenumerate(snapshot.heat):
        opacity = round(200 * np.clip((float(heat) - 1) / (FULL - 1), 0, 1))
        pen.rectangle((scale * snapshot.cell(*place)).tolist(), fill=(*HEAT, opacity))
    for line in snapshot.lines:
        pen.line([tuple(end) for end in (scale * line.ends).tolist()], line.colour, width)
    for spot, weight in zip(scale * snapshot.joints, snapshot.weight.tolist(), strict=True):
        colour = np.array(LIGHT) + min(weight / FULL, 1) * np.subtract(DEEP, LIGHT)
        radius = unit * (0.9 + 1.1 * weight**0.5)
        pen.circle(tuple(spot.tolist()), radius, tuple(colour.round().astype(int).tolist()), "#333")
    for outline in snapshot.outlines if merged else []:
        for place in outline.cells.tolist():
            box = scale * snapshot.cell(*place) + unit * np.array([1, 1, -1, -1])
            pen.rectangle(box.tolist(), None, outline.colour, width)
        for spot in (scale * outline.joints).tolist():
            pen.circle(tuple(spot), 2.5 * unit, None, outline.colour, width)
    return np.asarray(Image.alpha_composite(ground, over).convert("RGB"))


def joint_weights(
    attention: ClipAttention, skeleton: Skeleton, span: tuple[int, int], layer: str
) -> Float[np.ndarray, "T P"]:
    """Attention to each point of a skeleton that plays without pictures, 0 to 1 at `FULL`."""
    received = np.nan_to_num(attention.on_joints(layer)) / FULL
    persons, steps, _ = received.shape
    number = {joint: n for n, joint in enumerate(attention.joints)}
    count = len(set(skeleton.joints))  # points are persons by joints
    frames = skeleton.first + np.arange(len(skeleton.places))
    step = (frames - span[0]) * steps // (span[1] - span[0] + 1)
    inside = (step >= 0) & (step < steps)
    weights = np.zeros((len(frames), len(skeleton.joints)))
    for point, joint in enumerate(skeleton.joints):
        person = point // count
        if joint in number and person < persons:
            weights[inside, point] = received[person, step[inside], number[joint]]
    return np.clip(weights, 0, 1)
