"""The pose encoder of the gesture model: two baseline runs, joint and bone, as one 2s-AGCN.

A run on heatmaps, or of MAMP, may take their place. Tokens are encoded once and stored in the
feature store (`map_encoder`), and placed here.

Letters in shapes: M persons, T frames, S = T / 4 tokens in time, V joints, CC channels of both
streams, W width of a token.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from imigue_lab.data.clips import Clip
from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.geometry import crop_places, person_box
from imigue_lab.data.skeletons.graphs import Stream
from imigue_lab.models.graph.agcn import AGCN, TwoStream
from imigue_lab.models.tokens import joint_places
from imigue_lab.training.baselines.clips import SkeletonClips
from imigue_lab.training.baselines.data import BaselineData
from imigue_lab.training.baselines.heatmaps import HeatmapClips
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import load_baseline, train_baseline
from imigue_lab.training.gesture_clips import GestureData, Sizes
from imigue_lab.training.gestures.map_encoder import Map, MappedClips, open_mapped
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.leaks import held_out, refuse_leak
from imigue_lab.training.runs import Run, find_run

STREAMS: tuple[Stream, Stream] = ("joint", "bone")


class PoseClip(NamedTuple):
    """The skeleton of one clip and its tokens; of a map of heatmaps V are cells, h w, of one M."""

    skeleton: Float[Tensor, "M T V CC"]  # joints and bones in the channels, normalised to the body
    places: Float[Tensor, "M S V 2"]  # of tokens, 0 to 1 over the RGB encoder's crop; -1 if unknown
    seen: Bool[Tensor, "M S V"]  # whether the token's joint is visible in any of its frames
    tokens: Float[Tensor, "M S V W"] | None  # of the frozen encoder; None if it is fine-tuned


def open_posed(settings: GestureSettings, index: Index, data: GestureData) -> MappedClips:
    """The run that `pose_run` names, else two of 2s-AGCN, of which one without a name is trained.

    Raises RunError if a named run has another network, stream or number of frames, or was trained
    on clips that this one holds out.
    """
    if settings.pose_run:
        return open_mapped("pose_run", settings.pose_run, index, data)
    named = dict(zip(STREAMS, (settings.joint_run, settings.bone_run), strict=True))
    runs = {stream: find_run(name) for stream, name in named.items() if name}
    held = held_out(data.split.clips, data.contents)
    for stream, run in runs.items():  # before anything is trained
        load_baseline(run, data)
        shared = {"frames": settings.frames, "sampling": "resample"}
        run.refuse_other(f"{stream}_run", {"model": "2s-agcn", "stream": stream, **shared})
        refuse_leak(f"{stream}_run", run, "skeleton", data.training_clips, held)
    names = "data store preset seed device frames fold keypoints subjects corrections".split()
    for stream in [stream for stream in STREAMS if stream not in runs]:
        arguments = {name: getattr(settings, name) for name in names} | {"stream": stream}
        runs[stream] = train_baseline(BaselineSettings.from_arguments(arguments), data)
    both = [runs[stream] for stream in STREAMS]
    own, clips = BaselineSettings(**both[0].settings()["settings"]), BaselineData(data.split, data)
    return MappedClips(both, own, clips, load_pose_encoder(both, data), STREAMS)


def load_pose_encoder(runs: list[Run], data: GestureData) -> TwoStream:
    """The networks of both runs, in eval mode."""
    joint, bone = (cast(AGCN, load_baseline(run, data)) for run in runs)
    return TwoStream(joint, bone).eval()


def posed_clips(posed: MappedClips, maps: Mapping[str, Map], sizes: Sizes) -> dict[str, PoseClip]:
    """Every clip by id, with a token for each time and joint, or cell of its map.

    `sizes` are of the clips' pictures: tokens of other clips have no places. Without `maps` the
    tokens of 2s-AGCN are left out.
    """
    found: dict[str, PoseClip] = {}
    for clip_id, (clips, number) in posed.seen.items():
        assert isinstance(clips, SkeletonClips)
        tokens, size = maps.get(clip_id), sizes.get(clip_id)
        if isinstance(clips, HeatmapClips):
            clip, cells = clips.clips[number], maps[clip_id]
            placed = place_cells(clips, clip, cells.shape[:3], size)
            tokens = rearrange(cells, "t h w d -> 1 t (h w) d")
        else:
            clip = clips[number]
            persons = posed.net.joint.persons if tokens is None else len(tokens)
            placed = place(clips, number, persons, size)
        found[clip_id] = PoseClip(clip.skeleton, *placed, tokens)
    return found


def place(
    clips: SkeletonClips, number: int, persons: int, size: tuple[int, int] | None
) -> tuple[Float[Tensor, "M S V 2"], Bool[Tensor, "M S V"]]:
    """Positions of a clip's token joints in the RGB encoder's crop, and which are visible."""
    clip = clips.clips[number]
    pixels = clip.skeleton[..., :2].numpy()
    known = size is not None and clips.layout.axes == 2
    if size is not None and known:
        pixels = crop_places(pixels, *size)
    joints, scores = torch.from_numpy(pixels)[None], clip.present[None].float()
    places, seen = (found[0] for found in joint_places(joints, scores))
    if not known:
        places = torch.full_like(places, -1.0)
    absent = (0, 0, 0, 0, 0, persons - len(seen))
    return nn.functional.pad(places, (0, 0, *absent)), nn.functional.pad(seen, absent)


def place_cells(
    clips: HeatmapClips, clip: Clip, grid: Sequence[int], size: tuple[int, int] | None
) -> tuple[Float[Tensor, "1 S V 2"], Bool[Tensor, "1 S V"]]:
    """The same of the cells of a map of `grid` times, rows and columns; all or none are visible."""
    steps, rows, columns = grid
    skeleton = clip.skeleton.numpy()
    top, left, height, width = person_box(skeleton, clips.edge(skeleton))
    y, x = np.meshgrid(*((np.arange(n) + 0.5) / n for n in (rows, columns)), indexing="ij")
    places = np.stack([left + width * x, top + height * y], axis=-1)
    places = crop_places(places, *size) if size else np.full_like(places, -1)
    seen = torch.full((1, steps, rows * columns), bool(clip.present.any()))
    return repeat(torch.from_numpy(places).float(), "h w xy -> 1 t (h w) xy", t=steps), seen
