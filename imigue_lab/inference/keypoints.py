"""A user's video as data: a small tree of the plain layout in the workspace, and its index.

analyses/<id>-<hash>/
    videos.csv         one row
    videos/<id>.mp4    the video, or a copy at the frame rate of the training data
    keypoints/<id>.npy of its frames, if any, and keypoints.json with their layout
    clips.csv          gestures that annotators have corrected, of the classes in classes.csv
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.index import Index
from imigue_lab.data.layouts.inventory import is_video
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.segments import Times, slide, with_windows
from imigue_lab.data.skeletons.keypoints import FILE, Layout, to_declaration, to_stored
from imigue_lab.data.videos.frame_table import frame_table
from imigue_lab.data.videos.video import differ, frames_at, probe, resample_video, varies
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.data.workspace import short_hash, workspace, write_array, write_atomically
from imigue_lab.errors import DataError
from imigue_lab.features.poses import find_poses

SHORTEST = 8  # frames of a window


@dataclass(frozen=True)
class OwnVideo:
    """One video to be analysed."""

    source: Path  # the user's file
    index: Index  # of the tree; its clips are the windows
    keypoints: Float32[np.ndarray, "T V 3"]  # all 0 if there are none
    times: Times  # of the frames that are analysed, in seconds of the source
    remarks: list[str]  # limitations of the result

    @property
    def video_id(self) -> str:
        return str(self.index.videos.video_id.iloc[0])

    @property
    def fps(self) -> float:
        return float(self.index.videos.fps.iloc[0])

    @property
    def frames(self) -> int:
        return len(self.keypoints)


def prepare_video(
    source: Path, given: str, layout: Layout, rate: float | None, vocabulary: Vocabulary
) -> OwnVideo:
    """Finds the keypoints, resamples the video to the training rate, and defines windows.

    Keypoints are given as in `find_poses`; the layout of joints and the vocabulary, which the index
    gets, are those of the gesture run; the rate is that of the training data, None if unknown.

    Raises DataError if the video or its keypoints cannot be used, SettingsError if the estimator is
    unknown or not installed.
    """
    source = source.expanduser().resolve()
    if not source.is_file():
        raise DataError(f"{source}: no such video; name an mp4 in `video`")
    info, seconds = probe(source), frame_table(source).seconds
    frames = len(seconds) - 1
    if frames < SHORTEST or info.fps <= 0:
        what, todo = f"at least {SHORTEST} frames and a frame rate", "encode the file again"
        raise DataError.expected(source, what, f"{frames} frames at {info.fps:g} per second", todo)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", source.stem).lstrip("_.-")[:100] or "video"
    state = source.stat()
    digest = short_hash(source, state.st_size, state.st_mtime_ns, given, to_stored(layout), rate)
    root = workspace() / "analyses" / f"{name}-{digest}"
    found, remarks = find_poses(source, given, layout)
    kept, other = np.arange(frames), rate if rate and differ(info.fps, rate) else None
    if uneven := varies(seconds):
        other = rate or round(info.fps)
    if other:
        kept = frames_at(seconds, other)
        seconds = seconds[0] + np.arange(len(kept) + 1) / other
        remarks.append(
            f"the video has {info.fps:.4g} frames per second{' on average' * uneven}, the training"
            f" data {f'{rate:.4g}' if rate else 'are missing'}: analysed as a resampled copy"
        )
    elif rate is None:
        remarks.append("the training data are missing: their frame rate is unknown")
    write_atomically(root / "videos.csv", f"video_id,split\n{name},test\n")
    place_video(source, root / "videos" / name, other)
    write_atomically(root / FILE, json.dumps(to_declaration(layout)))
    if found is None:
        points = np.zeros((len(kept), len(layout.joints), 3), np.float32)
        remarks.append("no keypoints were given: gestures are based on the RGB branch alone")
    else:
        points = found[kept]
        write_array(root / "keypoints" / f"{name}.npy", points)
    index = replace(read_index(root), vocabulary=vocabulary)
    windows = {name: slide(len(kept), float(index.videos.fps.iloc[0]))}
    return OwnVideo(source, with_windows(index, windows), points, seconds, remarks)


def far_from_face(own: OwnVideo, layout: Layout, boxes: Float32[np.ndarray, "F 5"]) -> list[str]:
    """A remark if the nose is farther from the middle of the found face than its longer side.

    `boxes` are those of `features.streams.FaceStream`.
    """
    if "nose" not in layout.joints:
        return []
    nose = own.keypoints[: len(boxes), layout.joints.index("nose")]
    both = (nose[:, 2] > 0) & ~np.isnan(boxes).any(axis=1)
    low, high = np.split(boxes[both, :4], 2, axis=1)
    apart = np.linalg.norm(nose[both, :2] - (low + high) / 2, axis=1)
    far = int((apart > (high - low).max(axis=1)).sum())
    remark = f"the keypoints lie far from the found face in {far} of {both.sum()} frames with both:"
    return [f"{remark} they may be of another person"] * bool(far)


def place_video(source: Path, target: Path, rate: float | None) -> None:
    """A link to the video, or a copy at another rate, written once."""
    if rate or not is_video(source):
        copy = target.with_suffix(".mp4")
        if not copy.exists():
            resample_video(source, copy, rate or probe(source).fps)
        return
    link = target.with_name(target.name + source.suffix.lower())
    link.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        link.symlink_to(source)
