"""Windows of whole interviews for masked pre-training, and the labelled clips of its probe.

Letters in shapes: M persons, T frames, V joints, L tokens.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from imigue_lab.data.clips import Clip, collate
from imigue_lab.data.index import Index
from imigue_lab.data.segments import slide, with_windows
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import GestureSplit, split_gestures
from imigue_lab.models.mamp import SEGMENT
from imigue_lab.models.pictures.videomae import TUBE, cell_mask, tube_mask
from imigue_lab.training.baselines.clips import PLAIN, Clips, How, Sampled, Seen, SkeletonClips
from imigue_lab.training.baselines.data import BaselineData
from imigue_lab.training.baselines.frames import open_pictures
from imigue_lab.training.baselines.pictures import SIDES, Picture, PictureClips
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.leaks import USES_TEST
from imigue_lab.training.pretraining.settings import ROW, PretrainSettings

PATCH = 16  # pixels


class MotionWindows(SkeletonClips):
    """Skeletons, random numbers for their tokens, and which joints are seen."""

    def draws(self, number: int, ordinal: int = 0) -> list[Any]:
        (clip,) = super().draws(number, ordinal)
        persons, frames, joints = clip.present.shape
        uniform = self.rng(number, 5, ordinal).rand(persons, frames // SEGMENT * joints)
        return [(clip, torch.from_numpy(uniform.astype(np.float32)))]

    def collate(self, draws: list[Any]) -> Seen:
        clips: list[Clip] = [clip for clip, _ in draws]
        batch = collate(clips)
        uniform = torch.nn.utils.rnn.pad_sequence([own for _, own in draws], batch_first=True)
        inputs = (batch.skeleton, uniform, batch.present)
        return Seen(inputs, batch.label, torch.ones(len(clips)), batch.clip_ids)

    def enter(self, batch: Seen) -> tuple[torch.Tensor, ...]:
        """Every person is a sequence."""
        return tuple(x.flatten(0, 1) for x in batch.inputs)


class VideoWindows(PictureClips):
    """Frames, which tokens are masked, and which are not decoded."""

    settings: PretrainSettings

    def draws(self, number: int, ordinal: int = 0) -> list[Any]:
        (picture,) = super().draws(number, ordinal)
        rng, share = self.rng(number, 5, ordinal), self.settings.skipped
        grid = self.frames // TUBE, self.crop // PATCH, self.crop // PATCH
        masked = tube_mask(grid, self.settings.ratio, rng)
        skipped = cell_mask(grid, share, rng.randint(4)) if share else ~masked
        return [(picture, *map(torch.from_numpy, (masked, skipped)))]

    def collate(self, draws: list[Any]) -> Seen:
        pictures: list[Picture] = [picture for picture, *_ in draws]
        masks = (torch.stack(own) for own in list(zip(*draws, strict=True))[1:])
        seen = super().collate(pictures)
        return seen._replace(inputs=(*seen.inputs, *masks))

    def enter(self, batch: Seen) -> tuple[torch.Tensor, ...]:
        frames, masked, skipped = batch.inputs
        return *super().enter(batch._replace(inputs=(frames,))), masked, skipped


@dataclass(frozen=True)
class PretrainingData:
    """Unlabelled windows, and labelled clips.

    Attributes:
        windows: of train and validation.
        labelled: train and validation clips of the probe; None without it.
        recorded: ids of the videos of train, but for those of the test split (`use_test`).
    """

    windows: BaselineData
    labelled: BaselineData | None
    recorded: list[str]

    def clips(self, split: str, settings: PretrainSettings, training: bool = False) -> Clips:
        """The windows of a split, masked at random; in evaluation always alike."""
        how = How(seed=settings.seed)
        if gestures := self.windows.gestures:
            if training:
                how = how._replace(rotation=settings.rotation, crop=settings.temporal_crop)
            own = gestures.skeletons(split, settings.frames)
            return MotionWindows(own, gestures.layout, ["joint"], how)
        assert self.windows.pictures is not None
        sampled = Sampled(settings.frames, 0 if training else 1, settings.stride)
        how = How("turn" if training and settings.crop else "none", settings.seed, sampled)
        seen = settings.frames, SIDES[settings.size], ROW[settings.kind]
        clips = VideoWindows(self.windows.pictures, split, *seen, how)
        clips.settings = settings
        return clips

    def examples(self, split: str, settings: PretrainSettings) -> Clips:
        """Labelled clips, as the encoder sees them."""
        assert self.labelled is not None
        if gestures := self.labelled.gestures:
            return gestures.clips(split, settings.frames, ["joint"])
        assert self.labelled.pictures is not None
        seen = settings.frames, SIDES[settings.size], ROW[settings.kind]
        return PictureClips(self.labelled.pictures, split, *seen, PLAIN)


def load_pretraining_data(settings: PretrainSettings) -> PretrainingData:
    """Reads keypoints, or stores the frames of windows.

    Raises:
        DataError: the data are incomplete or inconsistent.
    """
    index = open_data(settings.data, store=settings.store, subjects=settings.subjects)
    labelled = split_gestures(index, settings.fold, settings.seed).clips
    labelled = labelled[labelled.split != "test"]
    column = "keypoints" if settings.kind == "motion" else "video"
    windows = window_clips(index, labelled, settings.windows, column)
    recorded = windows.video_id[windows.split == "train"].unique().tolist()
    if settings.use_test:
        windows = windows.assign(split=windows.split.replace("test", "train"))
    windows = windows[windows.split != "test"].reset_index(drop=True)
    remarks = [USES_TEST] * settings.use_test
    cut = windows[windows.clip_id.isin(index.clips.clip_id)].video_id.nunique()
    if cut and settings.windows:
        what = "have no file or frame rate: their labelled clips are the windows"
        remarks.append(f"{cut} of {windows.video_id.nunique()} videos {what}")
    whole = read_clips(replace(index, clips=windows), settings)
    split = replace(whole.split, remarks=remarks + whole.split.remarks)
    known = labelled[labelled.label.notna()].reset_index(drop=True)
    probed = read_clips(replace(index, clips=known), settings) if settings.probe else None
    return PretrainingData(replace(whole, split=split), probed, recorded)


def window_clips(index: Index, labelled: pd.DataFrame, seconds: float, column: str) -> pd.DataFrame:
    """Windows of the videos with a file and a frame rate; of others, the clips.

    A video is in the split of its clips, which is that of a subject fold.
    """
    own = index.videos.video_id.map(labelled.groupby("video_id").split.first())
    videos = index.videos.assign(split=own.fillna(index.videos.split))
    known = videos[column].notna() & videos[["fps", "frames", "split"]].notna().all(axis=1)
    whole = videos[known & (seconds > 0)]
    ranges = {
        video.video_id: slide(int(video.frames), float(video.fps), (seconds,), seconds)
        for video in whole.itertuples()
    }
    windows = with_windows(replace(index, videos=videos), ranges).clips
    others = index.clips[~index.clips.video_id.isin(ranges) & index.clips.split.notna()]
    joined = others.video_id.map(videos.set_index("video_id").split)
    return pd.concat([windows, others.assign(split=joined, label=pd.NA)], ignore_index=True)


def read_clips(index: Index, settings: PretrainSettings) -> BaselineData:
    """The skeletons or pictures of an index whose clips have their split."""
    if settings.kind == "motion":
        gestures = load_gesture_data(index, keypoints=settings.keypoints)
        return BaselineData(gestures.split, gestures)
    split: GestureSplit = split_gestures(index, -1, settings.seed)
    return BaselineData(split, None, open_pictures(index, split.clips, SIDES[settings.size]))
