"""The keypoints of one clip or of a whole video, wherever the layout keeps them.

A clip's own file comes before the rows of its video's file. Files are parsed once (`cache.py`).

Letters in shapes: M persons, T frames, V joints, C channels.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32

from imigue_lab.data.clips import KeypointFiles
from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.cache import array_path, convert, read_keypoints
from imigue_lab.data.keypoint_files.tables import BY_JOINTS, Recording, read_recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, subset
from imigue_lab.errors import DataError, some


def read_clip(index: Index, clip_id: str) -> Recording:
    """The frames of one clip.

    Raises:
        DataError: there is no such clip, nothing holds its keypoints, or they end before it does.
    """
    rows = index.clips[index.clips.clip_id == clip_id]
    if rows.empty:
        raise DataError(
            f"clip {clip_id!r} is not in {index.root}; there are {some(index.clips.clip_id)}"
        )
    clip = rows.iloc[0]
    if clip.keypoints is not None:
        return read_file(clip.keypoints)
    whole = index.videos.set_index("video_id").keypoints[clip.video_id]
    if whole is None:
        raise DataError(f"{index.root}: holds no keypoints of clip {clip_id}; choose another")
    recording = read_file(whole)
    frames = recording.skeleton.shape[1]
    if clip.end >= frames:
        raise DataError(
            f"{whole}: clip {clip_id} ends at frame {clip.end} and {frames} are there; correct its"
            " range, or copy the file again"
        )
    return Recording(recording.skeleton[:, clip.start : clip.end + 1], recording.layout)


class MappedClips(NamedTuple):
    """Clips as `data.clips.ClipDataset` takes them.

    Attributes:
        clips: with the range within the file that holds them, and in `video_id` that file's key.
        keypoints: by key, mapped into memory.
        layout: of all files.
        persons: at most in a file.
        without: ids of the clips whose keypoints are nowhere.
    """

    clips: pd.DataFrame
    keypoints: KeypointFiles
    layout: Layout
    persons: int
    without: list[str]


def map_clips(index: Index, clips: pd.DataFrame) -> MappedClips:
    """Parses what was not parsed before, and maps the rest.

    Raises:
        DataError: a file cannot be used, none is there, or they are of several layouts.
    """
    whole = index.videos.set_index("video_id").keypoints
    alone = clips.keypoints.notna()
    source = clips.keypoints.where(alone, clips.video_id.map(whole))
    key = clips.clip_id.where(alone, clips.video_id)
    there = source.notna()
    if not there.any():
        raise DataError(f"{index.root}: holds no keypoints of its clips; copy them, see `check`")
    files = dict(zip(key[there], source[there], strict=True))
    convert([path for path in files.values() if path.suffix != ".npy"], first_person)
    paths = {
        key: path if path.suffix == ".npy" else array_path(path, first_person)
        for key, path in files.items()
    }
    shapes = {key: np.load(path, mmap_mode="r").shape for key, path in paths.items()}
    last = key[there].map({key: shape[-3] - 1 for key, shape in shapes.items()})
    mapped = clips[there].assign(
        video_id=key[there],
        start=clips.start.where(~alone, 0)[there],
        end=clips.end[there].where(~alone[there], last),
    )
    return MappedClips(
        mapped,
        KeypointFiles(paths),
        one_layout(shapes, files),
        max(shape[0] if len(shape) == 4 else 1 for shape in shapes.values()),
        clips.clip_id[~there].tolist(),
    )


def one_layout(shapes: dict[str, tuple[int, ...]], files: dict[str, Path]) -> Layout:
    """The layout of all files, told by their number of joints."""
    first, expected = next(iter(shapes.items()))
    for key, shape in shapes.items():
        if len(shape) not in (3, 4) or shape[-1] != 3 or shape[-2] not in BY_JOINTS:
            raise DataError(
                f"{files[key]}: holds {shape}, expected (frames, joints, 3) with"
                f" {', '.join(map(str, BY_JOINTS))} joints; save it so"
            )
        if shape[-2] != expected[-2]:
            raise DataError(
                f"{files[key]}: holds {shape[-2]} joints and {files[first]} {expected[-2]}; a model"
                " takes one layout: save all files in the same"
            )
    return LAYOUTS[BY_JOINTS[expected[-2]]]


def keypoint_files(index: Index, video_id: str) -> list[Path]:
    """What holds the keypoints of a video: its own file, else those of its clips; maybe nothing."""
    whole = index.videos.set_index("video_id").keypoints[video_id]
    if whole is not None:
        return [whole]
    return index.clips.keypoints[index.clips.video_id == video_id].dropna().tolist()


def read_file(path: Path) -> Recording:
    """One file by its name, as `read_recording` does, out of the cache where it is slow to parse.

    Raises:
        DataError: it cannot be used.
    """
    if path.suffix == ".npy":
        return read_recording(path)
    points = np.asarray(read_keypoints(path, first_person))
    layouts = (LAYOUTS[name] for name in ("openpose137", "light_hand35", "body25"))
    layout = next(layout for layout in layouts if len(layout.joints) == points.shape[1])
    return Recording(points[None], layout)


def first_person(path: Path) -> Float32[np.ndarray, "T V 3"]:
    return read_recording(path).skeleton[0]


def upper_body(recording: Recording) -> Recording:
    """The 22 joints that gestures are told by; a layout that lacks some of them stays whole."""
    layout = LAYOUTS["imigue22"]
    if not set(layout.joints) <= set(recording.layout.joints):
        return recording
    return Recording(recording.skeleton[:, :, subset(layout.name, recording.layout.name)], layout)
