"""Interviews as padded batches: features with one mask per stream, and crops.

Letters in shapes: B interviews, T windows of 16 frames, C and F widths of context and face.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from imigue_lab.data.store import EncoderStore, OwnFeatures
from imigue_lab.errors import DataError

UNLABELLED = -1


class Interview(NamedTuple):
    """One interview; windows are numbered from the start of the video, even after a crop."""

    video_id: str
    context: Float[Tensor, "T C"]
    face: Float[Tensor, "T F"]
    window: Int[Tensor, " T"]
    outcome: int


class Batch(NamedTuple):
    """Interviews padded to the longest; masks are True where a window of the stream exists."""

    context: Float[Tensor, "B T C"]
    face: Float[Tensor, "B T F"]
    context_mask: Bool[Tensor, "B T"]
    face_mask: Bool[Tensor, "B T"]
    window: Int[Tensor, "B T"]
    outcome: Int[Tensor, " B"]
    video_ids: list[str]

    def inputs(self) -> dict[str, Tensor]:
        """The arguments of an emotion model."""
        return {name: getattr(self, name) for name in MODEL_INPUTS}

    def to(self, device: torch.device) -> "Batch":
        return Batch._make(x.to(device) if isinstance(x, Tensor) else x for x in self)


PER_WINDOW = ("context", "face", "window")
MODEL_INPUTS = ("context", "face", "context_mask", "face_mask", "window")


@dataclass(frozen=True)
class EmotionFeatures:
    """Both streams of every interview, (T, width) by id in their stored precision.

    A row of zeros is a missing window.
    """

    context: dict[str, Tensor]
    face: dict[str, Tensor]
    digest: str  # changes when any number does; part of a run's settings

    @property
    def widths(self) -> tuple[int, int]:
        context, face = (next(iter(stream.values())) for stream in (self.context, self.face))
        return context.shape[1], face.shape[1]


def load_features(
    context: EncoderStore | OwnFeatures, face: EncoderStore | OwnFeatures, video_ids: list[str]
) -> EmotionFeatures:
    """Reads both streams and checks that they match.

    Raises DataError if features are missing, not finite, of a wrong shape or width, of different
    lengths in the two streams, or all zero in both.
    """
    streams: dict[str, dict[str, Tensor]] = {"context": {}, "face": {}}
    digest = blake2b(digest_size=8)
    for video_id in video_ids:
        for stream, source in (("context", context), ("face", face)):
            features = source.read(video_id)
            array = features[stream if stream in features else "features"]
            check_features(f"{source.folder.name}/{video_id} ({stream})", array)
            digest.update(f"{video_id} {stream} {array.shape} {array.dtype}".encode())
            digest.update(array.tobytes())
            streams[stream][video_id] = torch.from_numpy(array)
            width, first = array.shape[1], next(iter(streams[stream].values())).shape[1]
            if width != first:
                what, todo = f"width {first} as in the others", "extract all with one encoder"
                raise DataError.expected(f"{video_id} ({stream})", what, width, todo)
        windows, faces = streams["context"][video_id], streams["face"][video_id]
        if len(windows) != len(faces):
            raise DataError(
                f"{video_id}: expected the same windows in both streams, got {len(windows)} for"
                f" context and {len(faces)} for face; extract both again"
            )
        if not present_windows(windows).any() and not present_windows(faces).any():
            raise DataError(f"{video_id}: every window is zero in both streams; remove it")
    return EmotionFeatures(**streams, digest=digest.hexdigest())


def check_features(where: str, array: np.ndarray) -> None:
    if array.ndim != 2 or array.dtype.kind != "f" or not len(array):
        what, got = "floats (windows, width)", f"{array.dtype} {array.shape}"
        raise DataError.expected(where, what, got, "save it in that form")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{where}: NaN or infinity in window {int(np.argmin(finite))}; extract it again,"
            " or set the row to 0 to mark it missing"
        )


def present_windows(features: Float[Tensor, "T D"]) -> Bool[Tensor, " T"]:
    """False where a row is all zeros: a missing window."""
    return (features != 0).any(dim=1)


class InterviewDataset(Dataset[Interview]):
    """Interviews of one split, whole or cropped to `max_windows` contiguous windows.

    The start of a crop depends on seed, epoch and video only: a resumed run uses the same crops.
    """

    def __init__(
        self, features: EmotionFeatures, videos: pd.DataFrame, max_windows: int = 0, seed: int = 0
    ):
        self.features = features
        self.video_ids = videos.video_id.tolist()
        self.outcomes = videos.outcome.fillna(UNLABELLED).astype(int).tolist()
        self.max_windows = max_windows
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def lengths(self) -> list[int]:
        """Windows of each interview after cropping."""
        whole = [len(self.features.context[video_id]) for video_id in self.video_ids]
        return [min(n, self.max_windows) for n in whole] if self.max_windows else whole

    def __getitem__(self, number: int) -> Interview:
        video_id = self.video_ids[number]
        context, face = self.features.context[video_id], self.features.face[video_id]
        start, stop = 0, len(context)
        if 0 < self.max_windows < len(context):
            rng = np.random.default_rng([self.seed, self.epoch, number])
            start = int(rng.integers(len(context) - self.max_windows + 1))
            stop = start + self.max_windows
        streams = context[start:stop].float(), face[start:stop].float()
        return Interview(video_id, *streams, torch.arange(start, stop), self.outcomes[number])


def overlapping_crops(interview: Interview, windows: int) -> list[Interview]:
    """Crops of so many windows that overlap by half, the last at the end; none without a feature.

    A shorter interview is its only crop.
    """
    length = len(interview.window)
    starts = [*range(0, length - windows, -(-windows // 2)), max(0, length - windows)]
    crops = [
        interview._replace(**{n: getattr(interview, n)[own : own + windows] for n in PER_WINDOW})
        for own in starts
    ]
    return [crop for crop in crops if crop.context.any() or crop.face.any()]


def collate(interviews: list[Interview]) -> Batch:
    """Pads with zeros, which both masks exclude."""
    context = pad_sequence([i.context for i in interviews], batch_first=True)
    face = pad_sequence([i.face for i in interviews], batch_first=True)
    masks = (context != 0).any(dim=2), (face != 0).any(dim=2)
    window = pad_sequence([i.window for i in interviews], batch_first=True)
    outcome = torch.tensor([i.outcome for i in interviews])
    return Batch(context, face, *masks, window, outcome, [i.video_id for i in interviews])
