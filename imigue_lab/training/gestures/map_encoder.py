"""Tokens of the gesture model: stored maps, or the output of runs of Table 1, its encoders.

Stored maps of RGB come from the feature store or a user's own folder. A run gives those of its last
stage, on pictures (`rgb_run`), or on heatmaps or skeletons (`pose_encoder`). It is frozen; on
pictures it may be fine-tuned, and so may 2s-AGCN. Whatever it was trained on, it sees each clip
once, frames evenly over all of it.

Letters in shapes: B clips, L frames of a clip, H x W pixels of what the network sees; t h w, times
and places of its map, of skeletons persons, times and joints; D its width.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.geometry import crop_places
from imigue_lab.data.skeletons.graphs import Stream
from imigue_lab.data.store import EncoderStore, Encoding, OwnFeatures, create_store
from imigue_lab.data.workspace import progress, short_hash
from imigue_lab.errors import DataError, RunError
from imigue_lab.models.baselines import TABLE
from imigue_lab.models.tokens import STEP, WHOLE, Region
from imigue_lab.training.baselines.clips import Clips
from imigue_lab.training.baselines.data import BaselineData, load_baseline_data
from imigue_lab.training.baselines.pictures import SIDES, ClipPictures, as_input
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import load_baseline
from imigue_lab.training.gesture_clips import GestureData, Sizes, picture_sizes
from imigue_lab.training.leaks import Kind, refuse_leak
from imigue_lab.training.runs import Run, find_run

TRAINED = "rgb-trained"  # tokens of a run, in the feature store
AT_ONCE = 8  # clips that are encoded together
BYTES_A_VALUE = 2e-9  # of float16, in GB
ONCE = {"sampling": "resample", "augment": "none", "test_clips": 1, "test_crops": 1}
FITTING: dict[str, list[str]] = {  # networks of the run that each names
    "rgb_run": [row.name for row in TABLE if row.modality == "RGB"],
    "pose_run": ["poseconv3d", "mamp"],
}
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
        got, todo = found or "no clip", "extract them again"
        raise DataError.expected(features.folder, "clips of one width", got, todo)
    return maps, sizes


class MapEncoder(nn.Module):
    """A network of pictures of Table 1, from stored frames to the tokens of its map."""

    def __init__(self, net: nn.Module, model: str):
        super().__init__()
        self.net, self.model = net, model

    def forward(self, frames: UInt8[Tensor, "B L 3 H W"]) -> Float[Tensor, "B t h w D"]:
        net: Any = self.net
        return net.tokens(as_input(frames, self.model))


@dataclass(frozen=True)
class MappedClips:
    """The clips of a gesture model as the network of a run sees them."""

    runs: list[Run]  # of a network in `FITTING`, or two of 2s-AGCN, trained on these clips
    settings: BaselineSettings  # of the first run, to see each clip once
    data: BaselineData  # the clips that have such an input
    net: Any  # the best model of the run, in eval mode
    streams: tuple[Stream, ...] = ()  # of skeletons, whose tokens are joints; else cells of a map

    @property
    def run(self) -> Run:
        return self.runs[0]

    @property
    def source(self) -> ClipPictures | GestureData:
        """Pictures of a network of pictures, else keypoints."""
        source = self.data.pictures or self.data.gestures
        assert source is not None
        return source

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `build_baseline` for its network."""
        return {"name": self.settings.model, **self.run.read_checkpoint("best")["arguments"]}

    def region(self, clip_id: str) -> Region:
        """What the map of a clip's pictures shows, as shares of their central crop."""
        pictures = self.data.pictures
        if pictures is None or clip_id not in pictures.boxes:
            return WHOLE
        top, left, height, width = pictures.boxes[clip_id]
        size, corners = self.data.sizes[clip_id], [[left, top], [left + width, top + height]]
        pixels = np.array(corners) * min(size) / pictures.side
        (left, top), (right, bottom) = crop_places(pixels, *size).tolist()
        return left, top, right, bottom

    @cached_property
    def seen(self) -> dict[str, tuple[Clips, int]]:
        """Where each clip is."""
        parts = [self.part(split) for split in self.data.split.clips.split.unique()]
        return {i: (part, n) for part in parts for n, i in enumerate(part.clip_ids)}

    def part(self, split: str) -> Clips:
        if self.streams and self.data.gestures:
            return self.data.gestures.clips(split, self.settings.frames, list(self.streams))
        return self.data.clips(split, self.settings)

    def draw(self, clip_id: str) -> Any:
        """What the network sees of a clip."""
        clips, number = self.seen[clip_id]
        return clips.draws(number)[0]

    @cached_property
    def contents(self) -> dict[str, str]:
        """What the tokens of each clip depend on beside the weights."""
        if self.data.pictures is None:
            return self.source.contents
        table, boxes = self.data.pictures.clips, self.data.pictures.boxes
        files = zip(table.clip_id, table.file, strict=True)
        return {i: short_hash(f.name, f.stat().st_mtime_ns, boxes.get(i)) for i, f in files}

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:
        """Times, rows and columns of a clip's map, and its width."""
        times, rows, columns, width = self.encode([next(iter(self.seen))])[0].shape
        return times, rows, columns, width

    @torch.no_grad()
    def encode(self, clip_ids: list[str]) -> list[Map]:
        """The maps of clips as float16, of skeletons without the padding of shorter ones."""
        clips, _ = self.seen[clip_ids[0]]
        batch = clips.collate([self.draw(clip_id) for clip_id in clip_ids])
        device = next(self.net.parameters()).device
        maps = self.net.tokens(*clips.enter(batch.to(device))).half().cpu()
        if not self.streams:
            return list(maps)
        frames = batch.inputs[1].sum(dim=1).tolist()
        return [own[:, : ceil(n / STEP)].clone() for own, n in zip(maps, frames, strict=True)]

    def batch(self, clip_ids: list[str]) -> tuple[UInt8[Tensor, "B L 3 H W"], Bool[Tensor, " B"]]:
        """The frames of clips, black where there are none, and which clips have any."""
        side = SIDES[self.settings.size]
        nothing = torch.zeros(self.settings.frames, 3, side, side, dtype=torch.uint8)
        present = [clip_id in self.seen for clip_id in clip_ids]
        frames = [self.draw(i).frames if i in self.seen else nothing for i in clip_ids]
        return torch.stack(frames), torch.tensor(present)

    @cached_property
    def encoding(self) -> Encoding:
        kind = TRAINED if self.data.pictures else "pose-trained"
        seen = f"{self.settings.frames} frames evenly, {self.settings.size} size"
        weights = "-".join(run.weights_digest() for run in self.runs)
        return Encoding(f"{kind}-{self.settings.model}", f"weights {weights}; {seen}; float32")


def open_mapped(parameter: str, name: str, index: Index, gestures: GestureData) -> MappedClips:
    """A finished run by name, and its input for the clips of a split; frames are decoded if absent.

    `parameter`, of `FITTING`, names it. Raises RunError if the run is of another network, or was
    trained on clips that the split holds out; DataError if a video cannot be read.
    """
    run, fitting = find_run(name), FITTING[parameter]
    found = run.read_checkpoint("best")
    model = found["model"] if found["task"] == "baseline" else found["task"]
    if model not in fitting:
        what, got = f"a run of {', '.join(fitting)}", f"{run.folder.name!r} of {model}"
        raise RunError.expected(parameter, what, got, "choose another run, or leave it empty")
    settings = BaselineSettings(**run.settings()["settings"]).model_copy(update=ONCE)
    kind: Kind = "picture" if parameter == "rgb_run" else "skeleton"
    net = load_baseline(run, gestures if kind == "skeleton" else None, gestures.split.vocabulary)
    data = load_baseline_data(settings, index, gestures)
    assert settings.stream != "all"
    streams = (settings.stream,) if model == "mamp" else ()
    mapped = MappedClips([run], settings, data, net, streams)
    refuse_leak(parameter, run, kind, mapped.source.training_clips, data.held_out)
    return mapped


def encode_maps(
    mapped: MappedClips, store: str, index: Index, device: torch.device
) -> dict[str, Map]:
    """The map of every clip that the network sees, from the feature store or encoded now.

    Changed clips are encoded again, after their size is printed; other weights have another folder
    in the store.
    """
    weights = mapped.run.folder / "best.safetensors"
    kept = create_store(store, index, mapped.encoding)
    content = {clip_id: mapped.contents[clip_id] for clip_id in mapped.seen}
    fresh = [i for i, own in content.items() if kept.is_fresh(i, weights, content=own)]
    maps = {clip_id: torch.from_numpy(kept.read(clip_id)["tokens"]) for clip_id in fresh}
    if not (absent := content.keys() - maps.keys()):
        return maps
    size = len(absent) * prod(mapped.shape) * BYTES_A_VALUE
    print(f"tokens of {len(absent)} clips by {mapped.run.folder.name}: about {size:.1f} GB")
    mapped.net.to(device)
    # Whole batches again: the last bit may depend on the other clips of a batch.
    ids = list(content)
    batches = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
    batches = [own for own in batches if not absent.isdisjoint(own)]
    for own in progress(batches, desc="tokens", unit="batch"):
        for clip_id, tokens in zip(own, mapped.encode(own), strict=True):
            if clip_id in absent:
                maps[clip_id] = tokens
                facts = {"content": content[clip_id]}
                kept.write(clip_id, {"tokens": tokens.numpy()}, weights, facts)
    mapped.net.cpu()
    return maps
