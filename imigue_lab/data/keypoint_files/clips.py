"""The keypoints of one clip or of a whole video, in either form in which data sets store them.

A clip's own file takes precedence over the rows of its video's file. Files are parsed once
(`cache.py`).

Letters in shapes: M persons, T frames, V joints, C channels.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32

from imigue_lab.data.clips import KeypointFiles
from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.cache import array_path, convert, read_keypoints
from imigue_lab.data.keypoint_files.tables import Recording, layout_of_shape, read_recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, subset
from imigue_lab.data.store import store_folder
from imigue_lab.errors import DataError, some


def read_clip(index: Index, clip_id: str) -> Recording:
    """The frames of one clip.

    Raises DataError if there is no such clip, it has no keypoints, or they end before it does.
    """
    rows = index.clips[index.clips.clip_id == clip_id]
    if rows.empty:
        raise DataError(
            f"{index.root}: no clip {clip_id!r}; choose one of {some(index.clips.clip_id)}"
        )
    clip = rows.iloc[0]
    if clip.keypoints is not None:
        return read_file(clip.keypoints)
    whole = index.videos.set_index("video_id").keypoints[clip.video_id]
    if whole is None:
        raise DataError(f"{index.root}: contains no keypoints of clip {clip_id}; choose another")
    recording = read_file(whole)
    frames = recording.skeleton.shape[1]
    if clip.end >= frames:
        raise DataError(
            f"{whole}: expected frames up to {clip.end} for clip {clip_id}, got {frames} frames;"
            " correct its range, or copy the file again"
        )
    return Recording(recording.skeleton[:, clip.start : clip.end + 1], recording.layout)


class MappedClips(NamedTuple):
    """Clips and keypoint files, the input of `data.clips.ClipDataset`."""

    clips: pd.DataFrame  # `video_id` is the key of the file, start and end are frames of it
    keypoints: KeypointFiles  # by key, memory-mapped
    layout: Layout  # of all files
    persons: int  # the largest number in a file
    without: list[str]  # ids of the clips that have no keypoints


def map_clips(index: Index, clips: pd.DataFrame) -> MappedClips:
    """Memory-maps the keypoints of clips, after parsing files that are not in the cache.

    Raises DataError for files that cannot be used or have several layouts, or if there is none.
    """
    whole = index.videos.set_index("video_id").keypoints
    alone = clips.keypoints.notna()
    source = clips.keypoints.where(alone, clips.video_id.map(whole))
    key = clips.clip_id.where(alone, clips.video_id)
    found = source.notna()
    if not found.any():
        raise DataError(f"{index.root}: contains no keypoints of its clips; copy them, see `check`")
    files = dict(zip(key[found], source[found], strict=True))
    convert([path for path in files.values() if path.suffix != ".npy"], first_person)
    paths = {
        key: path if path.suffix == ".npy" else array_path(path, first_person)
        for key, path in files.items()
    }
    shapes = {key: np.load(path, mmap_mode="r").shape for key, path in paths.items()}
    last = key[found].map({key: shape[-3] - 1 for key, shape in shapes.items()})
    mapped = clips[found].assign(
        video_id=key[found],
        start=clips.start.where(~alone, 0)[found],
        end=clips.end[found].where(~alone[found], last),
    )
    return MappedClips(
        mapped,
        KeypointFiles(paths),
        one_layout(shapes, files),
        max(shape[0] if len(shape) == 4 else 1 for shape in shapes.values()),
        clips.clip_id[~found].tolist(),
    )


def one_layout(shapes: dict[str, tuple[int, ...]], files: dict[str, Path]) -> Layout:
    """The layout of all files, determined by their number of joints."""
    first, expected = next(iter(shapes.items()))
    for key, shape in shapes.items():
        layout_of_shape(shape, files[key])
        if shape[-2] != expected[-2]:
            raise DataError(
                f"{files[key]}: expected {expected[-2]} joints as in {files[first]}, got"
                f" {shape[-2]}; save all files in one layout"
            )
    return layout_of_shape(expected, files[first])


def keypoint_files(index: Index, video_id: str) -> list[Path]:
    """The keypoint files of a video: its own, else those of its clips; possibly none."""
    whole = index.videos.set_index("video_id").keypoints[video_id]
    if whole is not None:
        return [whole]
    return index.clips.keypoints[index.clips.video_id == video_id].dropna().tolist()


def read_file(path: Path) -> Recording:
    """As `read_recording`, from the cache for formats that are slow to parse."""
    if path.suffix == ".npy":
        return read_recording(path)
    points = np.asarray(read_keypoints(path, first_person))
    return Recording(points[None], layout_of_shape(points.shape, path))


def first_person(path: Path) -> Float32[np.ndarray, "T V 3"]:
    return read_recording(path).skeleton[0]


def upper_body(recording: Recording) -> Recording:
    """The 22 joints of `imigue22`; a layout that lacks some of them is returned unchanged."""
    layout = LAYOUTS["imigue22"]
    if not set(layout.joints) <= set(recording.layout.joints):
        return recording
    return Recording(recording.skeleton[:, :, subset(layout.name, recording.layout.name)], layout)


def with_extracted(index: Index, store: str) -> Index:
    """The index with extracted keypoints (encoder `keypoints`) of videos that have no file of them.

    Raises DataError if there are several versions.
    """
    found = sorted(store_folder(store, index).glob("keypoints-*/"))
    without = index.videos.keypoints.isna()
    if not found or not without.any():
        return index
    if len(found) > 1:
        raise DataError(
            f"{found[0].parent}: expected one version of extracted keypoints, got"
            f" {some(folder.name for folder in found)}; delete the others"
        )
    files = [found[0] / f"{video_id}.safetensors" for video_id in index.videos.video_id]
    extracted = [path if path.exists() else None for path in files]
    keypoints = index.videos.keypoints.where(~without, pd.Series(extracted, dtype=object))
    return replace(index, videos=index.videos.assign(keypoints=keypoints))
