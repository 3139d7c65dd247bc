"""One clip's skeleton in motion: a plotly animation, which also plays on a page without a kernel.

Letters in shapes: M persons, T frames, V joints, C channels, P = M x V points.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import keypoint_files, read_clip, upper_body
from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.views.clips import side_colour
from imigue_lab.views.player.lanes import RATE
from imigue_lab.views.skeletons import joint_places
from imigue_lab.views.style import notes_on, saying, styled

MOST = 600  # frames that a page plays well; of longer clips every n-th is drawn


def skeleton_player(index: Index, clip_id: str = "", split: str = "train") -> go.Figure:
    """Plays a clip's keypoints as they lie in the picture; joints that were not found are absent.

    Args:
        clip_id: empty: the first clip of `split` that has keypoints.

    Raises:
        DataError: the clip or its keypoints are not there, or cannot be used.
    """
    clip_id = clip_id or first_with_keypoints(index, split)
    if not clip_id:
        sentence = f"No clip of {split} has keypoints under this root."
        return saying(sentence, f"A clip of {split}", notes_on(index))
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
        return saying("Not a single joint was found in this clip.", f"Clip {clip_id}", notes)
    name = "class unknown" if pd.isna(clip.label) else CLASSES[clip.label]
    share = f"{100 * seen.mean():.0f} % of joints were found"
    notes.append(f"{clip.split}, {frames} frames, {frames / fps:.2f} s; {share}")
    return styled(animation(recording, fps, step), f"Clip {clip_id}: {name}", notes, height=640)


def first_with_keypoints(index: Index, split: str) -> str:
    """The first clip of a part whose keypoints are somewhere; empty where there is none."""
    part = index.clips[index.clips.split == split]
    for video_id in part.video_id.unique():
        if keypoint_files(index, video_id):
            here = part[part.video_id == video_id]
            own = here.dropna(subset=["keypoints"])
            return str((here if own.empty else own).clip_id.iloc[0])
    return ""


def animation(recording: Recording, fps: float, step: int) -> go.Figure:
    """Bones and joints frame by frame, one in `step`, with buttons and a slider in seconds."""
    places = joint_places(recording)
    numbers = range(0, len(places), step)
    drawn = {number: traces(recording, places[number]) for number in numbers}
    figure = go.Figure(
        data=drawn[0], frames=[go.Frame(name=str(n), data=data) for n, data in drawn.items()]
    )
    at_once = {"mode": "immediate", "transition": {"duration": 0}}
    pace = {"duration": 1000 * step / fps, "redraw": False}
    play = at_once | {"frame": pace, "fromcurrent": True}
    stop = at_once | {"frame": {"duration": 0, "redraw": False}}
    buttons = [
        {"label": "play", "method": "animate", "args": [None, play]},
        {"label": "pause", "method": "animate", "args": [[None], stop]},
    ]
    steps = [
        {"label": f"{number / fps:.2f}", "method": "animate", "args": [[str(number)], stop]}
        for number in numbers
    ]
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "buttons": buttons,
                "x": 0,
                "y": -0.08,
                "xanchor": "left",
                "yanchor": "top",
                "showactive": False,
            }
        ],
        sliders=[
            {
                "steps": steps,
                "x": 0.2,
                "len": 0.8,
                "y": -0.06,
                "currentvalue": {"prefix": "second ", "xanchor": "right"},
            }
        ],
    )
    (left, top), (right, bottom) = np.nanmin(places, (0, 1)), np.nanmax(places, (0, 1))
    margin = 0.08 * max(right - left, bottom - top, 1e-6)
    upwards = recording.layout.axes == 3  # in space y points up, in a picture down
    vertical = [top - margin, bottom + margin] if upwards else [bottom + margin, top - margin]
    unit = "" if upwards else ", pixels"
    figure.update_xaxes(range=[left - margin, right + margin], title_text=f"x{unit}")
    figure.update_yaxes(range=vertical, scaleanchor="x", title_text=f"y{unit}")
    return figure


def traces(recording: Recording, points: Float[np.ndarray, "P 2"]) -> list[go.Scatter]:
    """One frame: the bones, a line a side, and the joints. Lines break where a joint is absent."""
    joints = recording.layout.joints
    sides: dict[str, list[Float[np.ndarray, "3 2"]]] = {side_colour(joint): [] for joint in joints}
    gap = np.full(2, np.nan)
    for first in range(0, len(points), len(joints)):
        for parent, child in recording.layout.bones:
            ends = points[[first + parent, first + child]]
            if not np.isnan(ends).any():
                sides[side_colour(joints[child])].append(np.stack([*ends, gap]))
    lines = [(colour, np.concatenate(bones or [gap[None]])) for colour, bones in sides.items()]
    everyone = joints * (len(points) // len(joints))
    dots = {"size": 7, "color": [side_colour(joint) for joint in everyone]}
    return [
        *(
            go.Scatter(
                x=rounded(line[:, 0]),
                y=rounded(line[:, 1]),
                mode="lines",
                line={"color": colour, "width": 3},
                hoverinfo="skip",
                showlegend=False,
            )
            for colour, line in lines
        ),
        go.Scatter(
            x=rounded(points[:, 0]),
            y=rounded(points[:, 1]),
            mode="markers",
            marker=dots,
            text=[joint.replace("_", " ") for joint in everyone],
            hovertemplate="%{text}<extra></extra>",
            name="joints",
            showlegend=False,
        ),
    ]


def rounded(values: Float[np.ndarray, " N"]) -> list[float | None]:
    """As a page takes them, None where nothing is drawn; a tenth of a pixel is enough."""
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
