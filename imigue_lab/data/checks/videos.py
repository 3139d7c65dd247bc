"""Faults in videos: truncated or damaged files, different frame sizes, blurred faces."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from imigue_lab.data.checks.keypoints import HeadBox
from imigue_lab.data.checks.report import Finding, found
from imigue_lab.data.videos.video import Frame, Video, VideoInfo, count_frames
from imigue_lab.errors import DataError

SAMPLES = 3  # frames per video in which the face is inspected
BLURRED = 0.15  # of the frame's sharpness; a guess, no release with blurred faces was available
COPY = "copy them again, or give yourself permission where it is denied"


@dataclass(frozen=True)
class VideoFacts:
    """Facts on one video file."""

    frames: int  # readable ones
    fault: str  # why not all can be read; empty if they can
    sharpness: float  # of the face relative to the whole frame; NaN if no face was inspected


def inspect_video(path: Path, decode: bool, heads: Mapping[int, HeadBox]) -> VideoFacts:
    """Counts the frames of one file, decoding them if requested, and inspects a few faces.

    `heads` are the boxes of the head by frame.
    """
    try:
        count = count_frames(path, decode)
        with Video(path) as video:
            frames = [frame for frame in heads if frame < len(video)]
            steps = np.linspace(0, len(frames) - 1, min(SAMPLES, len(frames))).astype(int)
            samples = [frames[step] for step in np.unique(steps)]
            sharp = [face_sharpness(video.frame(frame), heads[frame]) for frame in samples]
    except DataError as error:
        return VideoFacts(0, str(error).removeprefix(f"{path}: ").partition("; ")[0], np.nan)
    fault = ""
    if count.header and count.frames != count.header:
        fault = f"expected {count.header} frames by its header, got {count.frames}"
    elif count.damaged:
        fault = f"{len(count.damaged)} of {count.frames} frames do not decode"
    return VideoFacts(count.frames, fault, float(np.median(sharp)) if sharp else np.nan)


def face_sharpness(frame: Frame, head: HeadBox) -> float:
    """Sharpness within the box of the head relative to the whole frame."""
    x, y, half = head
    grey = frame.mean(axis=2)
    top, left = max(0, int(y - half)), max(0, int(x - half))
    face = grey[top : int(y + half) + 1, left : int(x + half) + 1]
    if min(face.shape) < 8:
        return np.nan
    return sharpness(face) / max(sharpness(grey), 1e-6)


def sharpness(grey: Float[np.ndarray, "height width"]) -> float:
    """Variance of the Laplacian: small where edges are blurred."""
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * inner).var())


def check_videos(facts: dict[str, VideoFacts], headers: dict[str, VideoInfo]) -> list[Finding]:
    """Findings over all video files, by video id, or by clip id if each clip has a file."""
    faulty = [f"{name}: {fact.fault}" for name, fact in facts.items() if fact.fault]
    what = "video files that cannot be read to their end"
    findings = found("error", "truncated video", what, faulty, COPY)
    sizes = {name: f"{info.width} x {info.height}" for name, info in headers.items()}
    usual = Counter(sizes.values()).most_common(1)[0][0] if sizes else ""
    others = [f"{name}: {size}" for name, size in sizes.items() if size != usual]
    what = f"frames of another size than the usual {usual}"
    advice = "pixel thresholds and crops have another meaning there"
    findings += found("warning", "picture sizes disagree", what, others, advice)
    blurred = [name for name, fact in facts.items() if fact.sharpness < BLURRED]
    what = "faces look blurred: such a release cannot serve the emotion track"
    advice = "ask for the release with faces"
    return findings + found("warning", "blurred faces", what, blurred, advice)
