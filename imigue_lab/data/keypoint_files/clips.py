"""The keypoints of one clip or of a whole video, wherever the layout keeps them.

A clip's own file comes before the rows of its video's file. Files are parsed once (`cache.py`).

Letters in shapes: M persons, T frames, V joints, C channels.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.cache import read_keypoints
from imigue_lab.data.keypoint_files.tables import Recording, read_recording
from imigue_lab.data.keypoints import LAYOUTS, subset
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
