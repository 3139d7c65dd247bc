"""A skeleton as views draw it: on pictures, and as a plotly animation that needs no kernel.

Letters in shapes: M persons, T frames, V joints, C channels, P = M x V points.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go
from einops import rearrange
from jaxtyping import Float, Float32, Float64
from PIL import Image, ImageDraw

from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import keypoint_files, read_clip, read_file, upper_body
from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.errors import DataError
from imigue_lab.views.player.lanes import RATE, Moment, class_name
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, empty_figure, notes_on, styled

MOST = 600  # frames that a page plays smoothly; of longer clips every n-th is drawn
MARGIN = 0.08  # around a skeleton that is drawn without a video, as a share of its longer side
Places = Float32[np.ndarray, "T P 2"]


def side_colour(joint: str) -> str:
    """Right and left joints differ in colour, so that swapped hands are visible."""
    return FACE if joint.startswith("right_") else CONTEXT if joint.startswith("left_") else NEUTRAL


@dataclass(frozen=True)
class Skeleton:
    """Coordinates of the joints of all persons; NaN where a joint was not detected."""

    places: Places  # x to the right and y down in pixels; of depth cameras in metres and y up
    first: int  # frame number in the video of `places[0]`
    joints: list[str]  # name of each point
    bones: list[tuple[int, int]]  # index pairs into the points
    in_space: bool = False  # from a depth camera: the coordinates are not pixels of a picture

    @property
    def last(self) -> int:
        return self.first + len(self.places) - 1

    @property
    def colours(self) -> list[str]:
        return [side_colour(joint) for joint in self.joints]

    def at(self, frame: int) -> Float32[np.ndarray, "P 2"]:
        """The points of a frame of the video; all NaN outside `first` to `last`."""
        if self.first <= frame <= self.last:
            return self.places[frame - self.first]
        return np.full((len(self.joints), 2), np.nan, np.float32)

    def lines(self, frame: int) -> Iterator[tuple[str, Float32[np.ndarray, "2 2"]]]:
        """Colour and ends of each bone of a frame whose joints were both detected."""
        points = self.at(frame)
        for parent, child in self.bones:
            ends = points[[parent, child]]
            if not np.isnan(ends).any():
                yield side_colour(self.joints[child]), ends

    def draw(self, picture: Image.Image, frame: int, scale: float) -> None:
        """Draws a frame's bones and joints on a picture; `player.js` does the same on its canvas.

        `scale` is the number of pixels of this picture per pixel of the video.
        """
        pen = ImageDraw.Draw(picture)
        for colour, ends in self.lines(frame):
            pen.line([tuple(end) for end in (ends * scale).tolist()], fill=colour, width=2)
        for point, colour in zip(self.at(frame) * scale, self.colours, strict=True):
            if not np.isnan(point).any():
                pen.circle(tuple(point.tolist()), 3, fill=colour)

    def framed(self) -> tuple["Skeleton", tuple[int, int]]:
        """Moved into an empty picture, y pointing down, and the width and height of that."""
        places = self.places * np.array([1, -1 if self.in_space else 1], np.float32)
        detected = places[~np.isnan(places).any(axis=2)]
        if not len(detected):
            return self, (4, 3)
        low, high = detected.min(axis=0), detected.max(axis=0)
        scale = 100 / max(float((high - low).max()), 1e-6)
        margin = 100 * MARGIN
        moved = ((places - low) * scale + margin).astype(np.float32)
        width, height = (int(side) for side in np.ceil((high - low) * scale + 2 * margin))
        return replace(self, places=moved, in_space=False), (width, height)


def read_skeleton(moment: Moment) -> Skeleton:
    """The keypoints of the moment's clip if it has its own file, else of its video.

    Raises DataError where there are none, or they cannot be used.
    """
    clip, video = moment.clip, moment.video
    path, first = video.keypoints, 0
    if clip is not None and clip.keypoints is not None:
        path, first = clip.keypoints, int(clip.start)
    if path is None:
        clips = moment.index.clips
        of_clips = clips.keypoints[clips.video_id == moment.video_id].notna().any()
        why = "keypoints are stored by clip; choose a clip" if of_clips else "no keypoints found"
        raise DataError(f"video {moment.video_id}: {why}")
    return skeleton_of(upper_body(read_file(moment.index, path, moment.video_id)), first)


def skeleton_of(recording: Recording, first: int = 0) -> Skeleton:
    """The points of all persons, one person after the other.

    `first` is the frame number in the video of the recording's first frame.
    """
    layout = recording.layout
    persons, joints = recording.skeleton.shape[0], len(layout.joints)
    starts = range(0, persons * joints, joints)
    bones = [(start + parent, start + child) for start in starts for parent, child in layout.bones]
    seen = present(recording.skeleton, layout.axes)[..., None]
    places = np.where(seen, recording.skeleton[..., :2], np.nan).astype(np.float32)
    places = rearrange(places, "m t v c -> t (m v) c")
    return Skeleton(places, first, list(layout.joints) * persons, bones, layout.unit == "metres")


def skeleton_player(index: Index, clip_id: str = "", split: str = "train") -> go.Figure:
    """Plays the keypoints of a clip in picture coordinates; undetected joints are not drawn.

    By default the first clip of `split` that has keypoints. Raises DataError where the clip or its
    keypoints do not exist, or cannot be used.
    """
    clip_id = clip_id or first_with_keypoints(index, split)
    if not clip_id:
        why = f"No clip of {split} has keypoints under this root."
        return empty_figure(why, f"A clip of {split}", notes_on(index))
    recording = upper_body(read_clip(index, clip_id))
    moment = Moment(index, clip_id=clip_id)
    clip = moment.clip
    assert clip is not None
    seen = present(recording.skeleton, recording.layout.axes)
    frames = seen.shape[1]
    step = -(-frames // MOST)
    notes = notes_on(index)
    if not moment.video.fps > 0:
        notes.append(f"the frame rate is unknown: played at {RATE} frames a second")
    if step > 1:
        notes.append(f"one frame in {step} is drawn")
    if not seen.any():
        return empty_figure("No joint was detected in this clip.", f"Clip {clip_id}", notes)
    share = f"{100 * seen.mean():.0f} % of joints detected"
    times = moment.times(int(clip.start) + frames)[clip.start :]
    figure = animation(skeleton_of(recording), times - times[0], step)
    notes.append(f"{clip.split}, {frames} frames, {times[-1] - times[0]:.2f} s; {share}")
    return styled(figure, f"Clip {clip_id}: {class_name(index, clip)}", notes, height=640)


def first_with_keypoints(index: Index, split: str) -> str:
    """The first clip of a split that has keypoints; empty where there is none."""
    part = index.clips[index.clips.split == split]
    for video_id in part.video_id.unique():
        if keypoint_files(index, video_id):
            clips = part[part.video_id == video_id]
            own = clips.dropna(subset=["keypoints"])
            return str((clips if own.empty else own).clip_id.iloc[0])
    return ""


def animation(skeleton: Skeleton, times: Float64[np.ndarray, " S"], step: int) -> go.Figure:
    """Bones and joints frame by frame, one in `step`, with buttons and a slider in seconds.

    `times` at which the frames start; they are played at an even pace.
    """
    places = skeleton.places
    numbers = range(0, len(places), step)
    frames = [go.Frame(name=str(number), data=traces(skeleton, number)) for number in numbers]
    figure = go.Figure(data=frames[0].data, frames=frames)
    add_player(figure, times[::step])
    (left, top), (right, bottom) = np.nanmin(places, (0, 1)), np.nanmax(places, (0, 1))
    margin = MARGIN * max(right - left, bottom - top, 1e-6)
    vertical = [bottom + margin, top - margin]  # in a picture y points down
    if skeleton.in_space:
        vertical.reverse()
    unit = "" if skeleton.in_space else ", pixels"
    figure.update_xaxes(range=[left - margin, right + margin], title_text=f"x{unit}")
    return figure.update_yaxes(range=vertical, scaleanchor="x", title_text=f"y{unit}")


def add_player(figure: go.Figure, times: Float64[np.ndarray, " S"], redraw: bool = False) -> None:
    """Adds buttons and a slider in seconds to a figure with frames, which start at `times`.

    `redraw`: the frames have pictures.
    """
    immediate = {"mode": "immediate", "transition": {"duration": 0}}
    pace = {"duration": 1000 * float(np.diff(times).mean()), "redraw": redraw}
    play = immediate | {"frame": pace, "fromcurrent": True}
    stop = immediate | {"frame": {"duration": 0, "redraw": redraw}}
    buttons = [
        {"label": "play", "method": "animate", "args": [None, play]},
        {"label": "pause", "method": "animate", "args": [[None], stop]},
    ]
    menu = {"type": "buttons", "direction": "left", "buttons": buttons, "showactive": False}
    menu |= {"x": 0, "y": -0.08, "xanchor": "left", "yanchor": "top"}
    steps = [
        {"label": f"{second:.2f}", "method": "animate", "args": [[frame.name], stop]}
        for frame, second in zip(figure.frames, times, strict=False)
    ]
    slider = {"steps": steps, "x": 0.2, "len": 0.8, "y": -0.06}
    slider["currentvalue"] = {"prefix": "second ", "xanchor": "right"}
    figure.update_layout(updatemenus=[menu], sliders=[slider])


def traces(skeleton: Skeleton, frame: int) -> list[go.Scatter]:
    """One frame: the bones, a trace a side, and the joints; lines break at undetected joints."""
    gap = np.full((1, 2), np.nan)
    sides: dict[str, list[Float[np.ndarray, "N 2"]]] = {colour: [] for colour in skeleton.colours}
    for colour, ends in skeleton.lines(frame):
        sides[colour] += [ends, gap]
    line = {"mode": "lines", "line_width": 3, "hoverinfo": "skip", "showlegend": False}
    bones = [
        go.Scatter(**coordinates(np.concatenate(ends or [gap])), line_color=colour, **line)
        for colour, ends in sides.items()
    ]
    joints = go.Scatter(
        **coordinates(skeleton.at(frame)),
        mode="markers",
        marker={"size": 7, "color": skeleton.colours},
        text=[joint.replace("_", " ") for joint in skeleton.joints],
        hovertemplate="%{text}<extra></extra>",
        name="joints",
        showlegend=False,
    )
    return [*bones, joints]


def coordinates(points: Float[np.ndarray, "N 2"]) -> dict[str, list[float | None]]:
    """x and y for plotly, rounded; None leaves a gap."""
    return {
        axis: [None if np.isnan(value) else round(float(value), 4) for value in values]
        for axis, values in zip("xy", points.T, strict=True)
    }
