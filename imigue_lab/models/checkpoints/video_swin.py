"""Video Swin as its authors, mmaction2 and torchvision publish it (Liu et al., CVPR 2022).

All are the same model with the same outputs; what comes out is torchvision's.
"""

import re
from collections import Counter
from collections.abc import Mapping

from torch import Tensor
from torchvision.models.video.swin_transformer import SwinTransformer3d

from imigue_lab.errors import DataError
from imigue_lab.models.pictures.video_swin import WINDOW, Lengths, Stages, build_video_swin

PUBLISHED_TO_OURS = (
    (r"^layers\.(\d+)\.blocks\.", lambda stage: f"features.{2 * int(stage[1])}."),
    (r"^layers\.(\d+)\.downsample\.", lambda stage: f"features.{2 * int(stage[1]) + 1}."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
    (r"^norm\d\.", "norm."),  # mmaction2's
    (r"^cls_head\.fc_cls\.", "head."),
)
NOT_NEEDED = re.compile(r"^data_preprocessor\.|\.attn_mask$|\.relative_position_index$")
TABLE = "attn.relative_position_bias_table"


def build(state: Mapping[str, Tensor], window: Lengths | None = None) -> SwinTransformer3d:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names, or torchvision's.
        window: frames, rows and columns, in patches; by default read off the tables of relative
            positions, for windows as wide as high.

    Raises:
        DataError: it is a Swin of single pictures; or several windows have such a table, and none
            is given.
    """
    ours = {rename(key): weight for key, weight in state.items()}
    places = {m.groups() for key in ours if (m := re.match(r"features\.(\d+)\.(\d+)\.", key or ""))}
    blocks = Counter(int(stage) for stage, _ in places)
    depths = tuple(blocks[stage] for stage in sorted(blocks))
    heads = tuple(ours[f"features.{stage}.0.{TABLE}"].shape[1] for stage in sorted(blocks))
    patches = ours["patch_embed.proj.weight"]
    if patches.ndim != 5:
        raise DataError(
            "not a checkpoint of video-swin: patch_embed.proj.weight is of single pictures;"
            " give one of a network that was trained on clips"
        )
    frames, rows, columns = patches.shape[2:]
    return build_video_swin(
        classes=len(ours["head.weight"]),
        stages=Stages(len(patches), depths, heads),
        patch=(frames, rows, columns),
        window=window or read_window(len(ours[f"features.0.0.{TABLE}"]), state),
        mlp_ratio=len(ours["features.0.0.mlp.0.weight"]) / len(patches),
    )


def read_window(entries: int, state: Mapping[str, Tensor]) -> Lengths:
    """The window whose relative positions are so many, and whose places the index buffer has."""
    index = [len(state[key]) for key in state if key.endswith("relative_position_index")]
    fitting = [
        (frames, side, side)
        for side in range(1, entries + 1)
        for frames in [(entries // (2 * side - 1) ** 2 + 1) // 2]
        if (2 * frames - 1) * (2 * side - 1) ** 2 == entries
        and (not index or frames * side * side == index[0])
    ]
    published = [window for window in fitting if window[1] == WINDOW[1]]
    wide = published or [window for window in fitting if window[1] > 1] or fitting
    if len(wide) != 1:
        raise DataError(
            f"these attention windows have {entries} relative positions, which fit"
            f" {' or '.join(map(str, fitting)) or 'no window as wide as high'};"
            " give the one that it was trained with, window=(frames, rows, columns)"
        )
    return wide[0]


def rename(key: str) -> str | None:
    """torchvision's name of a published key; torchvision's own names stay as they are."""
    if NOT_NEEDED.search(key):
        return None
    for published, ours in PUBLISHED_TO_OURS:
        key = re.sub(published, ours, key)
    return key
