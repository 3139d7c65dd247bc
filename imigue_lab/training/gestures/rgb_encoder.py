"""RGB tokens of the gesture model: stored maps, or the output of a trained MViTv2-S.

Stored maps come from the feature store or a user's own folder. A trained MViTv2-S is a run of
Table 1 on pictures, either frozen or fine-tuned.

Letters in shapes: B clips, L frames of a clip, H x W pixels of what the network sees; t h w, times
and places of its map; D its width.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torchvision.models.video import mvit
from tqdm import tqdm

from imigue_lab.data.index import Index
from imigue_lab.data.splits import GestureSplit
from imigue_lab.data.store import EncoderStore, Encoding, OwnFeatures, create_store
from imigue_lab.errors import DataError
from imigue_lab.features.flow import Batches
from imigue_lab.models.pictures.mvit import MViT
from imigue_lab.training.baselines.pictures import KINETICS, ClipPictures, normalise
from imigue_lab.training.baselines.train import load_baseline
from imigue_lab.training.gesture_clips import Sizes, picture_sizes
from imigue_lab.training.leaks import held_out, refuse_leak
from imigue_lab.training.runs import Run, find_run

Map = Float[Tensor, "t h w D"]


def read_maps(features: EncoderStore | OwnFeatures, index: Index) -> tuple[dict[str, Map], Sizes]:
    """The RGB map of each clip that has one, and the size of its picture if known.

    A user's own features may be (t, D): tokens of whole pictures.
    """
    known = picture_sizes(index)
    maps: dict[str, Map] = {}
    sizes: Sizes = {}
    for clip_id in index.clips.clip_id:
        if not features.path(clip_id).exists():
            continue
        item = features.read(clip_id)
        array = item["rgb"] if "rgb" in item else item.get("features")
        if array is None or array.ndim not in (2, 4):
            raise DataError(
                f"{features.path(clip_id)}: expected rgb tokens (times, rows, columns, width);"
                " name another encoder by `rgb`"
            )
        whole = array if array.ndim == 4 else rearrange(array, "t d -> t 1 1 d")
        maps[clip_id] = torch.from_numpy(whole)
        if clip_id in known:
            sizes[clip_id] = known[clip_id]
        elif "picture" in item:
            width, height = item["picture"]
            sizes[clip_id] = int(width), int(height)
    widths = {clip.shape[-1]: clip_id for clip_id, clip in maps.items()}
    if len(widths) != 1:
        found = ", ".join(f"{width} in {clip_id}" for width, clip_id in widths.items())
        raise DataError(
            f"{features.folder}: expected clips of one width, got {found or 'no clip'}; extract"
            " them again"
        )
    return maps, sizes


MODEL = "mvitv2-s"
TRAINED = "rgb-trained"  # tokens of a run, in the feature store
AT_ONCE = 8  # clips that are encoded together
BYTES_A_VALUE = 2e-9  # of float16, in GB


class RgbEncoder(nn.Module):
    """MViTv2-S of Table 1, from stored frames to the tokens of its map."""

    def __init__(self, net: nn.Module):
        super().__init__()
        assert isinstance(net, mvit.MViT)
        self.mvit = MViT(net)

    def forward(self, frames: UInt8[Tensor, "B L 3 H W"]) -> Float[Tensor, "B t h w D"]:
        seen = rearrange(normalise(frames, KINETICS), "b l c h w -> b c l h w")
        return self.mvit(seen.contiguous()).tokens


@dataclass(frozen=True)
class FilmedClips:
    """The pictures of clips as the network of a run sees them.

    Attributes:
        run: of MViTv2-S, trained on these pictures.
        pictures: of the clips that have a video.
        shape: times, rows and columns of a clip's map, and its width.
    """

    run: Run
    pictures: ClipPictures
    shape: tuple[int, int, int, int]

    @cached_property
    def arguments(self) -> dict:
        """The arguments of `build_baseline` for its network."""
        return self.run.read_checkpoint("best")["arguments"]

    @cached_property
    def files(self) -> dict[str, Path]:
        """The file of each clip's frames."""
        return dict(zip(self.pictures.clips.clip_id, self.pictures.clips.file, strict=True))

    def frames(self, clip_id: str) -> UInt8[Tensor, "L 3 H W"]:
        """The central square of each frame, as in the evaluation of the network."""
        frames, crop, _ = self.arguments["clip"]
        return self.pictures.middle(self.files[clip_id], frames, crop)

    def batch(self, clip_ids: list[str]) -> tuple[UInt8[Tensor, "B L 3 H W"], Bool[Tensor, " B"]]:
        """The frames of clips, black where there are none, and which clips have any."""
        length, rows, columns = self.arguments["clip"]
        nothing = torch.zeros(length, 3, rows, columns, dtype=torch.uint8)
        present = [clip_id in self.files for clip_id in clip_ids]
        frames = [self.frames(i) if i in self.files else nothing for i in clip_ids]
        return torch.stack(frames), torch.tensor(present)

    @cached_property
    def encoding(self) -> Encoding:
        frames, crop, _ = self.arguments["clip"]
        seen = f"{frames} centre frames, shorter side {self.pictures.side}, centre {crop}"
        return Encoding(
            f"{TRAINED}-{MODEL}", f"weights {self.run.weights_digest()}; {seen}; float32"
        )


def open_filmed(name: str, index: Index, split: GestureSplit) -> FilmedClips:
    """A finished run by name, and the pictures of a split's clips, decoded if absent.

    Raises:
        RunError: the run is of another network, or was trained on clips that the split holds out.
        DataError: a video cannot be read.
    """
    from imigue_lab.training.baselines.frames import open_pictures

    run = find_run(name)
    net = load_baseline(run, vocabulary=split.vocabulary)
    run.refuse_other("rgb_run", {"model": MODEL})
    _, crop, _ = run.read_checkpoint("best")["arguments"]["clip"]
    pictures = open_pictures(index, split.clips, crop)
    held = held_out(split.clips, pictures.contents)
    refuse_leak("rgb_run", run, "picture", pictures.training_clips, held)
    network = RgbEncoder(net).mvit
    return FilmedClips(run, pictures, (*network.grid, network.dim))


def encode_pictures(
    filmed: FilmedClips, store: str, index: Index, device: torch.device
) -> dict[str, Map]:
    """The map of every clip that has pictures, from the feature store or encoded now.

    Changed pictures are encoded again; other weights have another folder in the store.
    """
    kept = create_store(store, index, filmed.encoding)
    absent = [clip for clip, file in filmed.files.items() if not kept.is_fresh(clip, file)]
    if absent:
        encode(filmed, absent, kept, device)
    return {clip_id: torch.from_numpy(kept.read(clip_id)["rgb"]) for clip_id in filmed.files}


@torch.no_grad()
def encode(
    filmed: FilmedClips, clip_ids: list[str], kept: EncoderStore, device: torch.device
) -> None:
    """Encodes clips into the store; prints their size first."""
    size = len(clip_ids) * prod(filmed.shape) * BYTES_A_VALUE
    print(f"rgb tokens of {len(clip_ids)} clips by {filmed.run.folder.name}: about {size:.1f} GB")
    encoder = RgbEncoder(load_baseline(filmed.run)).to(device).eval()

    def keep(clip_id: str, tokens: np.ndarray) -> None:
        kept.write(clip_id, {"rgb": tokens.astype(np.float16)}, filmed.files[clip_id])

    batches = Batches(lambda frames: encoder(frames.to(device)), AT_ONCE)
    for clip_id in tqdm(clip_ids, desc="rgb tokens", unit="clip", mininterval=1.0):
        batches.put(filmed.frames(clip_id), partial(keep, clip_id))
    batches.flush()
