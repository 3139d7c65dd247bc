"""The input of a recogniser: features of every frame of whole videos, and their true segments.

The segments of a video are its clips. Letters in shapes: T frames, V joints, C channels, D
features; B windows, S true segments (class, start, stop; see `models.recognition`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from imigue_lab.data.clips import ClipDataset, check_ranges
from imigue_lab.data.corrections import open_corrected
from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import map_clips
from imigue_lab.data.segments import slide, with_windows
from imigue_lab.data.skeletons.geometry import normalise_body, present
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, subset, to_stored
from imigue_lab.data.splits import (
    GestureSplit,
    leave_out,
    split_gestures,
    with_subjects,
    with_validation,
)
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError
from imigue_lab.training.gesture_clips import WHOLE, choose_layout, with_richer_files
from imigue_lab.training.recognition.scores import SEGMENT, of_split
from imigue_lab.training.recognition.settings import RecognitionSettings

Features = Float32[np.ndarray, "T D"]
KEPT = 64  # videos whose features are kept in memory


class Windows(NamedTuple):
    """Parts of videos, padded to the longest of them and to the most segments."""

    features: Float[Tensor, "B T D"]
    mask: Bool[Tensor, "B T"]
    truth: Int[Tensor, "B S 3"]

    def to(self, device: torch.device) -> "Windows":
        return Windows(*(own.to(device) for own in self))


@dataclass(frozen=True)
class RecognitionData:
    """Every video that a recogniser is trained or scored on."""

    videos: pd.DataFrame  # video_id, subject, split, frames
    split: GestureSplit  # its clips are the true segments
    features: Callable[[str], Features]
    layout: Layout | None  # of the joints; None without pose
    digest: str
    notes: list[str]
    index: Index
    length: int  # frames of a window of encoder_run; 0 without

    def identity(self) -> dict[str, Any]:
        """Identifies the data by content, independent of their location."""
        return {"digest": self.digest, "keypoints": to_stored(self.layout) if self.layout else ""}

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        return self.notes + self.split.remarks

    def refitted(self, remark: str) -> "RecognitionData":
        """With validation as a part of train."""
        return replace(self, split=self.split.refitted(remark), videos=with_validation(self.videos))

    def frames(self, split: str) -> dict[str, int]:
        """Of each video of a split."""
        return frames_of(self.videos[self.videos.split == split])

    @property
    def known(self) -> pd.DataFrame:
        """A row for each true segment, or for a video without any; no video with hidden ones."""
        clips = self.split.clips
        hidden = self.videos.video_id.isin(clips.video_id[clips.label.isna()])
        return clips[["clip_id", *SEGMENT]].merge(self.videos[~hidden], how="right", on="video_id")

    def labelled(self, split: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The videos of a split whose segments are known, and these; both empty if none are."""
        return of_split(self.known, split)

    def truth(self, video_id: str) -> Int[np.ndarray, "S 3"]:
        """Class, start and stop of the segments of a video."""
        clips = self.split.clips
        own = clips[(clips.video_id == video_id) & clips.label.notna()]
        return own[["label", "start", "end"]].to_numpy(dtype=np.int64) + np.array([0, 0, 1])


def frames_of(videos: pd.DataFrame) -> dict[str, int]:
    return dict(zip(videos.video_id, videos.frames.tolist(), strict=True))


class TrainingWindows:
    """Windows of the training videos that overlap by half, moved at random in every epoch.

    The first number of a draw is that of the window; `epoch` and `seed` decide how it is moved.
    """

    def __init__(self, data: RecognitionData, window: int, seed: int):
        self.data, self.window, self.seed, self.epoch = data, window, seed, 0
        frames = frames_of(data.labelled("train")[0])
        self.starts = [
            (video_id, int(start))
            for video_id, length in frames.items()
            for start in slide(length, 1, (float(window),), window / 2).start
        ]
        self.true = {video_id: data.truth(video_id) for video_id in frames}
        self.lengths = [min(window, frames[video_id]) for video_id, _ in self.starts]

    def part(self, number: int, ordinal: int) -> tuple[Tensor, Tensor]:
        """Features of one window, and the segments that it contains a part of."""
        video_id, start = self.starts[number]
        rng = np.random.default_rng([self.seed, self.epoch, number, ordinal])
        features = self.data.features(video_id)
        last = max(0, len(features) - self.window)
        start = int(np.clip(start + rng.integers(-self.window // 4, self.window // 4), 0, last))
        own = features[start : start + self.window]
        true = self.true[video_id] - np.array([0, start, start])
        true = true[(true[:, 2] > 0) & (true[:, 1] < len(own))]
        return torch.from_numpy(own), torch.from_numpy(true)

    def read(self, draws: list[Any]) -> Windows:
        features, truth = zip(*(self.part(*draw) for draw in draws), strict=True)
        masks = [torch.ones(len(own), dtype=torch.bool) for own in features]
        padded, mask = (pad_sequence(list(own), batch_first=True) for own in (features, masks))
        return Windows(padded, mask, pad_sequence(list(truth), batch_first=True, padding_value=-1))


def load_recognition_data(
    settings: RecognitionSettings, index: Index | None = None
) -> RecognitionData:
    """Reads the keypoints of whole videos, or features of a run, and the segments.

    `index` replaces the index of `settings.data`. Raises DataError if the data are incomplete or
    inconsistent, RunError for a run that cannot be used.
    """
    index = index or open_corrected(settings)
    index = with_richer_files(index, settings.keypoints)
    split = split_gestures(index, settings.fold, settings.seed)
    videos, parts = split_videos(index, split, settings.fold), list[Any]()
    digests, notes, layout, length = list[str](), list[str](), None, 0
    if settings.inputs != "run" or videos.frames.isna().any():
        poses, layout, notes = open_poses(settings.keypoints, index, videos)
        check_ranges(split.clips, poses.keypoints, poses.joints)
        videos = videos.set_index("video_id").loc[poses.video_ids].reset_index()
        videos = videos.assign(frames=poses.lengths)
        clips = (poses[number] for number in range(len(poses)))
        digests = [short_hash(clip.skeleton.numpy().tobytes()) for clip in clips]
        if settings.inputs != "run":
            parts.append(partial(read_pose, poses, layout))
    if settings.inputs != "pose":
        from imigue_lab.training.recognition.encoder import open_run_features

        encoded = open_run_features(settings, index, videos)
        digests += [short_hash(encoded.rows(own).tobytes()) for own in videos.video_id]
        parts.append(encoded)
        length = encoded.length
    frames = frames_of(videos)

    @lru_cache(KEPT)
    def features(video_id: str) -> Features:
        return np.concatenate([own(video_id, frames[video_id]) for own in parts], axis=1)

    known = split.clips[["clip_id", "start", "end", "label"]]
    tables = [table.to_csv(index=False) for table in (videos, known)]
    digest = short_hash(split.vocabulary.classes, digests, tables)
    return RecognitionData(videos, split, features, layout, digest, notes, index, length)


def read_pose(poses: ClipDataset, layout: Layout, video_id: str, _: int) -> Features:
    """`pose_features` of the first person in a whole video, of which there is one clip each."""
    clip = poses[poses.video_ids.index(video_id)]
    return pose_features(clip.skeleton[:1].numpy(), layout)


def open_poses(
    keypoints: str, index: Index, videos: pd.DataFrame
) -> tuple[ClipDataset, Layout, list[str]]:
    """Whole videos as clips, their layout, and remarks; videos without keypoints are left out.

    Raises DataError if there are none, or they are of several layouts.
    """
    if index.videos.keypoints.isna().all():
        kind = "those of single clips" if index.clips.keypoints.notna().any() else "none"
        raise DataError(
            f"{index.root}: expected keypoints of whole videos, got {kind}; add them as"
            " docs/data.md describes, or set inputs to run, with an encoder_run of pictures"
        )
    whole = {video_id: pd.DataFrame({"start": [0], "end": [0]}) for video_id in videos.video_id}
    mapped = map_clips(index, with_windows(index, whole).clips, LAYOUTS.get(keypoints))
    layout = choose_layout(keypoints, mapped.layout, index)
    joints = subset(layout, mapped.layout) if layout != mapped.layout else None
    last = [mapped.keypoints(video_id).shape[-3] - 1 for video_id in mapped.clips.video_id]
    clips = mapped.clips.assign(end=last, label=0)
    missing = ~videos.video_id.isin(clips.video_id)
    _, notes = leave_out(videos, missing, "videos have no keypoints")
    poses = ClipDataset(clips, mapped.keypoints, 0, joints, layout.axes, WHOLE)
    return poses, layout, mapped.remarks + notes


def split_videos(index: Index, split: GestureSplit, fold: int) -> pd.DataFrame:
    """Videos that belong to a split: that of their clips, in a fold that of their subject."""
    videos = with_subjects(index.videos)[["video_id", "subject", "split", "frames"]]
    own = videos.video_id.map(split.clips.groupby("video_id").split.first())
    if fold >= 0:
        others = split.clips[split.clips.split != "test"].groupby("subject").split.first()
        own = own.fillna(videos.subject.map(others).where(videos.split != "test"))
    videos = videos.assign(split=own.fillna(videos.split))
    return videos[videos.split.notna()].reset_index(drop=True)


def pose_features(points: Float32[np.ndarray, "1 T V C"], layout: Layout) -> Features:
    """Of each joint its place relative to the body, its velocity in units of a tenth of the body a
    frame, and whether it is seen; places and velocities of missing joints are 0.
    """
    seen = present(points, layout.axes)[0]
    places = normalise_body(points, layout)[0, ..., : layout.axes] * seen[..., None]
    velocity = np.zeros_like(places)
    both = (seen[2:] & seen[:-2])[..., None]
    velocity[1:-1] = 5 * (places[2:] - places[:-2]) * both
    parts = places, velocity, seen[..., None].astype(np.float32)
    return np.concatenate([own.reshape(len(seen), -1) for own in parts], axis=1)
