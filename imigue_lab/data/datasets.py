"""Interviews as padded batches: features with a mask a stream, and crops.

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
    """One interview; windows are numbered from the start of the video, also after a crop."""

    video_id: str
    context: Float[Tensor, "T C"]
    face: Float[Tensor, "T F"]
    window: Int[Tensor, " T"]
    outcome: int


class Batch(NamedTuple):
    """Interviews padded to the longest; masks are True where a window of the stream is there."""

    context: Float[Tensor, "B T C"]
    face: Float[Tensor, "B T F"]
    context_mask: Bool[Tensor, "B T"]
    face_mask: Bool[Tensor, "B T"]
    window: Int[Tensor, "B T"]
    outcome: Int[Tensor, " B"]
    video_ids: list[str]

    def inputs(self) -> dict[str, Tensor]:
        """What an emotion model takes."""
        return {name: getattr(self, name) for name in MODEL_INPUTS}

    def to(self, device: torch.device) -> "Batch":
        moved = (x.to(device) if isinstance(x, Tensor) else x for x in self)
        return Batch._make(moved)


MODEL_INPUTS = ("context", "face", "context_mask", "face_mask", "window")


@dataclass(frozen=True)
class EmotionFeatures:
    """Both streams of every interview, by id, in the precision they are stored in.

    Attributes:
        context, face: (T, width) a video; a row of zeros is a missing window.
        digest: changes when any number does; names the data of a run.
    """

    context: dict[str, Tensor]
    face: dict[str, Tensor]
    digest: str

    @property
    def widths(self) -> tuple[int, int]:
        context, face = next(iter(self.context.values())), next(iter(self.face.values()))
        return context.shape[1], face.shape[1]


def load_features(
    context: EncoderStore | OwnFeatures, face: EncoderStore | OwnFeatures, video_ids: list[str]
) -> EmotionFeatures:
    """Reads both streams and checks them against each other.

    Raises:
        DataError: features are absent, not finite, of another shape or width, of two lengths, or
            all zero in both streams.
    """
    streams: dict[str, dict[str, Tensor]] = {"context": {}, "face": {}}
    digest = blake2b(digest_size=8)
    for video_id in video_ids:
        for stream, source in (("context", context), ("face", face)):
            features = source.read(video_id)
            array = features[stream if stream in features else "features"]
            check_features(source, stream, video_id, array)
            digest.update(f"{video_id} {stream} {array.shape} {array.dtype}".encode())
            digest.update(array.tobytes())
            streams[stream][video_id] = torch.from_numpy(array)
        check_pair(video_id, streams["context"][video_id], streams["face"][video_id])
    for stream, tensors in streams.items():
        check_widths(stream, tensors)
    return EmotionFeatures(**streams, digest=digest.hexdigest())


def check_features(
    source: EncoderStore | OwnFeatures, stream: str, video_id: str, array: np.ndarray
) -> None:
    where = f"{source.folder.name}/{video_id} ({stream})"
    if array.ndim != 2 or array.dtype.kind != "f" or not len(array):
        raise DataError(
            f"{where}: holds {array.dtype} {array.shape}, expected floats (windows, width);"
            " save it so"
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{where}: window {int(np.argmin(finite))} holds NaN or infinity; extract it again,"
            " or set the row to 0 to mark it missing"
        )


def check_pair(video_id: str, context: Tensor, face: Tensor) -> None:
    if len(context) != len(face):
        raise DataError(
            f"{video_id}: context has {len(context)} windows, face has {len(face)}; both streams"
            " must come from the same windows: extract both again"
        )
    if not present_windows(context).any() and not present_windows(face).any():
        raise DataError(f"{video_id}: every window is zero in both streams; take it out")


def check_widths(stream: str, features: dict[str, Tensor]) -> None:
    widths = {video_id: array.shape[1] for video_id, array in features.items()}
    first = next(iter(widths.values()))
    for video_id, width in widths.items():
        if width != first:
            raise DataError(
                f"{video_id} ({stream}): width {width}, the others have {first};"
                " extract all with one encoder"
            )


def present_windows(features: Float[Tensor, "T D"]) -> Bool[Tensor, " T"]:
    """False where a row is all zeros, which stands for a missing window."""
    return (features != 0).any(dim=1)


class InterviewDataset(Dataset[Interview]):
    """Interviews of one part of the split.

    Args:
        max_windows: crop of contiguous windows; 0 takes the whole interview. The place of the crop
            depends on seed, epoch and video alone, so that a resumed run draws the same.
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
        """Windows of each interview as it is handed out."""
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
        return Interview(
            video_id,
            context[start:stop].float(),
            face[start:stop].float(),
            torch.arange(start, stop),
            self.outcomes[number],
        )


def collate(interviews: list[Interview]) -> Batch:
    """Pads with zeros, which both masks leave out."""
    context = pad_sequence([i.context for i in interviews], batch_first=True)
    face = pad_sequence([i.face for i in interviews], batch_first=True)
    return Batch(
        context,
        face,
        (context != 0).any(dim=2),
        (face != 0).any(dim=2),
        pad_sequence([i.window for i in interviews], batch_first=True),
        torch.tensor([i.outcome for i in interviews]),
        [i.video_id for i in interviews],
    )
