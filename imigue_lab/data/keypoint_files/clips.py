"""The keypoints of one clip or of a whole video, in either form in which data sets store them.

A clip's own file takes precedence over the rows of its video's file. Files are parsed once
(`cache.py`). Keypoints of the picture are in pixels, with scores up to 1, whatever unit their file
has: OpenPose writes fractions of the picture on request (``--keypoint_scale 3``: 0 to 1, 4: -1 to
1, 5: 0 to 100), as MediaPipe always does; SimCC estimators (RTMPose) write peaks of up to 10 as
scores.

Letters in shapes: M persons, T frames, V joints, C channels.
"""

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32

from imigue_lab.data.clips import KeypointFiles
from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.cache import array_path, convert, read_keypoints
from imigue_lab.data.keypoint_files.openpose import HIGHEST, LARGEST
from imigue_lab.data.keypoint_files.tables import (
    Recording,
    as_recording,
    layout_of_file,
    named_layout,
    read_points,
)
from imigue_lab.data.skeletons.geometry import pick, present, with_places
from imigue_lab.data.skeletons.keypoints import (
    LAYOUTS,
    Layout,
    Unit,
    contains,
    declared_layout,
    subset,
)
from imigue_lab.data.store import store_folder
from imigue_lab.data.workspace import map_array, short_hash, workspace, write_array
from imigue_lab.errors import DataError, some

BEYOND = 0.05  # share of the picture by which points may be outside
SAMPLE = 1000  # joints by which a file in pixels is recognised quickly
LARGE = 300  # pixels; whoever never leaves the first 100 of a larger picture has percent
Size = tuple[int, int]  # width and height in pixels
RANGES: dict[Unit, tuple[int, int]] = {
    "fractions": (0, 1),
    "signed fractions": (-1, 1),
    "percent": (0, 100),
}


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
        return read_file(index, clip.keypoints, clip.video_id)
    whole = index.videos.set_index("video_id").keypoints[clip.video_id]
    if whole is None:
        raise DataError(f"{index.root}: contains no keypoints of clip {clip_id}; choose another")
    recording = read_file(index, whole, clip.video_id)
    frames = recording.skeleton.shape[1]
    if clip.end >= frames:
        what, got = f"frames up to {clip.end} for clip {clip_id}", f"{frames} frames"
        raise DataError.expected(whole, what, got, "correct its range, or copy the file again")
    return replace(recording, skeleton=recording.skeleton[:, clip.start : clip.end + 1])


class MappedClips(NamedTuple):
    """Clips and keypoint files, the input of `data.clips.ClipDataset`."""

    clips: pd.DataFrame  # `video_id` is the key of the file, start and end are frames of it
    keypoints: KeypointFiles  # by key, memory-mapped
    layout: Layout  # of all files
    persons: int  # the largest number in a file
    without: list[str]  # ids of the clips that have no keypoints
    remarks: list[str]  # on units and scores


def map_clips(index: Index, clips: pd.DataFrame, wanted: Layout | None = None) -> MappedClips:
    """Memory-maps the keypoints of clips, after parsing files that are not in the cache.

    `wanted` is the layout to train on, see `layout_of_file`. Raises DataError for files that cannot
    be used or have several layouts, or if there is none.
    """
    whole = index.videos.set_index("video_id").keypoints
    alone = clips.keypoints.notna()
    source = clips.keypoints.where(alone, clips.video_id.map(whole))
    key = clips.clip_id.where(alone, clips.video_id)
    found = source.notna()
    if not found.any():
        raise DataError(
            f"{index.root}: contains no keypoints of its clips; add them as docs/data.md describes,"
            " or train from pictures, as with --model tsm"
        )
    files = dict(zip(key[found], source[found], strict=True))
    convert([path for path in files.values() if not is_array(path)], parse)
    declared, videos = declared_layout(index.root), clips.set_index("clip_id").video_id
    paths, layouts, remarks = {}, {}, dict[str, list[str]]()
    for name, path in files.items():
        paths[name] = path if is_array(path) else array_path(path, parse)
        if named := named_layout(path):  # of data sets, in pixels
            layouts[name] = named
            continue
        points = map_array(paths[name])
        layouts[name] = layout_of_file(path, points.shape, declared, wanted)
        if needs_nothing(points, layouts[name]):
            continue
        size = picture_size(index, str(videos.get(name, name)))
        recording = in_pixels(as_recording(path, points, declared, wanted), size)
        layouts[name] = recording.layout
        for remark in recording.remarks:
            remarks.setdefault(remark, []).append(str(name))
        if recording.remarks:  # a copy in the workspace
            digest = blake2b(np.ascontiguousarray(recording.skeleton).tobytes(), digest_size=8)
            stem = f"{path.stem}-{short_hash(path.absolute())}-{digest.hexdigest()}"
            paths[name] = workspace() / "keypoints" / f"{stem}.npy"
            write_array(paths[name], recording.skeleton)
    shapes = {name: np.load(path, mmap_mode="r").shape for name, path in paths.items()}
    last = key[found].map({name: shape[-3] - 1 for name, shape in shapes.items()})
    mapped = clips[found].assign(
        video_id=key[found],
        start=clips.start.where(~alone, 0)[found],
        end=clips.end[found].where(~alone[found], last),
    )
    return MappedClips(
        mapped,
        KeypointFiles(paths),
        one_layout(layouts, files),
        max(shape[0] if len(shape) == 4 else 1 for shape in shapes.values()),
        clips.clip_id[~found].tolist(),
        [f"{remark} ({some(names)})" for remark, names in remarks.items()],
    )


def one_layout(layouts: dict[str, Layout], files: dict[str, Path]) -> Layout:
    """The layout of all files."""
    first, expected = next(iter(layouts.items()))
    for key, layout in layouts.items():
        if layout != expected:
            what = f"{len(expected.joints)} joints of {expected.name} as in {files[first]}"
            got = f"{len(layout.joints)} of {layout.name}"
            raise DataError.expected(files[key], what, got, "save all files in one layout")
    return expected


def keypoint_files(index: Index, video_id: str) -> list[Path]:
    """The keypoint files of a video: its own, else those of its clips; possibly none."""
    whole = index.videos.set_index("video_id").keypoints[video_id]
    if whole is not None:
        return [whole]
    return index.clips.keypoints[index.clips.video_id == video_id].dropna().tolist()


def read_file(index: Index, path: Path, video_id: str, wanted: Layout | None = None) -> Recording:
    """A keypoint file of a video or of one of its clips, in pixels, from the cache if possible."""
    points = map_array(path) if is_array(path) else read_keypoints(path, parse)
    wanted = wanted or LAYOUTS.get(index.keypoints)
    recording = as_recording(path, points, declared_layout(index.root), wanted)
    return in_pixels(recording, picture_size(index, video_id))


def is_array(path: Path) -> bool:
    """Whether a file needs no cache."""
    return path.suffix.lower() == ".npy"


def picture_size(index: Index, video_id: str) -> Size | None:
    """Width and height of a video's picture; None if unknown."""
    video = index.videos[index.videos.video_id == video_id]
    if video.empty or video[["width", "height"]].isna().any(axis=None):
        return None
    return int(video.width.iloc[0]), int(video.height.iloc[0])


def parse(path: Path) -> Float32[np.ndarray, "*persons T V 3"]:
    """The keypoints of a file, (T, V, C) of one person, or (M, T, V, C)."""
    skeleton = read_points(path)
    return skeleton[0] if len(skeleton) == 1 else skeleton


def upper_body(recording: Recording) -> Recording:
    """The 22 joints of `imigue22`; a layout that lacks some of them is returned unchanged."""
    layout = LAYOUTS["imigue22"]
    if not contains(recording.layout, layout):
        return recording
    points = pick(recording.skeleton, subset(layout, recording.layout))
    return replace(recording, skeleton=points, layout=layout)


def with_extracted(index: Index, store: str) -> Index:
    """The index with extracted keypoints (encoder `keypoints`) of videos that have no file of them.

    Raises DataError if there are several versions.
    """
    found = sorted(store_folder(store, index).glob("keypoints-*/"))
    without = index.videos.keypoints.isna()
    if not found or not without.any():
        return index
    if len(found) > 1:
        what, got = "one version of extracted keypoints", some(folder.name for folder in found)
        raise DataError.expected(found[0].parent, what, got, "delete the others")
    files = [found[0] / f"{video_id}.safetensors" for video_id in index.videos.video_id]
    extracted = [path if path.exists() else None for path in files]
    keypoints = index.videos.keypoints.where(~without, pd.Series(extracted, dtype=object))
    return replace(index, videos=index.videos.assign(keypoints=keypoints))


def in_pixels(recording: Recording, size: Size | None) -> Recording:
    """The recording in pixels of its picture with scores up to 1; remarks say what was changed.

    Joints in space are returned as they are. Without the picture's size, fractions stay.
    """
    skeleton, remarks = recording.skeleton, list(recording.remarks)
    if recording.layout.axes == 3:
        return recording
    if skeleton[..., 2].max(initial=0) > HIGHEST:
        remarks.append("scores above 1 are taken for 1")
        skeleton = np.concatenate([skeleton[..., :2], skeleton[..., 2:].clip(max=1)], axis=-1)
    unit = unit_of(recording, size)
    if unit != "pixels" and size is None:
        what = f"coordinates are {unit} of a picture of unknown size"
        remarks.append(f"{what}: width and height are not to scale until the video is added")
    elif size is not None and unit != "pixels":
        low, high = RANGES[unit]
        remarks.append(f"coordinates are {unit} of the picture: scaled to its pixels")
        places = (skeleton[..., :2] - low) / (high - low) * size
        skeleton = with_places(skeleton, places * present(skeleton)[..., None])
    elif size is None and within(skeleton[..., :2], RANGES["percent"]):
        what = "all points are in the first 100 pixels: if they are percent of the picture"
        remarks.append(f"{what}, declare the unit in keypoints.json, or add the video")
    layout = recording.layout
    if layout.unit != "pixels" or not layout.scores:
        layout = replace(layout, unit="pixels", scores=True)
    return Recording(skeleton, layout, tuple(remarks))


def within(places: Float[np.ndarray, "*points 2"], span: tuple[int, int]) -> bool:
    return bool(span[0] <= places.min() and places.max() <= span[1])


def needs_nothing(points: np.ndarray, layout: Layout) -> bool:
    """Whether an array is valid, and in space, or in pixels with scores up to 1; quicker than to
    convert it."""
    values = np.asarray(points).reshape(-1, points.shape[-1])
    if values.dtype.kind != "f" or not values.size or values.shape[1] != 3:
        return False
    most = max(values.max(), -values.min())  # NaN where any is
    if layout.axes == 3:
        return bool(most < np.finfo(np.float32).max)
    few, score = values[:: max(1, len(values) // SAMPLE)], values[:, 2]
    far = few[few[:, 2] > 0, :2].max(initial=0) > RANGES["percent"][1]
    scored = layout.scores and score.min() >= 0 and score.max() <= HIGHEST
    return bool(layout.unit == "pixels" and far and most <= LARGEST and scored)


def unit_of(recording: Recording, size: Size | None) -> Unit:
    """The declared unit, else the narrowest range that contains all points."""
    if recording.layout.unit != "pixels":
        return recording.layout.unit
    shown = recording.skeleton[present(recording.skeleton)][:, :2]
    if not len(shown):
        return "pixels"
    low, high = float(shown.min()), float(shown.max())
    if high <= 1 + BEYOND and low >= -1 - 2 * BEYOND:
        return "fractions" if low >= -BEYOND else "signed fractions"
    large = size is not None and min(size) >= LARGE
    return "percent" if large and within(shown, RANGES["percent"]) else "pixels"
