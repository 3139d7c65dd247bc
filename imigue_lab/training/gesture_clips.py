"""Gesture clips for training: skeletons by index, split and keypoints; predictions by clip id.

Letters in shapes: M persons, T frames, V joints, C channels: x, y, score, or x, y, z.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from imigue_lab.data.clips import LONGEST, ClipDataset, Keypoints
from imigue_lab.data.datasets import UNLABELLED
from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import map_clips
from imigue_lab.data.skeletons.geometry import as_persons, pick
from imigue_lab.data.skeletons.graphs import Stream
from imigue_lab.data.skeletons.keypoints import (
    LAYOUTS,
    Layout,
    Source,
    contains,
    declared_layout,
    sources,
    subset,
    to_stored,
)
from imigue_lab.data.splits import GestureSplit, split_gestures, with_validation
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.errors import DataError, SettingsError, some
from imigue_lab.training.baselines.clips import PLAIN, How, SkeletonClips
from imigue_lab.training.ranks import Ranks
from imigue_lab.training.runs import Run, open_run

USED = "corrections_used.csv"  # in the folder of a run with `corrections`
RICHEST = ("mmgesture36", "imigue22")  # `auto` takes the first that the files contain
WHOLE = 2**31  # frames: no limit
Sizes = dict[str, tuple[int, int]]  # clip id -> width and height of its picture


@dataclass(frozen=True)
class GestureData:
    """Every clip that a model is trained or scored on."""

    split: GestureSplit  # clips with their split
    sources: pd.DataFrame  # file, range within it and label of each clip, as `ClipDataset` expects
    keypoints: Keypoints  # reads the keypoints of a file
    layout: Layout  # of the skeletons of `clips`
    joints: list[Source] | None  # where these joints are in the file; None is all
    persons: int  # maximum number in a file
    digest: str  # changes when a keypoint, a label, a subject or the split does
    notes: list[str]  # what was left out
    contents: dict[str, str] = field(default_factory=dict)  # digest of a clip's keypoints and label

    @property
    def training_clips(self) -> dict[str, str]:
        """See `training.leaks`."""
        clips = self.sources.clip_id[self.sources.split == "train"]
        return {clip_id: self.contents[clip_id] for clip_id in clips}

    def identity(self) -> dict[str, Any]:
        """Identifies the data by content, independent of their location."""
        return {"digest": self.digest, "keypoints": to_stored(self.layout)}

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        return self.notes + self.split.remarks

    def refitted(self, remark: str) -> "GestureData":
        """With validation as a part of train."""
        split, sources = self.split.refitted(remark), with_validation(self.sources)
        return replace(self, split=split, sources=sources)

    def clips(
        self, split: str, frames: int, names: list[Stream], how: How = PLAIN
    ) -> SkeletonClips:
        """The clips of one split as `SkeletonClips`, resampled to `frames` or sampled."""
        clips = self.skeletons(split, 0, WHOLE) if how.sampled else self.skeletons(split, frames)
        return SkeletonClips(clips, self.layout, names, how)

    def skeletons(self, split: str, frames: int, longest: int = LONGEST) -> ClipDataset:
        """The clips of one split as in their files, see `ClipDataset`."""
        sources = self.sources[self.sources.split == split]
        sources = sources.assign(label=sources.label.fillna(UNLABELLED).astype(int))
        return ClipDataset(sources, self.keypoints, frames, self.joints, self.layout.axes, longest)


def load_gesture_data(
    index: Index, fold: int = -1, seed: int = 0, keypoints: str = "auto"
) -> GestureData:
    """Reads the keypoints of an index's clips, and splits these.

    Clips without keypoints are left out, and so are training clips without any visible joint; the
    remarks count and name them. `keypoints` is the name of the layout to use; `auto` is the first
    of `RICHEST` that the files contain, else their own, which `all` is. Raises DataError if the
    data are incomplete or inconsistent, or lack joints of that layout.
    """
    index = with_richer_files(index, keypoints)
    split = split_gestures(index, fold, seed)
    mapped = map_clips(index, split.clips, LAYOUTS.get(keypoints))
    layout = choose_layout(keypoints, mapped.layout, index)
    joints = subset(layout, mapped.layout) if layout != mapped.layout else None
    clips = mapped.clips
    contents, empty = digest_clips(clips, mapped.keypoints, joints, layout.axes)
    known = clips[["clip_id", "split", "subject"]].sort_values("clip_id").to_csv(index=False)
    digest = short_hash(split.vocabulary.classes, sorted(contents.items()), known)
    blind = set(empty) & set(clips.clip_id[clips.split == "train"])
    notes = mapped.remarks + clip_notes(
        (mapped.without, "have no keypoints and are left out"),
        (blind, "of train have no visible joint and are left out"),
        (set(empty) - blind, "have no visible joint and are predicted nevertheless"),
    )
    clips = clips[~clips.clip_id.isin(blind)]
    return GestureData(
        split, clips, mapped.keypoints, layout, joints, mapped.persons, digest, notes, contents
    )


def picture_sizes(index: Index) -> Sizes:
    """Width and height of each clip's picture where the index has those of its video."""
    known = index.videos.dropna(subset=["width", "height"]).set_index("video_id")
    return {
        clip_id: (int(known.width[video_id]), int(known.height[video_id]))
        for clip_id, video_id in zip(index.clips.clip_id, index.clips.video_id, strict=True)
        if video_id in known.index
    }


def with_richer_files(index: Index, keypoints: str) -> Index:
    """The index with the files of more joints, if every video has one and they are needed."""
    own = declared_layout(index.root)
    if keypoints not in ("auto", "all", *LAYOUTS, own.name if own else ""):
        names = ", ".join([*LAYOUTS, own.name] if own else LAYOUTS)
        raise SettingsError(f"keypoints: expected auto, all or one of {names}, got {keypoints!r}")
    wanted = LAYOUTS.get(keypoints, LAYOUTS[RICHEST[0]])
    suffices = set(wanted.joints) <= set(LAYOUTS["light_hand35"].joints)
    videos = index.videos
    found = set(videos.video_id[videos.keypoints.notna()])
    if suffices or not index.richer or not found <= set(index.richer):
        return index
    richer = [index.richer.get(video_id) for video_id in videos.video_id]
    return replace(index, videos=videos.assign(keypoints=pd.Series(richer, videos.index, object)))


def choose_layout(keypoints: str, carried: Layout, index: Index) -> Layout:
    """The layout of this name, or for `auto` the richest that is part of the files' layout."""
    if keypoints == "auto":
        parts = (LAYOUTS[name] for name in RICHEST if contains(carried, LAYOUTS[name]))
        return next(parts, carried)
    layout = carried if keypoints in ("all", carried.name) else LAYOUTS[keypoints]
    if not contains(carried, layout):
        found = zip(layout.joints, sources(layout.joints, carried), strict=True)
        lacking = [joint for joint, place in found if place is None]
        raise DataError(
            f"keypoints: expected the joints of {keypoints}, got files of {carried.name} in"
            f" {index.root}, which {f'lack {some(lacking)}' if lacking else 'are in space'}; choose"
            " auto, or a layout that they contain"
        )
    return layout


def digest_clips(
    clips: pd.DataFrame, keypoints: Keypoints, joints: list[Source] | None, axes: int
) -> tuple[dict[str, str], list[str]]:
    """A digest of each clip's label and keypoints, and the clips without any visible joint."""
    contents, empty = dict[str, str](), []
    for key, own in clips.groupby("video_id"):
        array = as_persons(keypoints(str(key)))
        for clip in own.itertuples():
            points = array[:, clip.start : clip.end + 1]
            points = points if joints is None else pick(points, joints, axes)
            points = np.ascontiguousarray(points)
            digest = blake2b(f"{clip.label} {points.shape}".encode(), digest_size=8)
            digest.update(points.tobytes())
            contents[clip.clip_id] = digest.hexdigest()
            if not points.any():
                empty.append(clip.clip_id)
    return contents, empty


def clip_notes(*notes: tuple[Collection[str], str]) -> list[str]:
    """A remark for each collection of clip ids that is not empty, and what is said of them."""
    return [f"{len(ids)} clips {what}: {some(sorted(ids))}" for ids, what in notes if ids]


def open_clip_run(task: str, settings: Any, data: dict[str, Any], vocabulary: Vocabulary) -> Run:
    """`open_run`; a file of corrections is copied into the folder, and its digest added to data."""
    if not settings.corrections:
        return open_run(task, settings, data, vocabulary)
    content = Path(settings.corrections).read_bytes()
    data = data | {"corrections": short_hash(content)}
    run = open_run(task, settings, data, vocabulary)
    write_atomically(run.folder / USED, content)
    return run


def count_clips(clips: pd.DataFrame) -> pd.DataFrame:
    """Clips, videos and classes of each split."""
    splits = clips.groupby("split", sort=False)
    counts = {"clips": splits.size(), "videos": splits.video_id.nunique()}
    return pd.DataFrame(counts | {"classes": splits.label.nunique()})


def clip_rows(
    clip_ids: list[str], probability: Float[np.ndarray, "B classes"], **columns: Any
) -> pd.DataFrame:
    """Predictions of a batch: clip_id, predicted (most probable class), `columns`, p0, p1, ..."""
    head = pd.DataFrame({"clip_id": clip_ids, "predicted": probability.argmax(axis=1), **columns})
    return head.join(pd.DataFrame(probability).add_prefix("p"))


def prediction_table(rows: list[pd.DataFrame], split: GestureSplit, ranks: Ranks) -> pd.DataFrame:
    """The rows of all processes with video_id, subject, split and label, joined by clip_id."""
    clips = split.clips[["clip_id", "video_id", "subject", "split", "label"]]
    return clips.merge(ranks.gather_rows(rows), on="clip_id", validate="one_to_one")
