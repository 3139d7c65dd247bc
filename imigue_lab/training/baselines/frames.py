"""Decodes the frames of clips, once, into the workspace: a zip of JPEGs for each clip.

A network reads the frames that it wants, other ones in each epoch. Frames keep their shape; the
shorter side is S. The name of a file contains a digest of its source, so a changed source gives
another file. A stream other than `rgb` is computed from the frames before they are written.
"""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from imigue_lab.data.index import Index
from imigue_lab.data.layouts.inventory import is_video
from imigue_lab.data.skeletons.cropping import SHORTER
from imigue_lab.data.videos.taylor import taylor_pictures
from imigue_lab.data.videos.video import Frames, Video, segment_centres
from imigue_lab.data.workspace import atomic_path, locked, short_hash, workspace
from imigue_lab.errors import DataError, some
from imigue_lab.training.baselines.pictures import ClipPictures

QUALITY = 90
BYTES_A_PIXEL = 0.3e-9  # of a frame, in GB
LONGEST = 256  # frames; of a longer clip so many are stored, evenly spaced
FASTEST = 20.0  # pixels a frame; larger flow looks the same

Range = tuple[int, int] | None  # first and last frame; None is the whole file


def flow_pictures(frames: Frames) -> Frames:
    """Optical flow to the next frame (OpenCV's DIS): right, down and speed as R, G and B.

    128 is no motion; the last frame repeats the one before.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    still = np.zeros((*grey[0].shape, 2), np.float32)
    moved = [dis.calc(first, second, still.copy()) for first, second in pairwise(grey)]
    flow = np.stack([*moved, moved[-1] if moved else still]) / FASTEST
    speed = np.linalg.norm(flow, axis=-1, keepdims=True)
    return (np.concatenate([flow, speed], axis=-1).clip(-1, 1) * 127 + 128).astype(np.uint8)


PICTURES: dict[str, Callable[[Frames], Frames]] = {
    "rgb": lambda frames: frames,
    "taylor": taylor_pictures,
    "flow": flow_pictures,
}


def open_pictures(
    index: Index, clips: pd.DataFrame, crop: int, stream: str = "rgb"
) -> ClipPictures:
    """The stored frames of clips, created if absent; clips without a video are named.

    `crop` is the side of what the network sees; `stream` one of `PICTURES`, or a folder of videos
    named after videos or clips. Raises DataError if there is no such folder, a video cannot be
    read, or a clip runs past its end.
    """
    if stream in PICTURES:
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
    store_frames(wanted, folder, side, stream)
    table = clips[["clip_id", "split", "subject", "label"]].assign(file=files, made_of=made_of)
    return ClipPictures(table, side, notes if without else [])


def videos_of(folder: Path) -> dict[str, Path]:
    """The videos in a folder and below it, by name without the ending."""
    found = {path.stem: path for path in sorted(folder.rglob("*")) if is_video(path)}
    if not found:
        raise DataError(
            f"pictures: expected {', '.join(PICTURES)} or a folder of videos, got {folder}; correct"
            " the setting"
        )
    return found


def store_frames(
    wanted: dict[Path, dict[Path, Range]], folder: Path, side: int, stream: str
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
        for path, files in tqdm(absent.items(), desc="pictures", unit="video", mininterval=1.0):
            with Video(path, short_side=side) as video:
                spans = {file: span or (0, len(video) - 1) for file, span in files.items()}
                numbers = {
                    str(file): segment_centres(first, last, min(LONGEST, last - first + 1))
                    for file, (first, last) in spans.items()
                }
                for file, frames in video.clips(numbers):
                    write_frames(Path(file), PICTURES[stream](frames))


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
