"""Decodes the frames of clips, once, into the workspace: a zip of JPEGs for each clip.

A network reads the frames that it wants, other ones in each epoch. Frames keep their shape; the
shorter side is S. The name of a file contains a digest of its source, so a changed source gives
another file. A stream other than `rgb` is computed from the frames before they are written.
"""

from collections.abc import Callable
from functools import partial
from io import BytesIO
from itertools import pairwise
from math import ceil, factorial
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from torch import nn

from imigue_lab.data.index import Index
from imigue_lab.data.layouts.inventory import is_video
from imigue_lab.data.skeletons.geometry import SHORTER
from imigue_lab.data.videos.video import Frames, Video, segment_centres
from imigue_lab.data.workspace import atomic_path, locked, progress, short_hash, workspace
from imigue_lab.errors import DataError, some
from imigue_lab.models.checkpoints.registry import Family, fill, read_checkpoint, unwrap
from imigue_lab.training.baselines.pictures import ClipPictures

QUALITY = 90
BYTES_A_PIXEL = 0.3e-9  # of a frame, in GB
LONGEST = 256  # frames; of a longer clip so many are stored, evenly spaced
FASTEST = 20.0  # pixels a frame; larger flow looks the same
RAFT_SIDE = 128  # pixels, the least that RAFT takes; a multiple of its 8
AS_THEY_ARE = Family("", (), dict)  # weights by the names of the model
TERMS = 3  # of a Taylor series
WINDOW = TERMS + 3  # frames x_0 .. x_5 for each Taylor picture

Range = tuple[int, int] | None  # first and last frame; None is the whole file
Flow = Float[np.ndarray, "H W 2"]  # pixels to the right and down


def dis_flow(frames: Frames) -> list[Flow]:
    """The flow from each frame to the next by OpenCV's DIS (Kroeger et al., ECCV 2016)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    still = np.zeros((*grey[0].shape, 2), np.float32)
    return [dis.calc(first, second, still.copy()) for first, second in pairwise(grey)]


@torch.no_grad()
def raft_flow(model: nn.Module, frames: Frames) -> list[Flow]:
    """The same by RAFT (Teed and Deng, ECCV 2020), on frames resized to sides that it takes."""
    from torchvision.transforms.v2.functional import resize  # loads torch's compiler

    own = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures, sides = torch.from_numpy(frames).movedim(-1, 1), frames.shape[1:3]
    larger = max(1.0, RAFT_SIDE / min(sides))
    wanted = [8 * ceil(larger * side / 8) for side in sides]
    pictures = resize(pictures, wanted).to(own) / 127.5 - 1
    model.to(own)
    flows = [resize(model(a[None], b[None])[-1], list(sides))[0] for a, b in pairwise(pictures)]
    scale = np.array([sides[1] / wanted[1], sides[0] / wanted[0]], np.float32)
    return [flow.movedim(0, -1).cpu().numpy() * scale for flow in flows]


def load_raft(path: Path) -> nn.Module:
    """torchvision's RAFT, of the size that the weights in a file have; DataError for others."""
    from torchvision.models.optical_flow import raft_large, raft_small

    state = unwrap(read_checkpoint(path), str(path))
    model = raft_large() if "mask_predictor.conv.weight" in state else raft_small()
    fill(model, state, AS_THEY_ARE, f"{path}: not weights of torchvision's RAFT")
    return model.eval()


def flow_pictures(frames: Frames, between: Callable[[Frames], list[Flow]] = dis_flow) -> Frames:
    """Optical flow to the next frame: right, down and speed as R, G and B.

    128 is no motion; the last frame repeats the one before.
    """
    moved = between(frames) or [np.zeros((*frames.shape[1:3], 2), np.float32)]
    flow = np.stack([*moved, moved[-1]])[: len(frames)] / FASTEST
    speed = np.linalg.norm(flow, axis=-1, keepdims=True)
    return (np.concatenate([flow, speed], axis=-1).clip(-1, 1) * 127 + 128).astype(np.uint8)


def taylor_series(grey: UInt8[np.ndarray, "T H W"]) -> Float[np.ndarray, "T-5 H W 3"]:
    """``T_c = 1/6 sum_i [sum_j (x_j - x_0)^i / i!] D^(i+c) x_0``, c = 1 to 3, i = 0 to 2.

    x are grey values of 0 to 1, j runs over the window, D^k are forward differences. At least 6
    frames.
    """
    x = sliding_window_view(grey.astype(np.float32) / np.float32(255), WINDOW, axis=0)
    moved = x - x[..., :1]
    weights = [(moved**i).sum(axis=-1) / np.float32(factorial(i)) for i in range(TERMS)]
    differences = [np.diff(x, n=k + 1, axis=-1)[..., 0] for k in range(WINDOW - 1)]
    series = [sum(weights[i] * differences[i + c] for i in range(TERMS)) for c in range(3)]
    return np.stack(series, axis=-1) / np.float32(WINDOW)


def taylor_pictures(frames: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "S H W 3"]:
    """Displacement, velocity and acceleration of each pixel as red, green and blue.

    A picture for each frame but the last five; a clip under 6 frames repeats its last. Wang et al.,
    "Taylor videos for action recognition", ICML 2024, with the scale of the ensemble that won the
    MiGA challenge of 2025: the maximum of a picture over its three colours.

    Negative values are 0, and the largest of a picture is 255, as published.
    """
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    lacking = max(0, WINDOW - len(grey))
    series = taylor_series(np.pad(grey, [(0, lacking), (0, 0), (0, 0)], "edge")).clip(0)
    largest = series.max(axis=(1, 2, 3), keepdims=True)
    return (series / np.where(largest > 0, largest, 1) * 255).astype(np.uint8)


PICTURES: dict[str, Callable[[Frames], Frames]] = {
    "rgb": lambda frames: frames,
    "taylor": taylor_pictures,
    "flow": flow_pictures,
}


def converter(stream: str) -> tuple[Callable[[Frames], Frames], str]:
    """How frames become those of a stream, and its name in digests: of `flow:FILE` by content."""
    name, _, file = stream.partition(":")
    if name != "flow" or not file:
        return PICTURES[stream], stream
    from imigue_lab.models.weights import digest  # loads torchvision

    model = load_raft(Path(file).expanduser())
    return partial(flow_pictures, between=partial(raft_flow, model)), f"flow {digest(model)}"


def open_pictures(
    index: Index, clips: pd.DataFrame, crop: int, stream: str = "rgb"
) -> ClipPictures:
    """The stored frames of clips, created if absent; clips without a video are named.

    `crop` is the side of what the network sees; `stream` one of `PICTURES`, `flow:FILE` with
    weights of RAFT, or a folder of videos named after videos or clips. Raises DataError if there is
    no such folder or file, a video cannot be read, or a clip runs past its end.
    """
    if stream in PICTURES or stream.startswith("flow:"):
        whole, own = index.videos.set_index("video_id").video, clips.video
    else:
        whole = videos_of(Path(stream).expanduser())
        own, stream = clips.clip_id.map(whole), "rgb"
    alone = own.notna()
    source = own.where(alone, clips.video_id.map(whole))
    without = clips.clip_id[source.isna()].tolist()
    lacking = {"train", *clips.split} - {"test", *clips.split[source.notna()]}
    if lacking:
        raise DataError(
            f"{index.root}: no video of the clips of {' and '.join(sorted(lacking))}; copy them,"
            " see `check`"
        )
    notes = [f"{len(without)} clips have no picture and are left out: {some(without)}"]
    side = round(crop * SHORTER)
    convert, stream = converter(stream)
    folder = workspace() / "pictures" / index.key
    clips, source = clips[source.notna()], source[source.notna()]
    files: list[Path] = []
    made_of: list[str] = []
    wanted: dict[Path, dict[Path, Range]] = {}
    for clip, path, whole_file in zip(clips.itertuples(), source, alone[source.index], strict=True):
        span = None if whole_file else (clip.start, clip.end)
        kept = path.stat()
        made_of.append(short_hash(path.name, kept.st_size, span, stream, side))
        files.append(folder / f"{clip.clip_id}-{short_hash(made_of[-1], kept.st_mtime_ns)}.zip")
        wanted.setdefault(path, {})[files[-1]] = span
    store_frames(wanted, folder, side, convert)
    table = clips[["clip_id", "split", "subject", "label"]].assign(file=files, made_of=made_of)
    return ClipPictures(table, side, notes if without else [])


def videos_of(folder: Path) -> dict[str, Path]:
    """The videos in a folder and below it, by name without the ending."""
    found = {path.stem: path for path in sorted(folder.rglob("*")) if is_video(path)}
    if not found:
        what = f"{', '.join(PICTURES)}, flow:FILE or a folder of videos"
        raise DataError.expected("pictures", what, folder, "correct the setting")
    return found


def store_frames(
    wanted: dict[Path, dict[Path, Range]],
    folder: Path,
    side: int,
    convert: Callable[[Frames], Frames],
) -> None:
    """Creates absent files, decoding each video once; prints their size first."""
    with locked(folder.with_suffix(".lock")):
        absent = {
            path: {file: span for file, span in files.items() if not file.exists()}
            for path, files in wanted.items()
        }
        absent = {path: files for path, files in absent.items() if files}
        clips = sum(len(files) for files in absent.values())
        if not clips:
            return
        print(f"pictures of {clips} clips, {side} px high: about {size_of(absent, side):.1f} GB")
        for path, files in progress(absent.items(), desc="pictures", unit="video", mininterval=1.0):
            with Video(path, short_side=side) as video:
                spans = {file: span or (0, len(video) - 1) for file, span in files.items()}
                numbers = {
                    str(file): segment_centres(first, last, min(LONGEST, last - first + 1))
                    for file, (first, last) in spans.items()
                }
                for file, frames in video.clips(numbers):
                    write_frames(Path(file), convert(frames))


def size_of(wanted: dict[Path, dict[Path, Range]], side: int) -> float:
    """An estimate in GB, for pictures of 16:9; a clip of its own file counts as the others do."""
    spans = [span for files in wanted.values() for span in files.values()]
    lengths = [min(LONGEST, span[1] - span[0] + 1) for span in spans if span] or [LONGEST]
    return len(spans) * float(np.mean(lengths)) * side**2 * 16 / 9 * BYTES_A_PIXEL


def write_frames(path: Path, frames: Frames) -> None:
    """A JPEG for each frame, in order."""
    with atomic_path(path) as temporary, ZipFile(temporary, "w") as file:
        for number, frame in enumerate(frames):
            encoded = BytesIO()
            Image.fromarray(frame).save(encoded, "jpeg", quality=QUALITY)
            file.writestr(f"{number:05}.jpg", encoded.getvalue())
