"""The skeleton of one clip as a plotly animation, which also plays on a page without a kernel."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import keypoint_files, read_clip, upper_body
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.views.player.lanes import RATE
from imigue_lab.views.skeletons import MARGIN, Skeleton, skeleton_of
from imigue_lab.views.style import empty_figure, notes_on, styled

MOST = 600  # frames that a page plays smoothly; of longer clips every n-th is drawn


def skeleton_player(index: Index, clip_id: str = "", split: str = "train") -> go.Figure:
    """Plays the keypoints of a clip in picture coordinates; undetected joints are not drawn.

    Args:
        clip_id: empty: the first clip of `split` that has keypoints.

    Raises:
        DataError: the clip or its keypoints do not exist, or cannot be used.
    """
    clip_id = clip_id or first_with_keypoints(index, split)
    if not clip_id:
        sentence = f"No clip of {split} has keypoints under this root."
        return empty_figure(sentence, f"A clip of {split}", notes_on(index))
    clip = index.clips.set_index("clip_id").loc[clip_id]
    fps = index.videos.set_index("video_id").fps[clip.video_id]
    recording = upper_body(read_clip(index, clip_id))
    seen = present(recording.skeleton, recording.layout.axes)
    frames = seen.shape[1]
    step = -(-frames // MOST)
    notes = notes_on(index)
    if np.isnan(fps):
        notes.append(f"the frame rate is unknown: played at {RATE} frames a second")
        fps = RATE
    if step > 1:
        notes.append(f"one frame in {step} is drawn")
    if not seen.any():
        return empty_figure("No joint was detected in this clip.", f"Clip {clip_id}", notes)
    name = "class unknown" if pd.isna(clip.label) else CLASSES[clip.label]
    share = f"{100 * seen.mean():.0f} % of joints detected"
    notes.append(f"{clip.split}, {frames} frames, {frames / fps:.2f} s; {share}")
    figure = animation(skeleton_of(recording), fps, step)
    return styled(figure, f"Clip {clip_id}: {name}", notes, height=640)


def first_with_keypoints(index: Index, split: str) -> str:
    """The first clip of a split that has keypoints; empty where there is none."""
    part = index.clips[index.clips.split == split]
    for video_id in part.video_id.unique():
        if keypoint_files(index, video_id):
            clips = part[part.video_id == video_id]
            own = clips.dropna(subset=["keypoints"])
            return str((clips if own.empty else own).clip_id.iloc[0])
    return ""


def animation(skeleton: Skeleton, fps: float, step: int) -> go.Figure:
    """Bones and joints frame by frame, one in `step`, with buttons and a slider in seconds."""
    places = skeleton.places
    numbers = range(0, len(places), step)
    frames = [go.Frame(name=str(number), data=traces(skeleton, number)) for number in numbers]
    figure = go.Figure(data=frames[0].data, frames=frames)
    immediate = {"mode": "immediate", "transition": {"duration": 0}}
    pace = {"duration": 1000 * step / fps, "redraw": False}
    play = immediate | {"frame": pace, "fromcurrent": True}
    stop = immediate | {"frame": {"duration": 0, "redraw": False}}
    buttons = {
        "type": "buttons",
        "direction": "left",
        "buttons": [
            {"label": "play", "method": "animate", "args": [None, play]},
            {"label": "pause", "method": "animate", "args": [[None], stop]},
        ],
        "x": 0,
        "y": -0.08,
        "xanchor": "left",
        "yanchor": "top",
        "showactive": False,
    }
    slider = {
        "steps": [
            {"label": f"{number / fps:.2f}", "method": "animate", "args": [[str(number)], stop]}
            for number in numbers
        ],
        "x": 0.2,
        "len": 0.8,
        "y": -0.06,
        "currentvalue": {"prefix": "second ", "xanchor": "right"},
    }
    figure.update_layout(updatemenus=[buttons], sliders=[slider])
    (left, top), (right, bottom) = np.nanmin(places, (0, 1)), np.nanmax(places, (0, 1))
    margin = MARGIN * max(right - left, bottom - top, 1e-6)
    vertical = [bottom + margin, top - margin]  # in a picture y points down, in space up
    unit = "" if skeleton.in_space else ", pixels"
    figure.update_xaxes(range=[left - margin, right + margin], title_text=f"x{unit}")
    figure.update_yaxes(
        range=vertical[::-1] if skeleton.in_space else vertical,
        scaleanchor="x",
        title_text=f"y{unit}",
    )
    return figure


def traces(skeleton: Skeleton, frame: int) -> list[go.Scatter]:
    """One frame: the bones, a trace a side, and the joints; lines break at undetected joints."""
    gap = np.full((1, 2), np.nan)
    sides: dict[str, list[Float[np.ndarray, "N 2"]]] = {colour: [] for colour in skeleton.colours}
    for colour, ends in skeleton.lines(frame):
        sides[colour] += [ends, gap]
    joints = skeleton.at(frame)
    return [
        *(
            go.Scatter(
                **coordinates(np.concatenate(lines or [gap])),
                mode="lines",
                line={"color": colour, "width": 3},
                hoverinfo="skip",
                showlegend=False,
            )
            for colour, lines in sides.items()
        ),
        go.Scatter(
            **coordinates(joints),
            mode="markers",
            marker={"size": 7, "color": skeleton.colours},
            text=[joint.replace("_", " ") for joint in skeleton.joints],
            hovertemplate="%{text}<extra></extra>",
            name="joints",
            showlegend=False,
        ),
    ]


def coordinates(points: Float[np.ndarray, "N 2"]) -> dict[str, list[float | None]]:
    """x and y for plotly, rounded; None leaves a gap."""
    return {
        axis: [None if np.isnan(value) else round(float(value), 4) for value in values]
        for axis, values in zip("xy", points.T, strict=True)
    }
