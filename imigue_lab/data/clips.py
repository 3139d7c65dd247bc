"""Gesture clips as padded batches of skeletons, cut from each video's keypoints by clip id.

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

from imigue_lab.data.skeletons.geometry import as_persons, pick, present, resample
from imigue_lab.data.skeletons.keypoints import Source
from imigue_lab.errors import DataError

LONGEST = 256  # frames of a clip that is not resampled

Keypoints = Callable[[str], np.ndarray]  # video id -> (T, V, C), or (M, T, V, C) of several people


class Clip(NamedTuple):
    """One gesture; `present` is False where a joint is missing."""

    clip_id: str
    skeleton: Float32[Tensor, "M T V C"]
    present: Bool[Tensor, "M T V"]
    label: int


class ClipBatch(NamedTuple):
    """Clips padded to the most persons and frames; padding is zero and excluded by both masks."""

    skeleton: Float32[Tensor, "B M T V C"]
    present: Bool[Tensor, "B M T V"]  # the joint was detected
    frame_mask: Bool[Tensor, "B T"]  # the frame is not padding, with or without a joint
    label: Int[Tensor, " B"]
    clip_ids: list[str]


@dataclass(frozen=True)
class KeypointFiles:
    """Keypoints in `.npy` files, mapped into memory and read where a clip needs them."""

    paths: Mapping[str, Path]

    def __call__(self, video_id: str) -> np.ndarray:
        return np.load(self.paths[video_id], mmap_mode="r")


class ClipDataset(Dataset[Clip]):
    """Clips of one split; only the requested clip is copied.

    Args:
        clips: clip_id, video_id, start, end (frames from 0, end inclusive), label.
        keypoints: returns the keypoints of a video by id; called for every clip, so it should map a
            file (`KeypointFiles`) or be a dict lookup (``arrays.__getitem__``).
        frames: length that clips are resampled to; 0 keeps their own, cropped to the centre.
        joints: the joints to use, in order (`keypoints.subset`); all by default.
        axes: 2 for image coordinates with a score as third channel; 3 for 3-D coordinates, where a
            joint is missing if all of them are 0.
        longest: maximum frames of a clip that is not resampled.

    Raises DataError if keypoints of a video are missing, of a wrong shape, or shorter than a clip.
    """

    def __init__(
        self,
        clips: pd.DataFrame,
        keypoints: Keypoints,
        frames: int = 64,
        joints: Sequence[Source] | None = None,
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
        """Frames of each clip after resampling or cropping."""
        if self.frames:
            return [self.frames] * len(self)
        start, end = self.ranges.T
        return np.minimum(end - start + 1, self.longest).tolist()

    def __getitem__(self, number: int) -> Clip:
        return self.part(number)

    def part(self, number: int, share: float = 1.0, place: float = 0.0) -> Clip:
        """A contiguous share of a clip, resampled as a whole clip is.

        The first such part for a `place` of 0, later ones up to the last for a place towards 1.
        """
        start, stop = (int(frame) for frame in self.ranges[number] + (0, 1))
        if not self.frames:
            start, stop = middle(start, stop, self.longest)
        kept = max(1, int(share * (stop - start)))
        start += int(place * (stop - start - kept + 1))
        stop = start + kept
        skeleton = as_persons(self.keypoints(self.video_ids[number]))[:, start:stop]
        if self.joints is not None:
            skeleton = pick(skeleton, self.joints, self.axes)
        skeleton = np.array(skeleton, dtype=np.float32)
        finite = np.isfinite(skeleton).all(axis=(0, 2, 3))
        if not finite.all():
            raise DataError(
                f"{self.clip_ids[number]}: NaN or infinity at a joint in frame"
                f" {start + int(np.argmin(finite))} of the video; set missing joints to 0"
            )
        if self.frames:
            skeleton = resample(skeleton, self.frames, self.axes)
        seen = present(skeleton, self.axes)
        skeleton *= seen[..., None]
        tensors = torch.from_numpy(skeleton), torch.from_numpy(seen)
        return Clip(self.clip_ids[number], *tensors, self.labels[number])


def middle(start: int, stop: int, longest: int) -> tuple[int, int]:
    """The middle `longest` frames of a range, `stop` exclusive; a shorter range is unchanged."""
    start += max(0, stop - start - longest) // 2
    return start, min(stop, start + longest)


def collate(clips: list[Clip]) -> ClipBatch:
    """Pads persons and frames with zeros."""
    ids, skeletons, present, labels = zip(*clips, strict=True)
    mask = frame_mask([skeleton.shape[1] for skeleton in skeletons])
    return ClipBatch(pad_time(skeletons), pad_time(present), mask, torch.tensor(labels), [*ids])


def pad_time(clips: Sequence[Tensor]) -> Tensor:
    """Stacks (M, time, ...), padded with zeros on both axes."""
    persons, times = (max(clip.shape[axis] for clip in clips) for axis in (0, 1))
    stacked = clips[0].new_zeros(len(clips), persons, times, *clips[0].shape[2:])
    for row, clip in enumerate(clips):
        stacked[row, : clip.shape[0], : clip.shape[1]] = clip
    return stacked


def frame_mask(lengths: Sequence[int]) -> Bool[Tensor, "B T"]:
    """True for each clip's own frames, False for padding to the longest."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def check_ranges(clips: pd.DataFrame, keypoints: Keypoints, joints: list[Source] | None) -> None:
    """Checks that each video has keypoints and that its clips are within them."""
    for video_id, own in clips.groupby("video_id", sort=False):
        try:
            array = keypoints(str(video_id))
        except (KeyError, FileNotFoundError) as error:
            raise DataError(
                f"{video_id}: has {len(own)} clips and no keypoints; add them, or remove its clips"
            ) from error
        if array.ndim not in (3, 4) or array.dtype.kind != "f" or array.shape[-1] not in (2, 3):
            raise DataError(
                f"{video_id}: expected keypoints as floats (frames, joints, 3) or (persons, frames,"
                f" joints, 3), got {array.dtype} {array.shape}; save them in that form"
            )
        frames, width = as_persons(array).shape[1:3]
        last = -1 if joints is None else max(np.max(joint) for joint in joints)
        if last >= width:
            what = f"more than {last} joints"
            raise DataError.expected(video_id, what, width, "name the layout of the keypoints")
        outside = own[(own.start < 0) | (own.start > own.end)]
        if len(outside):
            clip = outside.iloc[0]
            raise DataError(
                f"{clip.clip_id}: expected a range from 0 on, got {clip.start} to {clip.end}"
                f" ({len(outside)} such clips in this video); correct the label file"
            )
        if (own.end >= frames).any():
            from imigue_lab.data.checks.tables import check_ranges as past_end

            raise DataError(past_end(own, {str(video_id): frames})[1][0].sentence)
