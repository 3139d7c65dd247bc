"""The moment that all views of a notebook share, and lanes: curves and heat maps over a video.

A moment is a video, one of its clips or none, and a frame. A view observes its traits, and sets
them to move all views that share it:

    moment = Moment(index)
    player = Player(moment)
    moment.observe(show, ["video_id", "clip_id", "frame"])  # another view follows
    moment.clip_id = "0001_3"                               # the player plays this clip
    link((moment, "frame"), (slider, "value"))              # both directions, for one trait

Lanes show the moment as a cursor; clicking or dragging on them seeks to that frame.

Letters in shapes: R rows or lines of a lane, T windows.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import traitlets
from anywidget import AnyWidget
from jaxtyping import Float, Float64

from imigue_lab.data.index import Index
from imigue_lab.data.videos.frame_table import seconds_of
from imigue_lab.errors import DataError, some
from imigue_lab.views.style import CONTEXT

WINDOW = 16  # frames
RATE = 25.0  # frames a second, where that of the video is unknown
AROUND = 1.0  # seconds shown before and after a clip


class Moment(traitlets.HasTraits):
    """The selected video, clip and frame, always consistent with each other.

    Selecting a clip moves to its video and first frame; selecting another video, or a frame more
    than a second outside the clip, deselects the clip. Raises DataError where a video or clip is
    not in the index.
    """

    video_id = traitlets.Unicode()
    clip_id = traitlets.Unicode()  # empty where no clip is selected
    frame = traitlets.Int(min=0)  # number in the whole video

    def __init__(self, index: Index, video_id: str = "", clip_id: str = ""):
        if index.videos.empty:
            raise DataError(f"{index.root}: no videos; choose another root")
        self.index = index
        self.videos = index.videos.set_index("video_id")
        self.clips = index.clips.set_index("clip_id")
        super().__init__()
        if clip_id:
            self.clip_id = clip_id
        else:
            self.video_id = video_id or str(index.videos.video_id.iloc[0])

    @property
    def video(self) -> pd.Series:
        """The row of the index."""
        return self.videos.loc[self.video_id]

    @property
    def fps(self) -> float:
        """Frames a second of the video; `RATE` where that is unknown."""
        return float(self.video.fps) if self.video.fps > 0 else RATE

    def times(self, frames: int) -> Float64[np.ndarray, " S"]:
        """Seconds at which the frames of the video start and the last one ends."""
        return seconds_of(self.video.video, self.fps, frames)

    @property
    def clip(self) -> pd.Series | None:
        """The row of the index; None where no clip is selected."""
        return self.clips.loc[self.clip_id] if self.clip_id else None

    def show(self, video_id: str, frame: int = 0) -> None:
        """Moves to a frame of a video, without a clip."""
        with self.hold_trait_notifications():
            self.clip_id, self.video_id, self.frame = "", video_id, frame

    @traitlets.validate("video_id", "clip_id")
    def _known(self, proposal: dict) -> str:
        name, kind = proposal["value"], proposal["trait"].name.removesuffix("_id")
        table = self.videos if kind == "video" else self.clips
        if name not in table.index and (name or kind == "video"):
            raise DataError(f"{kind} {name!r} does not exist; choose one of {some(table.index)}")
        return name

    @traitlets.observe("clip_id")
    def _go_to_clip(self, _: object) -> None:
        clip = self.clip
        if clip is None:
            return
        if clip.video_id != self.video_id or not clip.start <= self.frame <= clip.end:
            with self.hold_trait_notifications():
                self.video_id, self.frame = clip.video_id, int(clip.start)

    @traitlets.observe("video_id")
    def _leave_clip_of_another_video(self, _: object) -> None:
        clip = self.clip
        if clip is not None and clip.video_id != self.video_id:
            self.show(self.video_id)

    @traitlets.observe("frame")
    def _leave_clip_that_is_past(self, _: object) -> None:
        clip, margin = self.clip, around(self.fps)
        if clip is None or clip.video_id != self.video_id:
            return
        if not clip.start - margin <= self.frame <= clip.end + margin:
            self.clip_id = ""


def around(fps: float) -> int:
    """Number of frames shown before and after a clip."""
    return round(AROUND * fps)


def class_name(index: Index, clip: pd.Series) -> str:
    """The class of a row of the index's clips."""
    return "class unknown" if pd.isna(clip.label) else index.vocabulary.label(clip.label)


class Lane(NamedTuple):
    """One row of the widget: curves, or a heat map."""

    title: str
    values: Float[np.ndarray, "R T"]  # NaN leaves a gap
    low: float = 0.0  # value at the lower edge, or of the darkest blue
    high: float = 1.0  # at the upper edge, or of the darkest red
    lines: tuple[tuple[str, str], ...] = ()  # name and colour of each row; empty draws a heat map
    stroke: float = 1.6  # pixels of a line; from 4 on lines are bars, without a scale


class Lanes(AnyWidget):
    """Lanes of one video; `frame` is the moment's."""

    _esm = Path(__file__).with_name("lanes.js")
    _css = Path(__file__).with_name("player.css")
    frame = traitlets.Int().tag(sync=True)
    shown = traitlets.Bool(True).tag(sync=True)  # whether the moment is in this video
    times: traitlets.List = traitlets.List().tag(sync=True)  # seconds at which the frames start
    window = traitlets.Int(WINDOW).tag(sync=True)
    lanes: traitlets.List = traitlets.List().tag(sync=True)
    values = traitlets.Bytes().tag(sync=True)

    def __init__(self, moment: Moment, video_id: str, lanes: list[Lane], **traits: Any):
        described = []
        for lane in lanes:
            form = lane._asdict()
            rows, windows = form.pop("values").shape
            described.append(form | {"rows": rows, "windows": windows})
        content = b"".join(np.asarray(lane.values, np.float32).tobytes() for lane in lanes)
        video = moment.videos.loc[video_id]
        super().__init__(lanes=described, values=content, **traits)
        frames = max(lane["windows"] for lane in described) * self.window
        self.times = seconds_of(video.video, moment.fps, frames).round(4).tolist()
        self.moment, self.own_video = moment, video_id
        self.follow(None)
        moment.observe(self.follow, ["video_id", "frame"])
        self.observe(self.lead, "frame")
        self.on_msg(self.press)

    def follow(self, _: object) -> None:
        """The moment has changed."""
        self.shown = self.moment.video_id == self.own_video
        if self.shown:
            self.frame = self.moment.frame

    def lead(self, _: object) -> None:
        """A lane was clicked."""
        if self.shown:
            self.moment.frame = self.frame

    def press(self, _: object, content: dict[str, Any], __: object) -> None:
        """A lane was pressed: its number, the frame, and the height from 0, its bottom, to 1."""
        if not self.shown:  # the moment is in another video
            self.moment.show(self.own_video, content["frame"])


def line_lane(title: str, values: Float[np.ndarray, " T"], colour: str = CONTEXT) -> Lane:
    """A lane of one curve between 0 and 1."""
    return Lane(title, np.asarray(values, float)[None], lines=((title, colour),))
