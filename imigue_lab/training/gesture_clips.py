"""Gesture clips for training: index, split and keypoints, as batches of skeletons.

Letters in shapes: M persons, T frames, V joints, C channels: x, y, score, or x, y, z.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from imigue_lab.data.clips import Clip, ClipBatch, ClipDataset, Keypoints, as_persons, collate
from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import map_clips
from imigue_lab.data.samplers import BalancedSampler
from imigue_lab.data.skeletons.augment import Augment, augmented
from imigue_lab.data.skeletons.geometry import normalise_body
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, subset
from imigue_lab.data.skeletons.streams import Stream, streams
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import GestureSplit, split_gestures
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import some

UPPER_BODY = "imigue22"  # the joints that gestures are told by, where a layout has them
UNLABELLED = -1


@dataclass(frozen=True)
class GestureData:
    """Every clip that a model of some settings learns from or is scored on.

    Attributes:
        split: clips with their part.
        sources: of each clip, as `ClipDataset` takes it: file, range within it, label.
        keypoints: of a file.
        layout: of the skeletons that are handed out.
        joints: which of the file's joints these are; None is all.
        persons: at most in a file.
        digest: changes when a keypoint, a label or the split does.
        notes: what was left out.
    """

    split: GestureSplit
    sources: pd.DataFrame
    keypoints: Keypoints
    layout: Layout
    joints: list[int] | None
    persons: int
    digest: str
    notes: list[str]

    def identity(self) -> dict[str, Any]:
        """Which data these are, by content: the same wherever the folder lies."""
        return {"digest": self.digest, "keypoints": self.layout.name}

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        return self.notes + self.split.remarks

    def clips(
        self, part: str, frames: int, names: list[Stream], augment: Augment = "none", seed: int = 0
    ) -> "GestureClips":
        """The clips of one part as a network sees them."""
        of_part = self.sources[self.sources.split == part]
        of_part = of_part.assign(label=of_part.label.fillna(UNLABELLED).astype(int))
        whole = ClipDataset(of_part, self.keypoints, frames, self.joints, self.layout.axes)
        return GestureClips(whole, self.layout, names, augment, seed)


class GestureClips(Dataset[Clip]):
    """Clips placed about the body, changed at random where asked for, and turned into streams.

    Args:
        names: of the streams, side by side in the channels.
        augment: see `skeletons.augment.augmented`.
        seed: with `epoch` and a clip's number it fixes what is drawn.
    """

    def __init__(
        self, clips: ClipDataset, layout: Layout, names: list[Stream], augment: Augment, seed: int
    ):
        self.clips = clips
        self.layout = layout
        self.names = names
        self.augment = augment
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def lengths(self) -> list[int]:
        return self.clips.lengths

    @property
    def labels(self) -> list[int]:
        return self.clips.labels

    def __getitem__(self, number: int) -> Clip:
        clip = self.clips[number]
        skeleton = normalise_body(clip.skeleton.numpy(), self.layout)
        rng = np.random.RandomState([self.seed, self.epoch, number])
        skeleton = augmented(skeleton, self.layout, rng, self.augment)
        skeleton = streams(skeleton, self.layout, self.names)
        return clip._replace(skeleton=torch.from_numpy(skeleton))


class TrainingBatches:
    """Shuffled batches of like length, classes nearer to equal shares (`BalancedSampler`)."""

    def __init__(self, clips: GestureClips, batch_size: int, balance: float):
        self.clips = clips
        self.sampler = BalancedSampler(clips.lengths, clips.labels, batch_size, clips.seed, balance)

    def __len__(self) -> int:
        return len(self.sampler)

    def batches(self, epoch: int) -> Iterator[ClipBatch]:
        self.clips.epoch = self.sampler.epoch = epoch
        for numbers in self.sampler:
            yield collate([self.clips[number] for number in numbers])


def in_order(clips: GestureClips, batch_size: int) -> Iterator[ClipBatch]:
    """Every clip once, those of like length together."""
    order = sorted(range(len(clips)), key=lambda number: clips.lengths[number])
    for start in range(0, len(order), batch_size):
        yield collate([clips[number] for number in order[start : start + batch_size]])


def load_gesture_data(
    data: str, fold: int = -1, seed: int = 0, store: str = "", index: Index | None = None
) -> GestureData:
    """Reads index, split and keypoints.

    Clips without keypoints are left out, and so are training clips in which no joint is ever seen;
    all are counted and named in the remarks.

    Args:
        index: in place of that of `data`; nothing but what it names is read.

    Raises:
        DataError: one sentence on what is wrong with them.
    """
    index = index or open_data(data, store=store)
    split = split_gestures(index, fold, seed)
    mapped = map_clips(index, split.clips)
    joints = None
    layout = mapped.layout
    if set(LAYOUTS[UPPER_BODY].joints) <= set(layout.joints):
        joints, layout = subset(UPPER_BODY, layout.name), LAYOUTS[UPPER_BODY]
    digest, empty = look_through(mapped.clips, mapped.keypoints, joints)
    clips = mapped.clips
    blind = set(empty) & set(clips.clip_id[clips.split == "train"])
    notes = [
        f"{len(ids)} clips {what}: {some(sorted(ids))}"
        for ids, what in (
            (mapped.without, "have no keypoints and are left out"),
            (blind, "of train show no joint and are left out"),
            (set(empty) - blind, "show no joint and are predicted all the same"),
        )
        if ids
    ]
    clips = clips[~clips.clip_id.isin(blind)]
    return GestureData(
        split, clips, mapped.keypoints, layout, joints, mapped.persons, digest, notes
    )


def look_through(
    clips: pd.DataFrame, keypoints: Keypoints, joints: list[int] | None
) -> tuple[str, list[str]]:
    """A digest of labels, parts and keypoints, and the clips in which no joint is seen."""
    digest, empty = blake2b(digest_size=8), []
    digest.update(str(CLASSES).encode())
    for key, own in clips.sort_values("clip_id").groupby("video_id"):
        array = as_persons(keypoints(str(key)))
        for clip in own.itertuples():
            points = array[:, clip.start : clip.end + 1]
            points = np.ascontiguousarray(points if joints is None else points[:, :, joints])
            digest.update(f"{clip.clip_id} {clip.split} {clip.label} {points.shape}".encode())
            digest.update(points.tobytes())
            if not points.any():
                empty.append(clip.clip_id)
    return short_hash(digest.digest()), empty
