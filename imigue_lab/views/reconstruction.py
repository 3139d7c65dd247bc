"""What a pre-trained network reconstructs of a masked window, playing side by side.

Three panels: what the encoder sees, the original, and the reconstruction. What was masked is
marked in the first and the last.

Letters in shapes: T frames, V joints, A axes, H x W pixels, S segments.
"""

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, UInt8
from plotly.subplots import make_subplots

from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.models.mamp import SEGMENT, motion_of
from imigue_lab.models.pictures.videomae import TUBE, patches_of
from imigue_lab.training.pretraining.data import MotionWindows, PretrainingData, VideoWindows
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.pretraining.train import load_pretraining
from imigue_lab.training.runs import Run
from imigue_lab.views.footage import as_source
from imigue_lab.views.player.lanes import RATE
from imigue_lab.views.skeletons import add_player, coordinates
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, notes_of, styled

PANELS = ("input", "original", "reconstruction")
SHADE = 150  # of masked pixels in the input
DOT = (217, 130, 43)  # FACE


class Moved(NamedTuple):
    """The joints of one person; masked ones of the reconstruction move as predicted."""

    original: Float[np.ndarray, "T V A"]
    rebuilt: Float[np.ndarray, "T V A"]
    masked: Bool[np.ndarray, "T V"]
    seen: Bool[np.ndarray, "T V"]


@torch.no_grad()
def rebuild_motion(run: Run, windows: MotionWindows, number: int) -> Moved:
    """A window by its number; of several persons the one of whom most joints are seen.

    In each segment a masked joint starts at its true place and takes the steps that were predicted.
    """
    model: Any = load_pretraining(run)
    skeletons, uniform, seen = windows.enter(windows.collate(windows.draws(number)))
    person = int(seen.sum(dim=(1, 2)).argmax())
    skeletons, uniform, seen = (x[person : person + 1] for x in (skeletons, uniform, seen))
    found = model(skeletons, uniform, seen)
    places = skeletons[..., : model.axes]
    motion = motion_of(places, seen)
    steps = found.predicted * motion.deviation + motion.mean
    form = "1 (s v) (f a) -> s f v a"
    steps, masked = (rearrange(x, form, f=SEGMENT, v=seen.shape[2]) for x in (steps, found.counted))
    true = rearrange(places[0], "(s f) v a -> s f v a", f=SEGMENT)
    moved = true[:, :1] + torch.cat([torch.zeros_like(true[:, :1]), steps.cumsum(1)[:, :-1]], 1)
    whole = masked.all(dim=3, keepdim=True).all(dim=1, keepdim=True)
    rebuilt = torch.where(whole, moved, true).flatten(0, 1)
    hidden = repeat(whole[:, 0, :, 0], "s v -> (s f) v", f=SEGMENT)
    return Moved(*(x.numpy() for x in (places[0], rebuilt, hidden, seen[0])))


class Painted(NamedTuple):
    """Frames of a window; masked patches of the reconstruction are as predicted."""

    original: UInt8[np.ndarray, "T H W 3"]
    rebuilt: UInt8[np.ndarray, "T H W 3"]
    masked: Bool[np.ndarray, "T H W"]
    patch: int


@torch.no_grad()
def rebuild_video(run: Run, windows: VideoWindows, number: int) -> Painted:
    """A window by its number, with the true mean and deviation of each patch."""
    model: Any = load_pretraining(run)
    video, masked, skipped = windows.enter(windows.collate(windows.draws(number)))
    found = model(video, masked, skipped)
    patches = patches_of(video, model.patch)
    predicted = patches.normalised.clone()
    painted = masked & ~skipped
    predicted[painted] = found.predicted[found.counted].view(-1, predicted.shape[-1])
    size = {"f": TUBE, "p": model.patch, "q": model.patch}
    grid = dict(zip("thw", model.encoder.grid, strict=True))

    def frames(values: torch.Tensor) -> np.ndarray:
        pixels = values.unflatten(2, (-1, 3)) * patches.deviation + patches.mean
        form = "1 (t h w) (f p q) c -> (t f) (h p) (w q) c"
        whole = rearrange(pixels, form, **size, **grid)
        return (whole.clamp(0, 1) * 255).round().to(torch.uint8).numpy()

    hidden = rearrange(painted[0], "(t h w) -> t h w", **grid).numpy()
    for axis, times in enumerate((TUBE, model.patch, model.patch)):
        hidden = hidden.repeat(times, axis)
    return Painted(frames(patches.normalised), frames(predicted), hidden, model.patch)


def reconstruction(
    run: Run, data: PretrainingData, settings: PretrainSettings, number: int = 0
) -> go.Figure:
    """A window of validation, or of train where there is no validation, by its number."""
    split = "validation" if len(data.clips("validation", settings)) else "train"
    windows = data.clips(split, settings)
    notes = [*notes_of(run), f"a window of {split}; {100 * settings.ratio:.0f} % are masked"]
    if isinstance(windows, MotionWindows):
        figure = play_motion(rebuild_motion(run, windows, number), windows.layout)
        notes.append("a masked joint starts each segment of 4 frames at its true place")
        name = windows.clips.clip_ids[number]
    else:
        assert isinstance(windows, VideoWindows)
        figure = play_video(rebuild_video(run, windows, number))
        notes.append("patches have their true mean and contrast")
        name = windows.clips.clip_id[number]
    return styled(figure, f"Window {name}, masked and reconstructed", notes, height=460)


def play_motion(moved: Moved, layout: Layout) -> go.Figure:
    """Filled: seen by the encoder; open: masked. Missing joints are not drawn."""
    hidden = np.where(moved.masked[..., None], np.nan, moved.original)
    panels = [hidden, moved.original, moved.rebuilt]
    panels = [np.where(moved.seen[..., None], own, np.nan) for own in panels]
    figure = make_subplots(1, 3, subplot_titles=PANELS, shared_yaxes=True)
    frames = []
    for t, masked in enumerate(moved.masked):
        panel = [person(own[t], layout, masked & (n == 2)) for n, own in enumerate(panels)]
        traces = [trace for own in panel for trace in own]
        frames.append(go.Frame(name=str(t), data=traces, traces=list(range(len(traces)))))
    for n, trace in enumerate(frames[0].data):
        figure.add_trace(trace, 1, 1 + n // 2)
    figure.frames = frames
    low, high = np.nanmin(panels[1], (0, 1)), np.nanmax(panels[1], (0, 1))
    up = layout.unit == "metres"
    margin = 0.1 * float(max(high - low))
    vertical = [low[1] - margin, high[1] + margin][:: 1 if up else -1]
    figure.update_xaxes(range=[low[0] - margin, high[0] + margin], showticklabels=False)
    figure.update_yaxes(range=vertical, showticklabels=False)
    add_player(figure, np.arange(len(frames)) / RATE)
    return figure


def person(
    points: Float[np.ndarray, "V A"], layout: Layout, masked: Bool[np.ndarray, " V"]
) -> tuple[go.Scatter, go.Scatter]:
    """Bones and joints of one frame; lines break at joints that are not drawn."""
    gap = np.full((len(layout.bones), 2), np.nan)
    parents, children = np.array(layout.bones).T
    ends = rearrange(
        [points[parents, :2], points[children, :2], gap], "end bone xy -> (bone end) xy"
    )
    bones = go.Scatter(
        **coordinates(ends), mode="lines", line_color=NEUTRAL, hoverinfo="skip", showlegend=False
    )
    drawn = go.Scatter(
        **coordinates(points[:, :2]),
        mode="markers",
        marker={
            "size": 8,
            "color": [FACE if own else CONTEXT for own in masked],
            "symbol": ["circle-open" if own else "circle" for own in masked],
        },
        text=[joint.replace("_", " ") for joint in layout.joints],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    return bones, drawn


def play_video(painted: Painted) -> go.Figure:
    """Masked patches are grey in the input, and have a dot at their corner in the last panel."""
    hidden, rebuilt = painted.original.copy(), painted.rebuilt.copy()
    hidden[painted.masked] = SHADE
    corners = np.zeros_like(painted.masked)
    corners[:, :: painted.patch, :: painted.patch] = True
    rebuilt[painted.masked & corners] = DOT
    figure = make_subplots(1, 3, subplot_titles=PANELS)
    frames = []
    for t in range(len(hidden)):
        pictures = (hidden[t], painted.original[t], rebuilt[t])
        traces = [go.Image(source=as_source(own)) for own in pictures]
        frames.append(go.Frame(name=str(t), data=traces, traces=[0, 1, 2]))
    for column, trace in enumerate(frames[0].data, start=1):
        figure.add_trace(trace, 1, column)
    figure.frames = frames
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    add_player(figure, np.arange(len(frames)) / RATE * 2, redraw=True)
    return figure
