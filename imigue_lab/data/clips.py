"""Gesture clips as padded batches of skeletons, cut out of each video's keypoints by clip id.

Letters in shapes: B clips, M persons, T frames, V joints, C = x, y, score (or x, y, z).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor
from torch.utils.data import Dataset

from imigue_lab.data.skeletons.geometry import Skeleton, present, resample
from imigue_lab.errors import DataError

LONGEST = 256  # frames of a clip that keeps its own length

Keypoints = Callable[[str], np.ndarray]  # video id -> (T, V, C), or (M, T, V, C) of many persons


class Clip(NamedTuple):
    """One gesture; `present` is False where a joint is missing."""

    clip_id: str
    skeleton: Float32[Tensor, "M T V C"]
    present: Bool[Tensor, "M T V"]
    label: int


class ClipBatch(NamedTuple):
    """Clips padded to the most persons and the longest; padding is zero and out of both masks."""

    skeleton: Float32[Tensor, "B M T V C"]
    present: Bool[Tensor, "B M T V"]  # the joint was seen
    frame_mask: Bool[Tensor, "B T"]  # the frame is the clip's own, whether or not a joint was seen
    label: Int[Tensor, " B"]
    clip_ids: list[str]

    def to(self, device: torch.device) -> "ClipBatch":
        return ClipBatch._make(x.to(device) if isinstance(x, Tensor) else x for x in self)


@dataclass(frozen=True)
class KeypointFiles:
    """Keypoints that lie in `.npy` files, mapped into memory and read where a clip needs them."""

    paths: Mapping[str, Path]

    def __call__(self, video_id: str) -> np.ndarray:
        return np.load(self.paths[video_id], mmap_mode="r")


class ClipDataset(Dataset[Clip]):
    """Clips of one part of the split; only the clip that is asked for is copied.

    Args:
        clips: clip_id, video_id, start, end (frames from 0, end inclusive), label.
        keypoints: gives the keypoints of a video by id; called for every clip, so it should map a
            file (`KeypointFiles`) or look into a dict (``arrays.__getitem__``).
        frames: length that clips are resampled to; 0 keeps their own, cut about the centre.
        joints: which joints, in which order (`keypoints.subset`); all by default.
        axes: 2 for pictures, where a third channel is a score; 3 for places in space, where a joint
            is missing if all of its coordinates are 0.
        longest: frames of a clip that keeps its own length.

    Raises:
        DataError: a video has no keypoints or of the wrong shape, or a clip runs past their end.
    """

    def __init__(
        self,
        clips: pd.DataFrame,
        keypoints: Keypoints,
        frames: int = 64,
        joints: Sequence[int] | None = None,
        axes: int = 2,
        longest: int = LONGEST,
    ):
        self.clip_ids = clips.clip_id.tolist()
        self.video_ids = clips.video_id.tolist()
        self.ranges = clips[["start", "end"]].to_numpy()
        self.labels = clips.label.tolist()
        self.keypoints = keypoints
        self.frames = frames
        self.joints = None if joints is None else list(joints)
        self.axes = axes
        self.longest = longest
        check_ranges(clips, keypoints, self.joints)

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def lengths(self) -> list[int]:
        """Frames of each clip as it is handed out."""
        if self.frames:
            return [self.frames] * len(self)
        start, end = self.ranges.T
        return np.minimum(end - start + 1, self.longest).tolist()

    def __getitem__(self, number: int) -> Clip:
        start, stop = (int(frame) for frame in self.ranges[number] + (0, 1))
        if not self.frames:
            start, stop = middle(start, stop, self.longest)
        skeleton = as_persons(self.keypoints(self.video_ids[number]))[:, start:stop]
        if self.joints is not None:
            skeleton = skeleton[:, :, self.joints]
        skeleton = np.array(skeleton, dtype=np.float32)
        check_finite(self.clip_ids[number], start, skeleton)
        if self.frames:
            skeleton = resample(skeleton, self.frames, self.axes)
        seen = present(skeleton, self.axes)
        skeleton *= seen[..., None]
        return Clip(
            self.clip_ids[number],
            torch.from_numpy(skeleton),
            torch.from_numpy(seen),
            self.labels[number],
        )


def as_persons(keypoints: np.ndarray) -> np.ndarray:
    """(T, V, C) of one person as (1, T, V, C); a view."""
    plain = np.asarray(keypoints)  # slicing a memmap is slower
    return plain if plain.ndim == 4 else plain[None]


def middle(start: int, stop: int, longest: int) -> tuple[int, int]:
    """The middle `longest` frames of a range, `stop` exclusive; a shorter range as it is."""
    start += max(0, stop - start - longest) // 2
    return start, min(stop, start + longest)


def collate(clips: list[Clip]) -> ClipBatch:
    """Pads persons and frames with zeros."""
    persons, frames = (max(clip.skeleton.shape[axis] for clip in clips) for axis in (0, 1))
    _, _, joints, channels = clips[0].skeleton.shape
    skeleton = torch.zeros(len(clips), persons, frames, joints, channels)
    present = torch.zeros(len(clips), persons, frames, joints, dtype=torch.bool)
    frame_mask = torch.zeros(len(clips), frames, dtype=torch.bool)
    for row, clip in enumerate(clips):
        m, t = clip.skeleton.shape[:2]
        skeleton[row, :m, :t] = clip.skeleton
        present[row, :m, :t] = clip.present
        frame_mask[row, :t] = True
    label = torch.tensor([clip.label for clip in clips])
    return ClipBatch(skeleton, present, frame_mask, label, [clip.clip_id for clip in clips])


def check_ranges(clips: pd.DataFrame, keypoints: Keypoints, joints: list[int] | None) -> None:
    """Looks at each video once: its keypoints are there, and its clips lie inside."""
    for video_id, own in clips.groupby("video_id", sort=False):
        try:
            array = keypoints(str(video_id))
        except (KeyError, FileNotFoundError) as error:
            raise DataError(
                f"{video_id}: has {len(own)} clips and no keypoints; add them, or leave its clips"
                " out"
            ) from error
        if array.ndim not in (3, 4) or array.dtype.kind != "f" or array.shape[-1] not in (2, 3):
            raise DataError(
                f"{video_id}: keypoints are {array.dtype} {array.shape}, expected floats (frames,"
                " joints, 3) or (persons, frames, joints, 3); save them so"
            )
        frames, held = as_persons(array).shape[1:3]
        if joints is not None and max(joints) >= held:
            raise DataError(
                f"{video_id}: keypoints have {held} joints, joint {max(joints)} is asked for; name"
                " the layout that they are in"
            )
        wrong = own[(own.start < 0) | (own.start > own.end) | (own.end >= frames)]
        if len(wrong):
            clip = wrong.iloc[0]
            raise DataError(
                f"{clip.clip_id}: frames {clip.start} to {clip.end} are not a range within the"
                f" {frames} frames of its keypoints ({len(wrong)} such clips in this video);"
                " correct the label file"
            )


def check_finite(clip_id: str, start: int, skeleton: Skeleton) -> None:
    finite = np.isfinite(skeleton).all(axis=(0, 2, 3))
    if not finite.all():
        raise DataError(
            f"{clip_id}: a joint is NaN or infinite in frame {start + int(np.argmin(finite))} of"
            " the video; set missing joints to 0"
        )
