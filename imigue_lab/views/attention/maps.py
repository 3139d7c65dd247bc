"""What CMTF attends to in one clip: places of the picture, joints, pairs of both, merged tokens.

Paper section 2.4. Attention is shown in times an equal share: 1 is what a token gets where all
get the same. Letters in shapes: H heads; R = t h w RGB tokens, times and places of the encoder's
map; P = m s v pose tokens, persons, times and joints; N = R + P; K merged tokens.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field

from imigue_lab.errors import RunError, some
from imigue_lab.models.gesture import GestureOutput
from imigue_lab.results.open import GestureRun
from imigue_lab.training.gestures.settings import ATTENTIVE
from imigue_lab.training.gestures.system import GestureBatch, GestureSystem
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.settings import Settings


class AttentionSettings(Settings):
    """Parameters of 06_attention."""

    run: str = Field("demo", description="finished run of 01, by name; demo: as 01 is committed")
    clip: str = Field("", description="clip; empty: held out, told right with most confidence")
    context_weights: str = Field(
        "", description="MViTv2-S for rollout: kinetics400, or a file; empty: untrained"
    )


ALL = "all heads"
AFTER = "after merging"  # the joint attention among the merged tokens
SHARED = "contextual"  # one question a clip: its heads have no pairs


class Pair(NamedTuple):
    """One token's attention to one of the other modality, in times an equal share.

    Attributes:
        place, joint: numbers of the tokens, in R and in P.
        to_rgb: whether the place took from the joint; else the joint from the place.
    """

    place: int
    joint: int
    weight: float
    to_rgb: bool


@dataclass(frozen=True)
class ClipAttention:
    """Every attention of CMTF over one clip, and what it merged.

    Attributes:
        rgb_from_pose, pose_from_rgb: queries by keys.
        joint: among the merged tokens that exist.
        criteria: what each head of both directions does.
        slot: merged token that each token became part of; -1 of an invalid one.
        seen: whether a pose token counts.
        places: of the pose tokens, 0 to 1 over the encoder's crop; NaN where not known.
        joints: names of the v joints.
        probability: of each class.
    """

    clip_id: str
    rgb_from_pose: Float[np.ndarray, "H R P"]
    pose_from_rgb: Float[np.ndarray, "H P R"]
    joint: Float[np.ndarray, "H K K"]
    criteria: tuple[str, ...]
    slot: Int[np.ndarray, " N"]
    grid: tuple[int, int, int]
    seen: Bool[np.ndarray, "m s v"]
    places: Float[np.ndarray, "m s v 2"]
    joints: tuple[str, ...]
    probability: Float[np.ndarray, " classes"]

    @property
    def choices(self) -> dict[str, list[int]]:
        """The heads behind each layer that can be looked at; `AFTER` has its own."""
        of = {
            name: [n for n, does in enumerate(self.criteria) if does == name]
            for name in dict.fromkeys(self.criteria)
        }
        single = {f"head {n + 1}, {does}": [n] for n, does in enumerate(self.criteria)}
        return {ALL: list(range(len(self.criteria))), **of, **single, AFTER: []}

    def on_places(self, choice: str = ALL) -> Float[np.ndarray, "t h w"]:
        """What the joints gave each place of their attention, on average."""
        if choice == AFTER:
            return self.after_merging()[: self.rgb_from_pose.shape[1]].reshape(self.grid)
        weights = self.pose_from_rgb[self.choices[choice]][:, self.seen.ravel()]
        return (weights.shape[-1] * weights.mean(axis=(0, 1))).reshape(self.grid)

    def on_joints(self, choice: str = ALL) -> Float[np.ndarray, "m s v"]:
        """What the places gave each joint, on average; NaN where it was not seen."""
        if choice == AFTER:
            given = self.after_merging()[self.rgb_from_pose.shape[1] :]
        else:
            given = self.seen.sum() * self.rgb_from_pose[self.choices[choice]].mean(axis=(0, 1))
        return np.where(self.seen, given.reshape(self.seen.shape), np.nan)

    def after_merging(self) -> Float[np.ndarray, " N"]:
        """What each token gets in the joint attention, as part of the token it merged into."""
        received = len(self.joint[0]) * self.joint.mean(axis=(0, 1))
        return np.where(self.slot >= 0, received[self.slot], np.nan)

    def step_at(self, time: int) -> int:
        """The pose step in whose span the middle of a time of the map lies."""
        return int((time + 0.5) / self.grid[0] * self.seen.shape[1])

    def tokens_at(self, time: int) -> tuple[Int[np.ndarray, " hw"], Int[np.ndarray, " mv"]]:
        """Numbers in R of the places of a time, and in P of the joints then seen."""
        places = np.arange(np.prod(self.grid)).reshape(self.grid)[time].ravel()
        step = self.step_at(time)
        joints = np.arange(self.seen.size).reshape(self.seen.shape)[:, step]
        return places, joints[self.seen[:, step]]

    def pairs(self, choice: str, time: int, most: int = 4) -> list[Pair]:
        """The strongest pairs of a time, `most` of each direction, above an equal share.

        Contextual heads ask one question a clip, so they have none; neither has `AFTER`.
        """
        heads = [n for n in self.choices[choice] if self.criteria[n] != SHARED]
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
        """Numbers in N of the tokens of each merged token that holds more than one."""
        order = np.argsort(self.slot, kind="stable")
        order = order[self.slot[order] >= 0]
        borders = np.flatnonzero(np.diff(self.slot[order])) + 1
        return [group for group in np.split(order, borders) if len(group) > 1]


def one_clip(gesture: GestureRun, clip_id: str) -> GestureBatch:
    """A batch of one.

    Raises:
        RunError: the clip is not in the run's data, or lacks a modality.
    """
    clips = gesture.data.gestures.split.clips
    known = clips[clips.clip_id == clip_id]
    if known.empty:
        raise RunError(f"clip {clip_id!r} is not there: {some(clips.clip_id)}")
    for what, ids in (("rgb", gesture.data.without_rgb), ("pose", gesture.data.without_pose)):
        if clip_id in ids:
            raise RunError(
                f"clip {clip_id} has no {what} tokens, so no modality attends to the other;"
                " choose another clip"
            )
    label = known.label.fillna(-1).astype(int).to_numpy()
    return gesture.data.batch(pd.DataFrame({"clip_id": [clip_id], "label": label}))


def load_attentive(gesture: GestureRun) -> GestureSystem:
    """The run's best model.

    Raises:
        RunError: its fusion has no attention.
    """
    if gesture.settings.fusion not in ATTENTIVE:
        raise RunError(
            f"{gesture.run.folder.name}: fusion {gesture.settings.fusion!r} has no attention;"
            " choose a run of cmtf or cross_attention"
        )
    return load_gesture(gesture.run, gesture.data)


def read_attention(gesture: GestureRun, system: GestureSystem, clip_id: str) -> ClipAttention:
    """Runs the model over one clip.

    Raises:
        RunError: there is no such clip, or it lacks a modality.
    """
    batch = one_clip(gesture, clip_id)
    with torch.no_grad():
        output = system(batch, return_attention=True)
    known = clip_id in gesture.data.sizes and gesture.data.gestures.layout.axes == 2
    places = batch.places[0].numpy() if known else np.full_like(batch.places[0].numpy(), np.nan)
    joints, grid = gesture.data.gestures.layout.joints, gesture.data.grid(clip_id)
    return attention_of(output, clip_id, grid, batch.seen[0].numpy(), places, joints)


def attention_of(
    output: GestureOutput,
    clip_id: str,
    grid: tuple[int, int, int],
    seen: Bool[np.ndarray, "m s v"],
    places: Float[np.ndarray, "m s v 2"],
    joints: tuple[str, ...],
) -> ClipAttention:
    """Out of the output for a batch of this clip alone."""
    attention, merged = output.fusion.attention, output.fusion.merged
    assert attention is not None and merged is not None
    exists = merged.slots.mask[0]
    return ClipAttention(
        clip_id,
        attention.rgb_from_pose[0].float().numpy(),
        attention.pose_from_rgb[0].float().numpy(),
        attention.joint[0][:, exists][:, :, exists].float().numpy(),
        attention.criteria,
        merged.slots.slot[0].numpy(),
        grid,
        seen,
        np.where(seen[..., None], places, np.nan).astype(np.float32),
        joints,
        output.logits[0].float().softmax(dim=0).numpy(),
    )
