"""The input of the gesture model: RGB tokens and skeletons of the same clips, joined by id.

Where an encoder is fine-tuned, its input (pictures or skeletons) takes the place of its tokens.
Batches are read in a thread while the model computes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import pandas as pd
import torch

from imigue_lab.data.clips import frame_mask, pad_time
from imigue_lab.data.corrections import open_corrected
from imigue_lab.data.datasets import UNLABELLED
from imigue_lab.data.index import Index
from imigue_lab.data.samplers import BalancedSampler
from imigue_lab.data.skeletons.keypoints import to_stored
from imigue_lab.data.store import Encoding, open_features
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import RunError
from imigue_lab.features.flow import prefetch
from imigue_lab.models.tokens import WHOLE, Region, Tokens, grid_tokens
from imigue_lab.training.baselines.clips import BatchesAhead
from imigue_lab.training.baselines.start import random_starts
from imigue_lab.training.gesture_clips import (
    GestureData,
    Sizes,
    clip_notes,
    count_clips,
    load_gesture_data,
    picture_sizes,
)
from imigue_lab.training.gestures import map_encoder, pose_encoder
from imigue_lab.training.gestures.map_encoder import Map, MappedClips
from imigue_lab.training.gestures.pose_encoder import PoseClip
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.system import GestureBatch, pad_tokens
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device


@dataclass(frozen=True)
class GestureTokens:
    """Every clip that a gesture model is trained or scored on."""

    gestures: GestureData  # split, keypoints and layout
    rgb: dict[str, Map]  # the RGB map of each clip with one; empty if fine-tuned or without RGB
    encoding: Encoding  # of the RGB encoder
    poses: dict[str, PoseClip]  # the skeleton of each clip that has one
    sizes: Sizes = field(default_factory=dict)  # of the pictures, where known
    filmed: MappedClips | None = None  # the RGB encoder's run and pictures; None for stored tokens
    posed: MappedClips | None = None  # the pose encoder's runs and skeletons; None if not needed

    @property
    def runs(self) -> list[Run]:
        """Of the pose encoder: joint and bone of 2s-AGCN, or that of `pose_run`."""
        return self.posed.runs if self.posed else []

    @property
    def pose_tokens(self) -> str | None:
        """The encoding of `pose_run`; None for 2s-AGCN, which is saved with the gesture model."""
        return self.posed.encoding.name if self.posed and len(self.runs) == 1 else None

    @property
    def rgb_dim(self) -> int:
        if self.filmed:
            return self.filmed.shape[-1]
        return next(iter(self.rgb.values())).shape[-1] if self.rgb else 1

    @property
    def pose_names(self) -> tuple[str, ...]:
        """Of the pose tokens of a time: joints, or cells of the map."""
        if self.posed is None or self.posed.streams:
            return self.gestures.layout.joints
        _, rows, columns, _ = self.posed.shape
        return tuple(f"row {y + 1}, column {x + 1}" for y in range(rows) for x in range(columns))

    @property
    def rgb_input(self) -> MappedClips | None:
        """The pictures for a fine-tuned RGB encoder; None if `rgb` has its tokens."""
        return None if self.rgb else self.filmed

    def grid(self, clip_id: str) -> tuple[int, int, int]:
        """Times, rows and columns of a clip's RGB map."""
        times, rows, columns, _ = self.filmed.shape if self.filmed else self.rgb[clip_id].shape
        return times, rows, columns

    def region(self, clip_id: str) -> Region:
        """What the RGB map of a clip shows, as shares of the central crop of its picture."""
        return self.filmed.region(clip_id) if self.filmed else WHOLE

    def part(self, split: str) -> pd.DataFrame:
        """clip_id and label of a split's clips; of train those with a label and any token."""
        clips = self.gestures.split.part(split)
        if split == "train":
            clips = clips[clips.label.notna() & ~clips.clip_id.isin(self.bare)]
        labels = clips.label.fillna(UNLABELLED).astype(int)
        return pd.DataFrame({"clip_id": clips.clip_id, "label": labels})

    def summary(self) -> pd.DataFrame:
        """Clips, videos and classes of each split, and clips without a modality."""
        clips = self.gestures.split.clips
        without = {"without rgb": self.without_rgb, "without pose": self.without_pose}
        counts = {
            name: clips.clip_id.isin(ids).groupby(clips.split, sort=False).sum()
            for name, ids in without.items()
        }
        return count_clips(clips).assign(**counts)

    @property
    def training_clips(self) -> dict[str, dict[str, str]]:
        """By kind, see `training.leaks`; a clip with stored tokens alone has no digest."""
        seen = dict.fromkeys(self.part("train").clip_id, "") | self.gestures.training_clips
        pictures = {"picture": self.filmed.source.training_clips} if self.filmed else {}
        return {"skeleton": seen, **pictures}

    @property
    def without_pose(self) -> list[str]:
        ids = self.gestures.split.clips.clip_id
        return [i for i in ids if i not in self.poses or not self.poses[i].seen.any()]

    @property
    def without_rgb(self) -> list[str]:
        known = self.rgb_input.seen if self.rgb_input else self.rgb
        return [i for i in self.gestures.split.clips.clip_id if i not in known]

    @property
    def unplaced(self) -> list[str]:
        """Clips with pictures of unknown size."""
        shown = self.filmed.seen if self.filmed else self.rgb
        return [i for i in self.poses if i in shown and i not in self.sizes]

    @property
    def bare(self) -> set[str]:
        """Clips without any token."""
        return set(self.without_pose) & set(self.without_rgb)

    def identity(self) -> dict[str, Any]:
        """Identifies the data by content, including the weights of the encoders.

        For the tokens of a run, its pictures count here and its weights in `encoding`.
        """
        digest = blake2b(str(self.without_pose).encode(), digest_size=8)
        if self.filmed:
            digest.update(str((self.filmed.source.digest, self.without_rgb)).encode())
        for clip_id, rgb in sorted(self.rgb.items()) if not self.filmed else ():
            digest.update(f"{clip_id} {tuple(rgb.shape)}".encode())
            digest.update(rgb.numpy().tobytes())
        return {
            "digest": short_hash(self.gestures.digest, digest.digest()),
            "keypoints": to_stored(self.gestures.layout),
            "rgb": self.encoding.name,
            "pose": "-".join(run.weights_digest() for run in self.runs),
        }

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        note = self.encoding.note
        notes = [f"rgb features ({self.encoding.name}) are {note}"] if note else []
        if self.filmed:
            how = "fine-tuned" if self.rgb_input else "frozen"
            notes.append(f"rgb tokens are those of the run {self.filmed.run.folder.name}, {how}")
        if self.posed and self.pose_tokens:
            what = "joints" if self.posed.streams else "cells"
            notes.append(f"pose tokens are {what} of the run {self.posed.run.folder.name}, frozen")
        encoders = [self.filmed.run, *self.runs] if self.filmed else self.runs
        notes += [note for run in encoders for note in random_starts(run)]
        bare = self.bare
        notes += clip_notes(
            (set(self.without_rgb) - bare, "have no rgb tokens: only pose is used"),
            (set(self.without_pose) - bare, "have no visible joint: only rgb is used"),
            (bare, "have neither rgb tokens nor joints: they are not used for training"),
            (self.unplaced, "have pictures of unknown size: their joints have no place"),
        )
        return notes + self.gestures.split.remarks

    def refitted(self, remark: str) -> "GestureTokens":
        """With validation as a part of train."""
        return replace(self, gestures=self.gestures.refitted(remark))

    def batch(self, clips: pd.DataFrame) -> GestureBatch:
        """Clips of `part`, padded to the longest of them."""
        ids = clips.clip_id.tolist()
        rgb = None if self.rgb_input else self.maps(ids)
        pictures, pictured = self.rgb_input.batch(ids) if self.rgb_input else (None, None)
        poses = [self.poses.get(clip_id, self.blank) for clip_id in ids]
        tokens = [pose.tokens for pose in poses if pose.tokens is not None]
        return GestureBatch(
            rgb,
            pictures,
            pictured,
            pad_time([pose.skeleton for pose in poses]),
            frame_mask([pose.skeleton.shape[1] for pose in poses]),
            pad_time([pose.places for pose in poses]),
            pad_time([pose.seen for pose in poses]),
            torch.tensor([pose.seen.shape[1] for pose in poses]),
            pad_time(tokens).float() if tokens else None,
            torch.tensor(clips.label.to_numpy()),
            ids,
        )

    def maps(self, clip_ids: list[str]) -> Tokens:
        """The RGB tokens of clips; one without any has an empty mask."""
        present = [i for i in clip_ids if i in self.rgb]
        known = {i: grid_tokens(self.rgb[i][None].float(), self.region(i)) for i in present}
        nothing = grid_tokens(torch.zeros(1, 1, 1, 1, self.rgb_dim))
        nothing = replace(nothing, mask=~nothing.mask)  # a batch must not be without tokens
        return pad_tokens([known.get(clip_id, nothing) for clip_id in clip_ids])

    @property
    def blank(self) -> PoseClip:
        """One step without visible joints, for a clip without keypoints."""
        model = next(iter(self.poses.values()))
        return PoseClip(
            torch.zeros_like(model.skeleton[:, :4]),
            torch.zeros_like(model.places[:, :1]),
            torch.zeros_like(model.seen[:, :1]),
            None if model.tokens is None else torch.zeros_like(model.tokens[:, :1]),
        )

    def lengths(self, clips: pd.DataFrame) -> list[int]:
        return [self.poses.get(i, self.blank).seen.shape[1] for i in clips.clip_id]


def load_gesture_tokens(settings: GestureSettings, index: Index | None = None) -> GestureTokens:
    """Reads clips and RGB tokens; trains the pose encoder unless it is named, and applies it.

    `index` replaces the index of `settings.data`; only its files are read. Raises DataError or
    RunError if the data or the named runs do not fit.
    """
    index = index or open_corrected(settings)
    gestures = load_gesture_data(index, settings.fold, settings.seed, settings.keypoints)
    device, filmed = open_device(settings.device).torch_device, None
    if settings.rgb_run:
        filmed = map_encoder.open_mapped("rgb_run", settings.rgb_run, index, gestures)
        sizes, encoding = picture_sizes(index), filmed.encoding
        frozen = not settings.finetune_rgb
        if filmed.settings.region == "person" and not frozen:
            raise RunError(
                f"finetune_rgb: {settings.rgb_run} sees the person's box, which needs frozen"
                " tokens; set it to false, or name a run with region=centre"
            )
        rgb = map_encoder.encode_maps(filmed, settings.store, index, device) if frozen else {}
    elif settings.rgb == "none":
        rgb, sizes, encoding = {}, {}, Encoding("none", "pose alone")
    else:
        features = open_features(settings.rgb, settings.store, index)
        if features.encoding.encoder.startswith(map_encoder.TRAINED):
            raise RunError(
                f"rgb: expected tokens of a published encoder, got {features.encoding.name}, which"
                " a run computed; name the run by rgb_run, so that its training clips are checked"
            )
        (rgb, sizes), encoding = map_encoder.read_maps(features, index), features.encoding
    posed, maps = pose_encoder.open_posed(settings, index, gestures), dict[str, Map]()
    if not settings.finetune:
        maps = map_encoder.encode_maps(posed, settings.store, index, device)
    poses = pose_encoder.posed_clips(posed, maps, sizes)
    return GestureTokens(gestures, rgb, encoding, poses, sizes, filmed, posed)


def training_batches(
    data: GestureTokens, batch_size: int, seed: int, balance: float
) -> BatchesAhead:
    """Shuffled batches of similar length, classes nearer to equal shares (`BalancedSampler`)."""
    clips = data.part("train")
    sampler = BalancedSampler(data.lengths(clips), clips.label.tolist(), batch_size, seed, balance)
    return BatchesAhead(sampler, lambda own: data.batch(clips.iloc[[n for n, _ in own]]))


def in_order(
    data: GestureTokens, split: str, batch_size: int, ranks: Ranks = ALONE
) -> Iterator[GestureBatch]:
    """Every clip of a split once over all processes, in batches of similar length."""
    clips = data.part(split)
    yield from prefetch(
        data.batch(clips.iloc[numbers])
        for numbers in ranks.batches_by_length(data.lengths(clips), batch_size)
    )
