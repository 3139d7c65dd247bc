"""RGB tokens of clips out of the feature store, or a user's own folder.

Letters in shapes: t h w, times and places of the RGB encoder's map; D its width.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from imigue_lab.data.index import Index
from imigue_lab.data.store import EncoderStore, OwnFeatures
from imigue_lab.errors import DataError

Map = Float[Tensor, "t h w D"]
Sizes = dict[str, tuple[int, int]]  # clip id -> width and height of its picture


def read_maps(features: EncoderStore | OwnFeatures, index: Index) -> tuple[dict[str, Map], Sizes]:
    """The RGB map of each clip that has one, and the size of its picture where it is known.

    A user's own features may be (t, D) instead: tokens of the whole picture.
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
                f"{features.path(clip_id)}: holds no rgb tokens (times, rows, columns, width);"
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
        told = ", ".join(f"{width} in {clip_id}" for width, clip_id in widths.items())
        raise DataError(
            f"{features.folder}: clips of one width are due, found {told or 'none at all'};"
            " extract them again"
        )
    return maps, sizes


def picture_sizes(index: Index) -> Sizes:
    """Width and height of each clip's picture, of which the index knows its video's."""
    known = index.videos.dropna(subset=["width", "height"]).set_index("video_id")
    return {
        clip_id: (int(known.width[video_id]), int(known.height[video_id]))
        for clip_id, video_id in zip(index.clips.clip_id, index.clips.video_id, strict=True)
        if video_id in known.index
    }
