"""What the gesture model learns from: RGB tokens and skeletons of the same clips, joined by id.

Letters in shapes: B clips, M persons, T frames, S = T / 4 tokens in time, V joints, C channels of a
stream, W width of a pose token; t h w, times and places of the RGB encoder's map, D its width.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from imigue_lab.data.index import Index
from imigue_lab.data.samplers import BalancedSampler
from imigue_lab.data.source import open_data
from imigue_lab.data.store import EncoderStore, Encoding, OwnFeatures, open_features
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError, some
from imigue_lab.models.tokens import Tokens, grid_tokens, joint_tokens
from imigue_lab.training.gesture_data import UNLABELLED, GestureData, load_gesture_data
from imigue_lab.training.gesture_settings import GestureSettings
from imigue_lab.training.loop import open_fabric
from imigue_lab.training.pose_encoder import (
    STREAMS,
    PoseClip,
    Sizes,
    encode_clips,
    load_pose_encoder,
    pose_runs,
)
from imigue_lab.training.runs import Run

Map = Float[Tensor, "t h w D"]


class GestureBatch(NamedTuple):
    """Both modalities of the same clips, padded; a clip without one has an empty mask there.

    Attributes:
        rgb: tokens of the map.
        skeleton: joints and bones side by side.
        frame_mask: False where a frame is padding.
        places, seen: of the pose tokens.
        steps: pose tokens in time that are the clip's own.
        tokens: of the frozen pose encoder; None where the skeleton is to be encoded.
    """

    rgb: Tokens
    skeleton: Float[Tensor, "B M T 2*C"]
    frame_mask: Bool[Tensor, "B T"]
    places: Float[Tensor, "B M S V 2"]
    seen: Bool[Tensor, "B M S V"]
    steps: Int[Tensor, " B"]
    tokens: Float[Tensor, "B M S V W"] | None
    label: Int[Tensor, " B"]
    clip_ids: list[str]

    def to(self, device: torch.device) -> "GestureBatch":
        return GestureBatch._make(
            x.to(device) if isinstance(x, Tensor | Tokens) else x for x in self
        )

    def pose(self, tokens: Float[Tensor, "B M S V W"]) -> Tokens:
        """The pose tokens with their times, places and mask."""
        return joint_tokens(tokens, self.places, self.seen, self.steps)


@dataclass(frozen=True)
class GestureTokens:
    """Every clip that a gesture model of some settings learns from or is scored on.

    Attributes:
        gestures: split, keypoints and layout.
        runs: of the pose encoder, joint and bone.
        rgb: the map of each clip that has one.
        encoding: of the RGB encoder.
        poses: the skeleton of each clip that has one.
        unplaced: clips of whose picture the size is not known.
    """

    gestures: GestureData
    runs: list[Run]
    rgb: dict[str, Map]
    encoding: Encoding
    poses: dict[str, PoseClip]
    unplaced: list[str] = field(default_factory=list)

    @property
    def rgb_dim(self) -> int:
        return next(iter(self.rgb.values())).shape[-1]

    def part(self, split: str) -> pd.DataFrame:
        """clip_id and label of a part's clips, of train those that have a label and a token."""
        clips = self.gestures.split.part(split)
        if split == "train":
            clips = clips[clips.label.notna() & ~clips.clip_id.isin(self.bare)]
        labels = clips.label.fillna(UNLABELLED).astype(int)
        return pd.DataFrame({"clip_id": clips.clip_id, "label": labels})

    @property
    def without_pose(self) -> list[str]:
        ids = self.gestures.split.clips.clip_id
        return [i for i in ids if i not in self.poses or not self.poses[i].seen.any()]

    @property
    def without_rgb(self) -> list[str]:
        return [i for i in self.gestures.split.clips.clip_id if i not in self.rgb]

    @property
    def bare(self) -> set[str]:
        """Clips with neither."""
        return set(self.without_pose) & set(self.without_rgb)

    def identity(self) -> dict[str, Any]:
        """Which data these are, by content, the weights of the pose encoder among them."""
        digest = blake2b(digest_size=8)
        for clip_id, rgb in sorted(self.rgb.items()):
            digest.update(f"{clip_id} {tuple(rgb.shape)}".encode())
            digest.update(rgb.numpy().tobytes())
        weights = [short_hash((run.folder / "best.safetensors").read_bytes()) for run in self.runs]
        return {
            "digest": short_hash(self.gestures.digest, digest.digest()),
            "keypoints": self.gestures.layout.name,
            "rgb": self.encoding.name,
            "pose": "-".join(weights),
        }

    def remarks(self) -> list[str]:
        """What a reader of the scores should know."""
        made = [f"rgb features ({self.encoding.name}) are {self.encoding.note}"]
        bare = self.bare
        counted = [
            f"{len(ids)} clips {what}: {some(sorted(ids))}"
            for ids, what in (
                (set(self.without_rgb) - bare, "have no rgb tokens and rest on pose alone"),
                (set(self.without_pose) - bare, "show no joint and rest on rgb alone"),
                (bare, "have neither rgb tokens nor joints: nothing is learned from them"),
                (self.unplaced, "have pictures of unknown size: their joints have no place"),
            )
            if ids
        ]
        return made * bool(self.encoding.note) + counted + self.gestures.split.remarks

    def batch(self, clips: pd.DataFrame) -> GestureBatch:
        """Pads some clips of `part` to the longest of them."""
        blank_map = torch.zeros(0, 1, 1, self.rgb_dim)
        maps = [self.rgb.get(clip_id, blank_map).float() for clip_id in clips.clip_id]
        poses = [self.poses.get(clip_id, self.blank) for clip_id in clips.clip_id]
        frames = [pose.skeleton.shape[1] for pose in poses]
        steps = [pose.seen.shape[1] for pose in poses]
        tokens = [pose.tokens for pose in poses if pose.tokens is not None]
        return GestureBatch(
            pad_tokens([grid_tokens(rgb[None]) for rgb in maps]),
            pad_time([pose.skeleton for pose in poses]),
            torch.arange(max(frames)) < torch.tensor(frames)[:, None],
            pad_time([pose.places for pose in poses]),
            pad_time([pose.seen for pose in poses]),
            torch.tensor(steps),
            pad_time(tokens).float() if tokens else None,
            torch.tensor(clips.label.to_numpy()),
            clips.clip_id.tolist(),
        )

    @property
    def blank(self) -> PoseClip:
        """One step of no joint, for a clip without keypoints."""
        model = next(iter(self.poses.values()))
        tokens = None if model.tokens is None else torch.zeros_like(model.tokens[:, :1])
        return PoseClip(
            torch.zeros_like(model.skeleton[:, :4]),
            torch.zeros_like(model.places[:, :1]),
            torch.zeros_like(model.seen[:, :1]),
            tokens,
        )

    def lengths(self, clips: pd.DataFrame) -> list[int]:
        return [self.poses.get(i, self.blank).seen.shape[1] for i in clips.clip_id]


class TokenBatches:
    """Shuffled batches of like length, classes nearer to equal shares (`BalancedSampler`)."""

    def __init__(self, data: GestureTokens, batch_size: int, seed: int, balance: float):
        self.data, self.clips = data, data.part("train")
        labels = self.clips.label.tolist()
        lengths = data.lengths(self.clips)
        self.sampler = BalancedSampler(lengths, labels, batch_size, seed, balance)

    def __len__(self) -> int:
        return len(self.sampler)

    def batches(self, epoch: int) -> Iterator[GestureBatch]:
        self.sampler.epoch = epoch
        for numbers in self.sampler:
            yield self.data.batch(self.clips.iloc[numbers])


def in_order(data: GestureTokens, split: str, batch_size: int) -> Iterator[GestureBatch]:
    """Every clip of a part once, those of like length together."""
    clips = data.part(split)
    clips = clips.assign(steps=data.lengths(clips)).sort_values("steps", kind="stable")
    for start in range(0, len(clips), batch_size):
        yield data.batch(clips.iloc[start : start + batch_size])


def pad_time(clips: list[Tensor]) -> Tensor:
    """Stacks (M, time, ...) with zeros behind the shorter ones, on both axes."""
    persons, times = (max(clip.shape[axis] for clip in clips) for axis in (0, 1))
    stacked = clips[0].new_zeros(len(clips), persons, times, *clips[0].shape[2:])
    for row, clip in enumerate(clips):
        stacked[row, : clip.shape[0], : clip.shape[1]] = clip
    return stacked


def pad_tokens(clips: list[Tokens]) -> Tokens:
    """Clips of one, of any number of tokens, as one batch."""
    names = ("values", "times", "mask", "places")
    return Tokens(
        *(pad_sequence([getattr(t, n)[0] for t in clips], batch_first=True) for n in names)
    )


def load_gesture_tokens(settings: GestureSettings) -> GestureTokens:
    """Reads clips and RGB tokens, trains the pose encoder where it is absent, and runs it.

    Raises:
        DataError, RunError: one sentence on what is wrong with them.
    """
    index = open_data(settings.data, store=settings.store)
    gestures = load_gesture_data(settings.data, settings.fold, settings.seed, settings.store)
    features = open_features(settings.rgb, settings.store, index)
    rgb, sizes = read_maps(features, index)
    runs = pose_runs(settings, gestures)
    encoder, device = load_pose_encoder(runs, gestures), open_fabric(settings.device).device
    poses: dict[str, PoseClip] = {}
    for split in gestures.sources.split.unique():
        clips = gestures.clips(split, settings.frames, list(STREAMS))
        poses |= encode_clips(encoder, clips, sizes, device, not settings.finetune)
    unplaced = [clip_id for clip_id in poses if clip_id in rgb and clip_id not in sizes]
    return GestureTokens(gestures, runs, rgb, features.encoding, poses, unplaced)


def read_maps(features: EncoderStore | OwnFeatures, index: Index) -> tuple[dict[str, Map], Sizes]:
    """The RGB map of each clip that has one, and the size of its picture where it is known.

    A user's own features may be (t, D) instead: tokens of the whole picture.
    """
    known = index.videos.dropna(subset=["width", "height"]).set_index("video_id")
    maps: dict[str, Map] = {}
    sizes: Sizes = {}
    for clip_id, video_id in zip(index.clips.clip_id, index.clips.video_id, strict=True):
        if not features.path(clip_id).exists():
            continue
        item = features.read(clip_id)
        array = item["rgb"] if "rgb" in item else item.get("features")
        if array is None or array.ndim not in (2, 4):
            raise DataError(
                f"{features.path(clip_id)}: holds no rgb tokens (times, rows, columns, width);"
                " name another encoder by `rgb`"
            )
        whole = array if array.ndim == 4 else rearrange(array, "t d -> t 1 1 d")
        maps[clip_id] = torch.from_numpy(whole)
        if video_id in known.index:
            sizes[clip_id] = int(known.width[video_id]), int(known.height[video_id])
        elif "picture" in item:
            width, height = item["picture"]
            sizes[clip_id] = int(width), int(height)
    widths = {clip.shape[-1]: clip_id for clip_id, clip in maps.items()}
    if len(widths) != 1:
        told = ", ".join(f"{width} in {clip_id}" for width, clip_id in widths.items())
        raise DataError(
            f"{features.folder}: clips of one width are due, found {told or 'none at all'};"
            " extract them again"
        )
    return maps, sizes
