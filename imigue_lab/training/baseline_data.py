"""Clips as the networks of Table 1 see them: resampled evenly, or drawn uniformly as published.

Letters in shapes: M persons, T frames, V joints, C channels.
"""

from collections.abc import Iterator

import numpy as np
import torch

from imigue_lab.data.clips import Clip, ClipBatch, ClipDataset, collate
from imigue_lab.data.skeletons.sampling import TEST_SEED, sample_uniform
from imigue_lab.training.baseline_settings import BaselineSettings
from imigue_lab.training.gesture_data import UNLABELLED, GestureClips, GestureData

WHOLE = 2**31  # frames: a clip is not cut before frames are drawn from all of it


class DrawnClips(GestureClips):
    """Clips of which `frames` frames are drawn after the streams were taken of the whole.

    Args:
        frames: of a draw, see `sample_uniform`.
        draws: of each clip in the test, the same ones whenever it is asked; 0 draws anew in each
            epoch, for training.
    """

    def __init__(self, whole: GestureClips, frames: int, draws: int):
        super().__init__(whole.clips, whole.layout, whole.names, whole.augment, whole.seed)
        self.frames = frames
        self.draws = draws

    @property
    def lengths(self) -> list[int]:
        return [self.frames] * len(self)

    def __getitem__(self, number: int) -> Clip:
        return self.drawn(number)[0]

    def drawn(self, number: int) -> list[Clip]:
        """All draws of one clip."""
        clip = super().__getitem__(number)
        given = clip.skeleton.shape[1]
        if self.draws:
            rng = np.random.RandomState(TEST_SEED)
            numbers = sample_uniform(given, self.frames, rng, self.draws, spread=True)
        else:
            rng = np.random.RandomState([self.seed, self.epoch, number, 1])
            numbers = sample_uniform(given, self.frames, rng)
        frames = torch.from_numpy(numbers)
        return [
            clip._replace(skeleton=clip.skeleton[:, own], present=clip.present[:, own])
            for own in frames
        ]


def clips_of(
    data: GestureData, part: str, settings: BaselineSettings, training: bool = False
) -> GestureClips:
    """One part's clips: changed at random for training, drawn `test_clips` times else."""
    names, augment = [settings.stream], settings.augment if training else "none"
    if settings.sampling == "resample":
        return data.clips(part, settings.frames, names, augment, settings.seed)
    sources = data.sources[data.sources.split == part]
    sources = sources.assign(label=sources.label.fillna(UNLABELLED).astype(int))
    axes = data.layout.axes
    whole = ClipDataset(sources, data.keypoints, 0, data.joints, axes, longest=WHOLE)
    clips = GestureClips(whole, data.layout, names, augment, settings.seed)
    return DrawnClips(clips, settings.frames, 0 if training else settings.test_clips)


def draws_in_order(clips: GestureClips, batch_size: int) -> Iterator[list[ClipBatch]]:
    """Every clip once, those of like length together; a batch for each draw of the same clips."""
    order = sorted(range(len(clips)), key=lambda number: clips.lengths[number])
    for start in range(0, len(order), batch_size):
        own = order[start : start + batch_size]
        if isinstance(clips, DrawnClips):
            draws = zip(*(clips.drawn(number) for number in own), strict=True)
            yield [collate(list(draw)) for draw in draws]
        else:
            yield [collate([clips[number] for number in own])]
