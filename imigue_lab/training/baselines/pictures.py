"""Clips as video networks see them: the centre frames of equal segments, square and normalised.

Each video is decoded once; the frames that clips need are kept in the workspace as JPEG strips of
4:4:4 and quality 95, named after what they were made of, and made again when that has changed.

Letters in shapes: B clips, T frames, S side of the strip, H x W pixels of what the network sees.

Clips as DSCNet sees them: dense frames, and sparse skeletons of joints and bones, joined by id.

Its authors crop the pictures around the skeleton; here they are squares as of the other networks.

Letters in shapes: B clips, M persons, C channels, T frames, V joints.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from einops import rearrange
from filelock import FileLock
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from imigue_lab.data.clips import Clip
from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.augment import Augment
from imigue_lab.data.skeletons.cropping import SHORTER
from imigue_lab.data.videos.video import Frames, Video, segment_centres
from imigue_lab.data.workspace import atomic_path, short_hash, workspace
from imigue_lab.errors import DataError, some
from imigue_lab.models.pictures.dscnet import SHARES
from imigue_lab.training.baselines.clips import Seen, SkeletonClips
from imigue_lab.training.gesture_clips import UNLABELLED

SIDES = {"small": 64, "paper": 224}  # pixels of what the network sees
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of R, G, B
KINETICS = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
QUALITY = 95
BYTES_A_PIXEL = 0.5e-9  # of a strip, in GB

Range = tuple[int, int] | None  # first and last frame; None is the whole file
Colours = tuple[tuple[float, ...], tuple[float, ...]]


class Picture(NamedTuple):
    """What the network sees of one clip."""

    clip_id: str
    frames: UInt8[Tensor, "T 3 H W"]
    label: int


@dataclass(frozen=True)
class ClipPictures:
    """Strips of frames by clip id.

    Attributes:
        clips: clip_id, split, label, `strip`, the file, and `made_of`, what its content hangs on.
        side: S, of the strips in pixels; networks see 7/8 of it.
        notes: what was left out.
    """

    clips: pd.DataFrame
    side: int
    notes: list[str]

    def identity(self) -> dict[str, Any]:
        """Changes when a video, a range, a label or the split does; wherever the folder lies."""
        told = self.clips[["clip_id", "split", "label", "made_of"]]
        return {"digest": short_hash(told.to_csv(index=False))}

    def read(self, path: Path) -> UInt8[np.ndarray, "T S S 3"]:
        """The frames of one strip, RGB."""
        with Image.open(path) as strip:
            return rearrange(np.array(strip), "(t s) w c -> t s w c", s=self.side)

    def middle(self, path: Path, crop: int) -> UInt8[Tensor, "T 3 H W"]:
        """What a network that sees squares of side `crop` sees of a strip, not augmented."""
        start = (self.side - crop) // 2
        return cut(self.read(path), start, start, crop)


class PictureClips:
    """A part's clips as uint8 frames, which `enter` normalises on the device.

    Args:
        crop: side of what the network sees; the middle, or a random part where training augments.
        stacked: frames as channels, (B, 3 T, H, W), else (B, 3, T, H, W).
        colours: mean and deviation of R, G, B between 0 and 1.
        augment: `turn` crops at random in training, `mirror` mirrors half of the clips too.
    """

    def __init__(
        self,
        pictures: ClipPictures,
        part: str,
        crop: int,
        stacked: bool,
        colours: Colours,
        augment: Augment,
        seed: int,
    ):
        self.pictures = pictures
        self.clips = pictures.clips[pictures.clips.split == part].reset_index(drop=True)
        self.crop = crop
        self.stacked = stacked
        self.colours = colours
        self.labels = self.clips.label.fillna(UNLABELLED).astype(int).tolist()
        self.augment = augment
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def lengths(self) -> list[int]:
        return [1] * len(self)

    def draws(self, number: int) -> list[Picture]:
        clip = self.clips.iloc[number]
        if self.augment == "none":
            seen = self.pictures.middle(clip.strip, self.crop)
        else:
            frames = self.pictures.read(clip.strip)
            rng = np.random.RandomState([self.seed, self.epoch, number])
            top, left = rng.randint(self.pictures.side - self.crop + 1, size=2).tolist()
            if self.augment == "mirror" and rng.rand() < 0.5:
                frames = frames[:, :, ::-1]
            seen = cut(frames, top, left, self.crop)
        return [Picture(clip.clip_id, seen, self.labels[number])]

    def collate(self, draws: list[Picture]) -> Seen:
        frames = torch.stack([draw.frames for draw in draws])
        label = torch.tensor([draw.label for draw in draws])
        ids = [draw.clip_id for draw in draws]
        return Seen((frames,), label, torch.ones(len(draws)), ids)

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        return (self.normalised(batch.inputs[0]),)

    def normalised(self, frames: UInt8[Tensor, "B T 3 H W"]) -> Tensor:
        form = "b t c h w -> b (t c) h w" if self.stacked else "b t c h w -> b c t h w"
        return rearrange(normalise(frames, self.colours), form).contiguous()


def normalise(frames: UInt8[Tensor, "B T 3 H W"], colours: Colours) -> Float[Tensor, "B T 3 H W"]:
    """``(x / 255 - mean) / deviation`` of R, G and B."""
    mean, deviation = (torch.tensor(c, device=frames.device)[:, None, None] for c in colours)
    return (frames / 255 - mean) / deviation


def cut(
    frames: UInt8[np.ndarray, "T S S 3"], top: int, left: int, crop: int
) -> UInt8[Tensor, "T 3 H W"]:
    """A square of each frame, channels first."""
    square = frames[:, top : top + crop, left : left + crop]
    return torch.from_numpy(np.ascontiguousarray(rearrange(square, "t h w c -> t c h w")))


def open_pictures(
    index: Index, clips: pd.DataFrame, segments: int, beside: int, crop: int
) -> ClipPictures:
    """The strips of clips, made where absent; clips without a video are left out and named.

    Args:
        clips: of the split.
        segments: of a clip, whose centre frames are taken.
        beside: frames before and after each centre that are taken too, within the clip.
        crop: side of what the network sees.

    Raises:
        DataError: a video cannot be read, or a clip runs past its end.
    """
    whole = index.videos.set_index("video_id").video
    alone = clips.video.notna()
    source = clips.video.where(alone, clips.video_id.map(whole))
    without = clips.clip_id[source.isna()].tolist()
    lacking = {"train", "validation"} - set(clips.split[source.notna()])
    if lacking:
        raise DataError(
            f"{index.root}: holds no video of the clips of {' and '.join(sorted(lacking))}; copy"
            " them, see `check`"
        )
    notes = [f"{len(without)} clips have no picture and are left out: {some(without)}"]
    side = round(crop * SHORTER)
    folder = workspace() / "pictures" / index.key
    clips, source = clips[source.notna()], source[source.notna()]
    strips: list[Path] = []
    made_of: list[str] = []
    wanted: dict[Path, dict[Path, Range]] = {}
    for clip, path in zip(clips.itertuples(), source, strict=True):
        span = None if clip.video is not None else (clip.start, clip.end)
        kept = path.stat()
        made_of.append(short_hash(path.name, kept.st_size, span, segments, beside, side))
        strips.append(folder / f"{clip.clip_id}-{short_hash(made_of[-1], kept.st_mtime_ns)}.jpg")
        wanted.setdefault(path, {})[strips[-1]] = span
    make_strips(wanted, folder, segments, beside, side)
    table = clips[["clip_id", "split", "label"]].assign(strip=strips, made_of=made_of)
    return ClipPictures(table, side, notes if without else [])


def make_strips(
    wanted: dict[Path, dict[Path, Range]], folder: Path, segments: int, beside: int, side: int
) -> None:
    """Those that are absent, each video in one pass; says first how much that will be."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        absent = {
            path: {strip: span for strip, span in strips.items() if not strip.exists()}
            for path, strips in wanted.items()
        }
        absent = {path: strips for path, strips in absent.items() if strips}
        clips = sum(len(strips) for strips in absent.values())
        if not clips:
            return
        frames = segments * (2 * beside + 1)
        size = clips * frames * side**2 * BYTES_A_PIXEL
        print(f"pictures of {clips} clips, {frames} frames of {side} px each: about {size:.1f} GB")
        for path, strips in tqdm(absent.items(), desc="pictures", unit="video", mininterval=1.0):
            with Video(path, short_side=side) as video:
                numbers = {
                    str(strip): frame_numbers(span or (0, len(video) - 1), segments, beside)
                    for strip, span in strips.items()
                }
                for strip, shot in video.clips(numbers):
                    write_strip(Path(strip), shot, side)


def frame_numbers(span: tuple[int, int], segments: int, beside: int) -> list[int]:
    """The centres of equal segments, each between so many neighbours of the clip."""
    start, end = span
    return [
        min(max(centre + step, start), end)
        for centre in segment_centres(start, end, segments)
        for step in range(-beside, beside + 1)
    ]


def write_strip(path: Path, frames: Frames, side: int) -> None:
    """The middle square of each frame, one below the other."""
    top, left = ((length - side) // 2 for length in frames.shape[1:3])
    square = frames[:, top : top + side, left : left + side]
    with atomic_path(path) as temporary:
        strip = Image.fromarray(rearrange(square, "t h w c -> (t h) w c"))
        strip.save(temporary, "jpeg", quality=QUALITY, subsampling=0)


BESIDE = 1  # frames before and after the centre of a segment: three consecutive ones
Pair = tuple[Picture, Clip, Clip]


class DenseSparseClips:
    """Clips that have both pictures and skeletons."""

    def __init__(self, pictures: PictureClips, joints: SkeletonClips, bones: SkeletonClips):
        self.pictures, self.joints, self.bones = pictures, joints, bones
        ids = pictures.clips.clip_id.tolist()
        place = {clip_id: number for number, clip_id in enumerate(joints.clips.clips.clip_ids)}
        self.pairs = [(n, place[clip_id]) for n, clip_id in enumerate(ids) if clip_id in place]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def epoch(self) -> int:
        return self.pictures.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.pictures.epoch = self.joints.epoch = self.bones.epoch = epoch

    @property
    def lengths(self) -> list[int]:
        return [1] * len(self)

    @property
    def labels(self) -> list[int]:
        return [self.pictures.labels[number] for number, _ in self.pairs]

    def draws(self, number: int) -> list[Pair]:
        picture, skeleton = self.pairs[number]
        (frames,) = self.pictures.draws(picture)
        (joint,), (bone,) = self.joints.draws(skeleton), self.bones.draws(skeleton)
        return [(frames, joint, bone)]

    def collate(self, draws: list[Pair]) -> Seen:
        frames, joints, bones = (list(parts) for parts in zip(*draws, strict=True))
        seen = self.pictures.collate(frames)
        skeletons = (self.joints.collate(joints).inputs[0], self.bones.collate(bones).inputs[0])
        return seen._replace(inputs=(*seen.inputs, *skeletons))

    def enter(self, batch: Seen) -> tuple[Tensor, ...]:
        frames, *skeletons = batch.inputs
        turned = (rearrange(x, "b m t v c -> b m c t v") for x in skeletons)
        return (self.pictures.normalised(frames), *turned)


def losses_apart(
    model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, smoothing: float
) -> Tensor:
    """The sum of each stream's cross-entropy: each learns as if it were trained alone.

    Args:
        model: a `DSCNet`, or what Fabric made of one.
    """
    streams: Any = model.streams
    logits = [streams[name](x) for name, x in zip(SHARES, inputs, strict=True)]
    losses = [F.cross_entropy(y.float(), label, label_smoothing=smoothing) for y in logits]
    return torch.stack(losses).sum()
