"""What CMTF attends to in one clip: places of the picture, joints, their pairs, merged tokens.

Paper section 2.4. Attention is given as a multiple of an equal share: 1 is what each token gets
where all get the same. A snapshot of it has positions in pixels of the whole picture; the encoder
sees the crop only (`data/skeletons/geometry.py`). The rollout of MViTv2 is how much of its class
token stems from each place.

Letters in shapes: H heads; R = t h w RGB tokens, times and places of the encoder's map; P = m s v
pose tokens, persons, times and joints, of which J are seen at one time; N = R + P; K merged tokens.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.geometry import picture_places
from imigue_lab.errors import RunError, some
from imigue_lab.features.encoders import VideoEncoder, normalised
from imigue_lab.models.pictures.mvit import rollout
from imigue_lab.models.tokens import WHOLE, Region
from imigue_lab.models.weights import load_mvit
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.settings import ATTENTIVE
from imigue_lab.training.gestures.system import GestureBatch, GestureSystem
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.settings import Settings, setting
from imigue_lab.views.footage import clip_pictures
from imigue_lab.views.style import DISTINCT

ALL = "all heads"
AFTER = "after merging"  # the joint attention over the merged tokens
SHARED = "contextual"  # one query a clip: its heads have no pairs
SEEN = 16  # frames of MViT's input: centres of equal segments
TO_RGB, TO_POSE = "#0072b2", "#d55e00"  # blue, orange
Edges = Float[np.ndarray, " edges"]  # of the columns or rows of the encoder's map


class AttentionSettings(Settings):
    """Parameters of 06_attention."""

    run: str = setting("demo", "finished run of 01, by name; demo: as 01 is committed")
    clip: str = setting("", "clip id; empty: the held-out correct prediction with most confidence")
    context_weights: str = setting(
        "", "MViTv2-S for rollout: kinetics400, or a file; empty: untrained"
    )


class Pair(NamedTuple):
    """One token's attention to a token of the other modality, in equal shares."""

    place: int  # number in R
    joint: int  # number in P
    weight: float
    to_rgb: bool  # the place attends to the joint; else the joint to the place


@dataclass(frozen=True)
class ClipAttention:
    """All attention of CMTF in one clip, and which tokens it merged."""

    clip_id: str
    rgb_from_pose: Float[np.ndarray, "H R P"]  # queries by keys
    pose_from_rgb: Float[np.ndarray, "H P R"]
    joint: Float[np.ndarray, "H K K"]  # among the merged tokens in use
    criteria: tuple[str, ...]  # of each head, in both directions
    slot: Int[np.ndarray, " N"]  # merged token that each became part of; -1 of an invalid one
    grid: tuple[int, int, int]
    seen: Bool[np.ndarray, "m s v"]  # whether a pose token is valid
    places: Float[np.ndarray, "m s v 2"]  # 0 to 1 over the encoder's crop; NaN where unknown
    joints: tuple[str, ...]  # names of the v joints, or of cells of a map of heatmaps
    probability: Float[np.ndarray, " classes"]
    region: Region = WHOLE  # what the map of RGB shows, 0 to 1 over the encoder's crop

    @property
    def layers(self) -> dict[str, list[int]]:
        """The heads averaged in each layer that can be shown; `AFTER` has its own."""
        heads = range(len(self.criteria))
        by_criterion = {c: [n for n in heads if self.criteria[n] == c] for c in self.criteria}
        single = {f"head {n + 1}, {self.criteria[n]}": [n] for n in heads}
        return {ALL: list(heads), **by_criterion, **single, AFTER: []}

    @property
    def of_cells(self) -> bool:
        """Whether pose tokens are cells of a map of heatmaps, not joints."""
        return self.joints[0].startswith("row ")

    def on_places(self, layer: str = ALL) -> Float[np.ndarray, "t h w"]:
        """Mean attention of the joints to each place."""
        if layer == AFTER:
            return self.after_merging()[: self.rgb_from_pose.shape[1]].reshape(self.grid)
        weights = self.pose_from_rgb[self.layers[layer]][:, self.seen.ravel()]
        return (weights.shape[-1] * weights.mean(axis=(0, 1))).reshape(self.grid)

    def on_joints(self, layer: str = ALL) -> Float[np.ndarray, "m s v"]:
        """Mean attention of the places to each joint; NaN where the joint was not seen."""
        if layer == AFTER:
            received = self.after_merging()[self.rgb_from_pose.shape[1] :]
        else:
            received = self.seen.sum() * self.rgb_from_pose[self.layers[layer]].mean(axis=(0, 1))
        return np.where(self.seen, received.reshape(self.seen.shape), np.nan)

    def after_merging(self) -> Float[np.ndarray, " N"]:
        """What each token gets in the joint attention, as part of the token it merged into."""
        received = len(self.joint[0]) * self.joint.mean(axis=(0, 1))
        return np.where(self.slot >= 0, received[self.slot], np.nan)

    def step_at(self, time: int) -> int:
        """The pose step that contains the middle of a time of the map."""
        return int((time + 0.5) / self.grid[0] * self.seen.shape[1])

    def tokens_at(self, time: int) -> tuple[Int[np.ndarray, " hw"], Int[np.ndarray, " mv"]]:
        """Numbers in R of the places of a time, and in P of the joints seen at that time."""
        places = np.arange(np.prod(self.grid)).reshape(self.grid)[time].ravel()
        step = self.step_at(time)
        joints = np.arange(self.seen.size).reshape(self.seen.shape)[:, step]
        return places, joints[self.seen[:, step]]

    def pairs(self, layer: str, time: int, most: int = 4) -> list[Pair]:
        """The strongest pairs of a time, at most `most` a direction, above an equal share.

        Contextual heads have one query a clip, hence no pairs; neither has `AFTER`.
        """
        heads = [n for n in self.layers[layer] if self.criteria[n] != SHARED]
        places, joints = self.tokens_at(time)
        if not heads or not len(joints):
            return []
        to_rgb = self.seen.sum() * self.rgb_from_pose[heads].mean(axis=0)[np.ix_(places, joints)]
        to_pose = self.pose_from_rgb[heads].mean(axis=0)[np.ix_(joints, places)].T
        found = []
        for toward, table in ((True, to_rgb), (False, np.prod(self.grid) * to_pose)):
            for number in np.argsort(-table, axis=None, kind="stable")[:most]:
                row, column = np.unravel_index(number, table.shape)
                weight = float(table[row, column])
                if weight > 1:
                    found.append(Pair(int(places[row]), int(joints[column]), weight, toward))
        return found

    def merged(self) -> list[Int[np.ndarray, " tokens"]]:
        """Numbers in N of the tokens of each merged token that contains more than one."""
        slots, counts = np.unique(self.slot[self.slot >= 0], return_counts=True)
        return [np.flatnonzero(self.slot == slot) for slot in slots[counts > 1]]


def one_clip(gesture: GestureRun, clip_id: str) -> GestureBatch:
    """A batch of one. Raises RunError where the clip is not in the data, or lacks a modality."""
    clips = gesture.data.gestures.split.clips
    known, ids = clips[clips.clip_id == clip_id], clips.clip_id
    if known.empty:
        raise RunError(f"clip {clip_id!r} is not in the run's data; choose one of {some(ids)}")
    for what, bare in (("rgb", gesture.data.without_rgb), ("pose", gesture.data.without_pose)):
        if clip_id in bare:
            raise RunError(
                f"clip {clip_id} has no {what} tokens, so there is no attention between"
                " modalities; choose another clip"
            )
    label = known.label.fillna(-1).astype(int).to_numpy()
    return gesture.data.batch(pd.DataFrame({"clip_id": [clip_id], "label": label}))


def load_attentive(gesture: GestureRun) -> GestureSystem:
    """The run's best model. Raises RunError where its fusion has no attention."""
    if gesture.settings.fusion not in ATTENTIVE:
        raise RunError(
            f"{gesture.run.folder.name}: fusion {gesture.settings.fusion!r} has no attention;"
            " choose a run of cmtf or cross_attention"
        )
    return load_gesture(gesture.run, gesture.data)


@torch.no_grad()
def read_attention(gesture: GestureRun, system: GestureSystem, clip_id: str) -> ClipAttention:
    """Runs the model on one clip; errors as of `one_clip`."""
    batch = one_clip(gesture, clip_id)
    output = system(batch, return_attention=True)
    attention, merged = output.fusion.attention, output.fusion.merged
    assert attention is not None and merged is not None
    in_use = merged.slots.mask[0]
    seen, layout = batch.seen[0].numpy(), gesture.data.gestures.layout
    placed = clip_id in gesture.data.sizes and layout.axes == 2
    places = np.where(seen[..., None] & placed, batch.places[0].numpy(), np.nan)
    return ClipAttention(
        clip_id,
        attention.rgb_from_pose[0].float().numpy(),
        attention.pose_from_rgb[0].float().numpy(),
        attention.joint[0][:, in_use][:, :, in_use].float().numpy(),
        attention.criteria,
        merged.slots.slot[0].numpy(),
        gesture.data.grid(clip_id),
        seen,
        places.astype(np.float32),
        gesture.data.pose_names,
        output.logits[0].float().softmax(dim=0).numpy(),
        gesture.data.region(clip_id),
    )


class Line(NamedTuple):
    """A pair, from the token that is attended to, to the token that attends."""

    ends: Float[np.ndarray, "2 2"]
    colour: str


class Outline(NamedTuple):
    """What one merged token contains at this time; `number` is the same at all times."""

    number: int
    cells: Int[np.ndarray, "n 2"]  # row and column
    joints: Float[np.ndarray, "n 2"]

    @property
    def colour(self) -> str:
        return DISTINCT[self.number % len(DISTINCT)]


class Snapshot(NamedTuple):
    """One layer at one time; attention is in equal shares."""

    heat: Float[np.ndarray, "h w"]  # attention to each cell
    columns: Float[np.ndarray, " columns"]  # borders of the cells
    rows: Float[np.ndarray, " rows"]
    joints: Float[np.ndarray, "J 2"]
    weight: Float[np.ndarray, " J"]  # attention to each joint
    names: list[str]
    lines: list[Line]
    outlines: list[Outline]

    def cell(self, row: int, column: int) -> Float[np.ndarray, " 4"]:
        """Left, top, right and bottom."""
        (left, right), (top, bottom) = self.columns[column:][:2], self.rows[row:][:2]
        return np.array([left, top, right, bottom])


def snapshot_at(
    attention: ClipAttention, size: tuple[int, int], time: int, layer: str = ALL, most: int = 4
) -> Snapshot:
    """One of `attention.layers` at a time of the map, in a picture of this width and height; with
    `most` pairs of each direction."""
    _, height, width = attention.grid
    columns, rows = borders(width, height, size, attention.region)
    places, joints = attention.tokens_at(time)
    position = picture_places(attention.places.reshape(-1, 2), *size)
    joints = joints[~np.isnan(position[joints, 0])]
    centres = np.stack(np.meshgrid(middles(columns), middles(rows)), axis=-1).reshape(-1, 2)
    lines = []
    for pair in attention.pairs(layer, time, most):
        if pair.joint in joints:
            ends = np.stack([position[pair.joint], centres[pair.place - places[0]]])
            lines.append(Line(ends, TO_RGB) if pair.to_rgb else Line(ends[::-1], TO_POSE))
    first_joint = attention.rgb_from_pose.shape[1]  # number of the first pose token in N
    outlines = []
    for number, group in enumerate(attention.merged()):
        cells = np.stack(np.divmod(np.flatnonzero(np.isin(places, group)), width), axis=-1)
        own = joints[np.isin(joints + first_joint, group)]
        if len(cells) + len(own):
            outlines.append(Outline(number, cells, position[own]))
    heat, weight = attention.on_places(layer)[time], attention.on_joints(layer).ravel()[joints]
    names = [attention.joints[n % len(attention.joints)] for n in joints]
    return Snapshot(heat, columns, rows, position[joints], weight, names, lines, outlines)


def borders(
    width: int, height: int, size: tuple[int, int], region: Region = WHOLE
) -> tuple[Edges, Edges]:
    """Borders of the columns and of the rows of the encoder's map."""
    ends = zip(region[:2], region[2:], (width, height), strict=True)
    shares = [np.linspace(start, stop, n + 1) for start, stop, n in ends]
    x, y = (np.stack([share, share], axis=-1) for share in shares)
    return picture_places(x, *size)[:, 0], picture_places(y, *size)[:, 1]


def middles(edges: Edges) -> Float[np.ndarray, " between"]:
    return (edges[1:] + edges[:-1]) / 2


@dataclass(frozen=True)
class Rollout:
    """The share of the class token that stems from each place, in equal shares."""

    places: Float[np.ndarray, "t h w"]
    own: float  # share of the class token that stems from itself
    note: str  # which weights computed it
    absent: str = ""  # why there is none


def read_rollout(index: Index, clip_id: str, weights: str = "", rgb: str = "") -> Rollout:
    """Runs MViTv2 on the frames of a clip; errors as of `load_mvit`.

    Args:
        weights: see `load_mvit`; empty: the tiny untrained network, which only shows the method.
        rgb: the recipe of the RGB tokens that the gesture model was trained on.
    """
    model, loaded = load_mvit(weights, "small" if weights else "tiny")
    encoder = VideoEncoder(model, loaded, torch.device("cpu"), "float32")
    note = f"by {encoder.note or weights}"
    if loaded.digest not in rgb:
        note += ", not by the encoder that extracted this run's RGB tokens"
    shown = clip_pictures(index, clip_id, SEEN, short_side=0)
    if shown.absent:
        return Rollout(np.zeros((1, 1, 1)), 0.0, note, shown.absent)
    pixels = encoder.prepare(np.stack(shown.pictures))[None]
    places = rollout(model, normalised(pixels, encoder.device, 0.45, 0.225)).numpy()
    return Rollout(places * places.size, float(1 - places.sum()), note)
