"""What a pre-trained network reconstructs of a masked window, playing side by side.

Three panels: what the encoder sees, the original, and the reconstruction. What was masked is
marked in the first and the last.

Letters in shapes: T frames, V joints, A axes, H x W pixels, S segments.
"""

from collections.abc import Sequence
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
from imigue_lab.views.skeletons import Skeleton, add_player, traces
from imigue_lab.views.style import notes_of, styled

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
    patches = patches_of(video, model.patch, model.contrast)
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
        start, end = windows.clips.ranges[number]
        figure = play_motion(rebuild_motion(run, windows, number), windows.layout)
        seconds = (end - start + 1) / settings.frames / RATE
        notes.append("a masked joint starts each segment of 4 frames at its true place")
        name = windows.clips.clip_ids[number]
    else:
        assert isinstance(windows, VideoWindows)
        figure = play_video(rebuild_video(run, windows, number))
        seconds = settings.stride / RATE
        notes.append("patches have their true mean and contrast")
        name = windows.clips.clip_id[number]
    add_player(figure, np.arange(settings.frames) * seconds, redraw=settings.kind == "video")
    return styled(figure, f"Window {name}, masked and reconstructed", notes, height=460)


def play_motion(moved: Moved, layout: Layout) -> go.Figure:
    """Masked joints are not in the input, and open in the last panel; missing ones are nowhere."""
    hidden = np.where(moved.masked[..., None], np.nan, moved.original)
    panels = [
        np.where(moved.seen[..., None], own, np.nan)[..., :2]
        for own in (hidden, moved.original, moved.rebuilt)
    ]
    people = [Skeleton(own, 0, list(layout.joints), list(layout.bones)) for own in panels]
    frames = []
    for t, masked in enumerate(moved.masked):
        drawn = [traces(person, t) for person in people]
        drawn[2][-1].marker.symbol = ["circle-open" if own else "circle" for own in masked]
        frames.append([trace for own in drawn for trace in own])
    figure = play(frames)
    low, high = np.nanmin(panels[1], (0, 1)), np.nanmax(panels[1], (0, 1))
    margin = 0.1 * float(max(high - low))
    vertical = [low[1] - margin, high[1] + margin][:: 1 if layout.unit == "metres" else -1]
    figure.update_xaxes(range=[low[0] - margin, high[0] + margin], showticklabels=False)
    return figure.update_yaxes(range=vertical, showticklabels=False)


def play_video(painted: Painted) -> go.Figure:
    """Masked patches are grey in the input, and have a dot at their corner in the last panel."""
    hidden, rebuilt = painted.original.copy(), painted.rebuilt.copy()
    hidden[painted.masked] = SHADE
    corners = np.zeros_like(painted.masked)
    corners[:, :: painted.patch, :: painted.patch] = True
    rebuilt[painted.masked & corners] = DOT
    panels = zip(hidden, painted.original, rebuilt, strict=True)
    frames = [[go.Image(source=as_source(picture)) for picture in own] for own in panels]
    return play(frames).update_xaxes(visible=False).update_yaxes(visible=False)


def play(frames: Sequence[Sequence[go.Scatter | go.Image]]) -> go.Figure:
    """The panels side by side; the traces of a frame are those of each panel in turn."""
    figure = make_subplots(1, len(PANELS), subplot_titles=PANELS)
    for n, trace in enumerate(frames[0]):
        figure.add_trace(trace, 1, 1 + n * len(PANELS) // len(frames[0]))
    every = list(range(len(frames[0])))
    figure.frames = [go.Frame(name=str(t), data=own, traces=every) for t, own in enumerate(frames)]
    return figure
