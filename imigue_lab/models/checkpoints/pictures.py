"""Published networks of pictures, heatmaps and faces: key maps, and sizes from the weights' shapes.

    MViTv2        PySlowFast (`MViTv2_S_16x4_k400_f302660347.pyth`), mmaction2, torchvision
    TSM           its authors and mmaction2 (Lin et al., ICCV 2019); torchvision's ResNet-50
    Video Swin    its authors, mmaction2, torchvision (Liu et al., CVPR 2022); inflated Swins of
                  pictures of their authors and torchvision (Liu et al., ICCV 2021)
    PoseConv3D    pyskl and mmaction2 (Duan et al., CVPR 2022), of joints or limbs
    DSCNet        its authors, a file a stream (Cheng et al., ESWA 2024)
    SwinFace      its authors (`checkpoint_step_79999_gpu_0.pt`): a state dict for each part

Files of MViTv2 and Video Swin become torchvision's models, whatever code wrote them; their outputs
differ by rounding. Their call gives logits (PySlowFast's applies a softmax in evaluation).
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from einops import repeat
from torch import Tensor

from imigue_lab.errors import DataError

State = Mapping[str, Tensor]
Names = tuple[tuple[str, str | Callable[[re.Match], str]], ...]
Lengths = tuple[int, int, int]  # frames, rows, columns

TRANSFORMER: Names = ((r"\.mlp\.fc1\.", ".mlp.0."), (r"\.mlp\.fc2\.", ".mlp.3."))
FILE = tomllib.loads(Path(__file__).with_name("names.toml").read_text(encoding="utf-8"))
NAMES: dict[str, Names] = {network: tuple(map(tuple, rows)) for network, rows in FILE.items()}
MVIT, TSM = NAMES["mvit"], NAMES["tsm"]
DSCNET_RGB: Names = (
    (r"^TSM_intrada\.m1\.0\.", "motion.gather."),
    (r"^TSM_intrada\.m2\.0\.", "motion.gate."),
    *TSM,
    (r"^(?!motion\.)", "tsm."),
)
DSCNET_MSST: Names = (
    (r"^model\.", ""),
    # branches are named after the sizes of their kernels
    (r"^m(\d+)\.conv([1357])\.", lambda m: f"blocks.{int(m[1]) - 1}.branches.{int(m[2]) // 2}."),
    (r"^avgpool\.", "pools.0."),
    (r"^avgpool2\.", "pools.1."),
    (r"^last_linear\.", "head."),
)
POSEC3D: Names = (
    (r"^cls_head\.fc_cls\.", "head."),
    (r"^conv1\.conv\.", "stem.0."),
    (r"^conv1\.bn\.", "stem.1."),
    (r"^layer(\d+)\.", lambda stage: f"stages.{int(stage[1]) - 1}."),
    (r"\.conv1\.", ".squeeze."),
    (r"\.conv2\.", ".look."),
    (r"\.conv3\.", ".expand."),
    (r"\.downsample\.", ".skip."),
    (r"\.conv\.", ".0."),
    (r"\.bn\.", ".1."),
)
RGBPOSE: Names = (
    (r"^cls_head\.fc_(rgb|pose)\.", r"\1_path.cls_head.fc_cls."),
    (r"^rgb_path\.layer(\d)_lateral\.conv\.", lambda key: f"to_rgb.{int(key[1]) - 2}."),
    (r"^pose_path\.layer(\d)_lateral\.conv\.", lambda key: f"to_pose.{int(key[1]) - 1}.0."),
    (r"^pose_path\.layer(\d)_lateral\.bn\.", lambda key: f"to_pose.{int(key[1]) - 1}.1."),
    (r"^(rgb|pose)_path\.(.*)$", lambda key: f"{key[1]}.{rename(key[2], POSEC3D)}"),
)
VIDEO_SWIN: Names = (
    (r"^layers\.(\d+)\.blocks\.", lambda stage: f"features.{2 * int(stage[1])}."),
    (r"^layers\.(\d+)\.downsample\.", lambda stage: f"features.{2 * int(stage[1]) + 1}."),
    *TRANSFORMER,
    (r"^norm\d\.", "norm."),  # mmaction2's
    (r"^cls_head\.fc_cls\.", "head."),
)
SWIN: Names = (  # torchvision's, of pictures
    (r"^features\.0\.0\.", "patch_embed.proj."),
    (r"^features\.0\.2\.", "patch_embed.norm."),
    (r"^features\.(\d+)\.", lambda part: f"features.{int(part[1]) - 1}."),
)
SWINFACE: Names = (*TRANSFORMER, (r"^(patch_embed|layers|norm|feature)\.", r"backbone.\1."))

# Keys that a model has no use for: torchvision's blocks compute masks and indices; SwinFace's file
# includes the classes of its training, a head that nothing uses, and three parts for 42 outputs
# beside the embedding.
DROPPED = r"^data_preprocessor\."
DROPPED_SWIN = rf"{DROPPED}|\.attn_mask$|\.relative_position_index$"
DROPPED_SWINFACE = rf"{DROPPED_SWIN}|^(head|softmax_fc|fam|tss|om)\."
TABLE = "attn.relative_position_bias_table"
WINDOW_SIDE = 7  # patches, of all published Video Swins
INFLATED = 2, 8  # frames of a patch and patches of a window, of those that start from pictures


def rename(key: str, names: Names) -> str:
    """Our name of a published key; one that is ours already, or unknown, stays as it is."""
    for published, ours in names:
        key = re.sub(published, ours, key)
    return key


def renamed(state: State, names: Names) -> dict[str, Tensor]:
    return {rename(key, names): weight for key, weight in state.items()}


def read_mvit(
    state: State, size: Literal["small", "tiny"] = "small", clip: Lengths | None = None
) -> dict[str, Any]:
    """`size` is which of our sizes the file has, `clip` frames, rows and columns; by default from
    the tables of relative positions, which give the side of a square picture only."""
    ours = renamed(state, MVIT)
    if clip is None:
        rows, frames = (
            (len(ours[f"blocks.0.attn.rel_pos_{axis}"]) + 1) // 2 * patch
            for axis, patch in (("h", 4), ("t", 2))
        )
        clip = (frames, rows, rows)
    return {"size": size, "classes": len(ours["head.1.weight"]), "clip": clip}


def read_tsm(state: State, segments: int = 8, share: int = 8) -> dict[str, Any]:
    """The weights do not depend on the `segments` of a clip; for `share` see `TemporalShift`."""
    ours = renamed(state, TSM)
    classes = len(ours["head.weight"])
    return {"classes": classes, "segments": segments, "share": share, **read_resnet(ours, "")}


def with_shifts(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's ResNet-50 as its TSM; other files as they are."""
    return renamed(state, NAMES["resnet"]) if "fc.weight" in state else state


def read_dscnet_rgb(state: State, segments: int = 8) -> dict[str, Any]:
    """The weights give only the frames of each of the `segments` of a clip in training."""
    ours = renamed(state, DSCNET_RGB)
    pictures = ours["motion.gather.weight"].shape[1] // 3  # the frames and their differences
    return {
        "classes": len(ours["tsm.head.weight"]),
        "segments": segments,
        "frames": (pictures + 1) // 2,
        **read_resnet(ours, "tsm."),
    }


def read_resnet(ours: State, prefix: str) -> dict[str, Any]:
    """Blocks of each stage and the width inside the first, by our names."""
    blocks = blocks_of(ours, rf"{re.escape(prefix)}net\.layer(\d)\.(\d+)\.")
    inner = len(ours[f"{prefix}net.layer1.0.conv2.weight"])
    return {"depths": [blocks[stage] for stage in "1234"], "inner": inner}


def blocks_of(state: State, place: str) -> Counter[str]:
    """The number of blocks of each stage, from an expression that finds stage and block in keys."""
    found = {match.groups() for match in map(re.compile(place).match, state) if match}
    return Counter(stage for stage, _ in found)


def read_dscnet_msst(state: State) -> dict[str, Any]:
    ours = renamed(state, DSCNET_MSST)
    narrow, wide = (
        [ours[f"blocks.{block}.branches.{branch}.0.weight"] for block in range(7)]
        for branch in (0, 1)
    )
    return {
        "classes": len(ours["head.weight"]),
        "channels": narrow[0].shape[1],
        "widths": [(len(a), len(b)) for a, b in zip(narrow, wide, strict=True)],
    }


def read_posec3d(state: State, time_strides: Sequence[int] | None = None) -> dict[str, Any]:
    """No shape shows the `time_strides` of the stages; as published the last halves time."""
    stem, depths = state["conv1.conv.weight"], blocks_of(state, r"layer(\d+)\.(\d+)\.")
    stages = sorted(depths, key=int) or ["1"]
    return {
        "classes": len(state["cls_head.fc_cls.weight"]),
        "joints": stem.shape[1],
        "width": len(stem),
        "depths": [depths[stage] for stage in stages],
        "inflated": [state[f"layer{n}.0.conv1.conv.weight"].shape[2] > 1 for n in stages],
        "time_strides": time_strides,
    }


def read_rgbpose(
    state: State,
    ratio: int = 4,
    strides: tuple[Sequence[int], Sequence[int]] = ((1, 2, 2, 2), (2, 2, 2)),
) -> dict[str, Any]:
    """No shape shows the heatmaps for each frame of RGB, or the strides of rows and columns."""
    paths = []
    for path in ("rgb", "pose"):
        start = f"{path}_path."
        own = {n.removeprefix(start): w for n, w in state.items() if n.startswith(start)}
        own["cls_head.fc_cls.weight"] = state[f"cls_head.fc_{path}.weight"]
        paths.append(read_posec3d(own))
    both = {
        name: tuple(path[key] for path in paths)
        for name, key in (("widths", "width"), ("depths", "depths"), ("inflated", "inflated"))
    }
    sizes = {key: paths[1][key] for key in ("classes", "joints")}
    return {**sizes, **both, "ratio": ratio, "strides": strides}


def read_video_swin(state: State, window: Lengths | None = None) -> dict[str, Any]:
    """`window` is frames, rows and columns, in patches; by default from the tables of relative
    positions, for windows as wide as high.

    Raises DataError for tables that fit several windows if none was chosen.
    """
    ours = renamed(state, VIDEO_SWIN)
    blocks = blocks_of(ours, r"features\.(\d+)\.(\d+)\.")
    stages = sorted(blocks, key=int)
    depths = tuple(blocks[stage] for stage in stages)
    heads = tuple(ours[f"features.{stage}.0.{TABLE}"].shape[1] for stage in stages)
    patches = ours["patch_embed.proj.weight"]
    return {
        "classes": len(ours["head.weight"]),
        "stages": (len(patches), depths, heads),
        "patch": tuple(patches.shape[2:]),
        "window": window or read_window(len(ours[f"features.0.0.{TABLE}"]), state),
        "mlp_ratio": len(ours["features.0.0.mlp.0.weight"]) / len(patches),
    }


def inflated(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A Swin of pictures as Video Swin's authors start from it; other files as they are.

    A patch takes the mean of its frames, and a position's bias is the same for all distances in
    time: of a clip without motion the outputs stay the same.
    """
    if "features.0.0.weight" in state:
        state = renamed(state, SWIN)
    patches = state.get("patch_embed.proj.weight")
    if patches is None or patches.ndim != 4:
        return state
    ours = {key: weight for key, weight in state.items() if not key.endswith("position_index")}
    for key in ours:
        if key.endswith(TABLE):
            ours[key] = repeat(ours[key], "places h -> (t places) h", t=2 * INFLATED[1] - 1)
    patches = repeat(patches, "d c h w -> d c t h w", t=INFLATED[0]) / INFLATED[0]
    return ours | {"patch_embed.proj.weight": patches}


def read_window(entries: int, state: State) -> Lengths:
    """The window with so many relative positions, and with as many places as the index buffer."""
    index = [len(state[key]) for key in state if key.endswith("relative_position_index")]
    fitting = [
        (frames, side, side)
        for side in range(1, entries + 1)
        for frames in [(entries // (2 * side - 1) ** 2 + 1) // 2]
        if (2 * frames - 1) * (2 * side - 1) ** 2 == entries
        and (not index or frames * side * side == index[0])
    ]
    published = [window for window in fitting if window[1] == WINDOW_SIDE]
    wide = published or [window for window in fitting if window[1] > 1] or fitting
    if len(wide) != 1:
        raise DataError(
            f"these attention windows have {entries} relative positions, which fit"
            f" {' or '.join(map(str, fitting)) or 'no window as wide as high'};"
            " give the one that it was trained with, window=(frames, rows, columns)"
        )
    return wide[0]


def read_swinface(_: State, size: Literal["full", "tiny"] = "full") -> dict[str, Any]:
    return {"size": size}
