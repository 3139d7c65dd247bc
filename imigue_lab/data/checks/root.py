"""The data check: the known faults of a copy of iMiGUE, found before training.

Label tables (`tables`), keypoints and videos are checked in turn; nothing is changed, and no fault
stops the check. Keypoints have lost frames, empty skeletons, missing joints or swapped hands;
videos are truncated or damaged, with different frame sizes or blurred faces.

Letters in shapes: T frames, V joints, each with x, y, score (or x, y, z).
"""

import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float

from imigue_lab.data.checks import tables
from imigue_lab.data.checks.tables import Finding, found
from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.cache import convert
from imigue_lab.data.keypoint_files.clips import is_array, parse, read_file, with_extracted
from imigue_lab.data.layouts.recognise import survey_root, with_people
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.data.videos.video import Frame, Video, VideoInfo, probe_all, rates_of
from imigue_lab.data.workspace import progress
from imigue_lab.errors import DataError, LabError

ORDER = ("error", "warning", "note")
Decode = Literal["all", "sample", "none"]
Keypoints = Float[np.ndarray, "T V 3"]
HeadBox = tuple[float, float, float]  # centre x, centre y, half side, in pixels
OFTEN = 0.5  # share of frames; a joint that is seen in fewer is reported
NEARER = 0.5  # hands are swapped if the other wrist is at less than this share of the distance
THREADS = 2
SAMPLES = 3  # frames per video in which the face is inspected
BLURRED = 0.15  # of the frame's sharpness; a guess, no release with blurred faces was available
UPPER = "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist"


@dataclass(frozen=True)
class KeypointFacts:
    """Facts on one keypoint file."""

    rows: int  # frames in the file
    seen: float  # share of all joints and frames with a score above 0
    missing: tuple[str, ...]  # upper-body joints, missing in more than half of the frames
    swapped: bool  # fingertips are at the wrist of the other hand
    heads: dict[int, HeadBox]  # by frame
    remarks: tuple[str, ...] = ()  # on units and scores


def read_facts(
    keypoints: Keypoints, layout: Layout, remarks: tuple[str, ...] = ()
) -> KeypointFacts:
    """Facts on the keypoints of one person."""
    seen = present(keypoints[None], layout.axes)[0]
    if not seen.any():
        return KeypointFacts(len(keypoints), 0.0, (), False, {})
    joints = layout.joints
    rare = {joint for joint, share in zip(joints, seen.mean(axis=0), strict=True) if share < OFTEN}
    missing = tuple(joint for joint in UPPER.split() if joint in rare)
    swapped = hands_swapped(keypoints, seen, joints)
    heads = head_boxes(keypoints, seen, joints) if layout.axes == 2 else {}
    return KeypointFacts(len(keypoints), float(seen.mean()), missing, swapped, heads, remarks)


def hands_swapped(
    keypoints: Keypoints, seen: Bool[np.ndarray, "T V"], joints: tuple[str, ...]
) -> bool:
    """Whether the fingertips of both hands are nearer to the other wrist, in the median frame."""
    nearer = []
    for side, other in (("right", "left"), ("left", "right")):
        tip, wrist, far = f"{side}_middle_tip", f"{side}_wrist", f"{other}_wrist"
        if not {tip, wrist, far} <= set(joints):
            return False
        numbers = [joints.index(joint) for joint in (tip, wrist, far)]
        frames = seen[:, numbers].all(axis=1)
        if not frames.any():
            return False
        tips, own, others = (keypoints[frames, number, :2] for number in numbers)  # x, y suffice
        to_own = np.linalg.norm(tips - own, axis=1)
        to_other = np.linalg.norm(tips - others, axis=1)
        nearer.append(np.median(to_other) < NEARER * np.median(to_own))
    return all(nearer)


def head_boxes(
    keypoints: Keypoints, seen: Bool[np.ndarray, "T V"], joints: tuple[str, ...]
) -> dict[int, HeadBox]:
    """The box of the head in the frames with nose and neck."""
    if not {"nose", "neck"} <= set(joints):
        return {}
    ends = [joints.index(joint) for joint in ("nose", "neck")]
    nose, neck = (keypoints[:, end] for end in ends)
    frames = np.flatnonzero(seen[:, ends].all(axis=1))
    half = 0.6 * np.linalg.norm(nose[:, :2] - neck[:, :2], axis=1)
    return {int(f): (float(nose[f, 0]), float(nose[f, 1]), float(half[f])) for f in frames}


def files_of(index: Index, column: Literal["video", "keypoints"]) -> dict[str, Path]:
    """The files of whole videos by video id, and those of single clips by clip id."""
    whole, single = index.videos.set_index("video_id"), index.clips.set_index("clip_id")
    return whole[column].dropna().to_dict() | single[column].dropna().to_dict()


def read_poses(index: Index) -> tuple[dict[str, KeypointFacts], list[Finding]]:
    """Reads every keypoint file once; unreadable files are grouped by the kind of error."""
    poses: dict[str, KeypointFacts] = {}
    unreadable: dict[str, list[tuple[str, str]]] = {}  # message without numbers -> name, message
    files, video_of = files_of(index, "keypoints"), index.clips.set_index("clip_id").video_id
    with suppress(LabError):  # errors are collected per file below; a cache is not needed
        convert([path for path in files.values() if not is_array(path)], parse)
    for name, path in files.items():
        try:
            recording = read_file(index, path, video_of.get(name, name))
        except DataError as error:
            message = str(error).removeprefix(str(path)).lstrip(":, ")
            unreadable.setdefault(re.sub(r"\d+", "", message), []).append((name, message))
            continue
        poses[name] = read_facts(recording.skeleton[0], recording.layout, recording.remarks)
    return poses, [
        Finding("error", "unreadable keypoints", what, tuple(name for name, _ in group), advice)
        for group in unreadable.values()
        for what, _, advice in [group[0][1].rpartition("; ")]
    ]


def check_keypoints(facts: dict[str, KeypointFacts], frames: dict[str, int]) -> list[Finding]:
    """Findings over all keypoint files, by video id, or by clip id if each clip has a file.

    `frames` are the expected rows of each, where known.
    """
    by_one, by_more = list[str](), list[str]()
    for name, fact in facts.items():
        if difference := abs(fact.rows - frames.get(name, fact.rows)):
            why = rates_of(fact.rows, frames[name]) if difference > 1 else ""
            place = f"{name} has {fact.rows} rows for {frames[name]} frames{why}"
            (by_one if difference == 1 else by_more).append(place)
    what = "keypoint files have one row more or fewer than there are frames"
    advice = "a header is missing or repeated, or a frame was lost: joints and frames do not match"
    findings = found("warning", "one row off", what, by_one, advice)
    what = "keypoint files and videos have different numbers of frames"
    advice = "copy both again; frames after the end of the shorter one are not used"
    findings += found("warning", "frame counts disagree", what, by_more, advice)
    empty = [name for name, fact in facts.items() if fact.seen == 0]
    advice = "leave these out of skeleton models (0347 and 0348 of iMiGUE are empty)"
    findings += found("warning", "empty skeleton", "no joint was detected in", empty, advice)
    missing = [f"{n}: {', '.join(fact.missing)}" for n, fact in facts.items() if fact.missing]
    what = "joints of the upper body are missing in more than half of the frames"
    advice = "they are masked; check the video"
    findings += found("warning", "missing joints", what, missing, advice)
    remarks = [f"{name}: {remark}" for name, fact in facts.items() for remark in fact.remarks]
    what, advice = "keypoints are read in another unit, or may be", "correct the files if not"
    findings += found("note", "units of keypoints", what, remarks, advice)
    swapped = [name for name, fact in facts.items() if fact.swapped]
    what = "fingertips are at the wrist of the other hand"
    advice = "the columns of left and right hand are exchanged: swap them back"
    return findings + found("warning", "swapped hands", what, swapped, advice)


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
        with Video(path) as video:
            damaged = video.damaged() if decode else []
            frames = [frame for frame in heads if frame < len(video)]
            steps = np.linspace(0, len(frames) - 1, min(SAMPLES, len(frames))).astype(int)
            samples = [frames[step] for step in np.unique(steps)]
            sharp = [face_sharpness(video.frame(frame), heads[frame]) for frame in samples]
    except DataError as error:
        return VideoFacts(0, str(error).removeprefix(f"{path}: ").partition("; ")[0], np.nan)
    fault, count, header = "", len(video), video.table.header
    if header not in (0, count):
        fault = f"expected {header} frames by its header, got {count}"
    elif damaged:
        fault = f"{len(damaged)} of {count} frames do not decode"
    return VideoFacts(count, fault, float(np.median(sharp)) if sharp else np.nan)


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
    return float(cv2.Laplacian(grey, cv2.CV_64F)[1:-1, 1:-1].var())


def inspect_videos(
    index: Index, poses: dict[str, KeypointFacts], decode: Decode
) -> tuple[dict[str, VideoFacts], dict[str, VideoInfo]]:
    """Counts, decodes and inspects every video file, two at a time; also returns their headers."""
    files = files_of(index, "video")
    probed, _ = probe_all(sorted(files.values()), index.root)
    headers = {name: probed.get(path, VideoInfo(0.0, 0, 0, 0)) for name, path in files.items()}

    def inspect(name: str) -> VideoFacts:
        header = headers[name].frames
        if decode == "none" and header:
            return VideoFacts(header, "", np.nan)
        heads = poses[name].heads if name in poses else {}
        return inspect_video(files[name], decode == "all", heads)

    with ThreadPoolExecutor(THREADS) as pool:
        facts = pool.map(inspect, files)
        bar = progress(facts, desc="videos", unit="file", total=len(files), disable=len(files) < 50)
        return dict(zip(files, bar, strict=True)), headers


def check_videos(facts: dict[str, VideoFacts], headers: dict[str, VideoInfo]) -> list[Finding]:
    """Findings over all video files, by video id, or by clip id if each clip has a file."""
    faulty = [f"{name}: {fact.fault}" for name, fact in facts.items() if fact.fault]
    what = "video files that cannot be read to their end"
    advice = "copy them again, or give yourself permission where it is denied"
    findings = found("error", "truncated video", what, faulty, advice)
    sizes = {n: f"{info.width} x {info.height}" for n, info in headers.items() if info.frames}
    usual = Counter(sizes.values()).most_common(1)[0][0] if sizes else ""
    others = [f"{name}: {size}" for name, size in sizes.items() if size != usual]
    what = f"frames of another size than the usual {usual}"
    advice = "pixel thresholds and crops have another meaning there"
    findings += found("warning", "picture sizes disagree", what, others, advice)
    blurred = [name for name, fact in facts.items() if fact.sharpness < BLURRED]
    what = "faces look blurred: such a release cannot serve the emotion track"
    advice = "ask for the release with faces"
    return findings + found("warning", "blurred faces", what, blurred, advice)


@dataclass(frozen=True)
class Report:
    """The findings under a root, errors first, and the index of what can be used."""

    root: Path
    index: Index
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings)

    def __str__(self) -> str:
        index = self.index
        kind = f"{index.layout} layout{', synthetic' * index.synthetic}"
        head = f"{self.root}: {kind}, {len(index.videos)} videos, {len(index.clips)} clips"
        return "\n".join([head, *map(str, self.findings)])

    def as_json(self) -> dict[str, object]:
        return {
            "root": str(self.root),
            "layout": self.index.layout,
            "synthetic": self.index.synthetic,
            "videos": len(self.index.videos),
            "clips": len(self.index.clips),
            "findings": [finding.as_json() for finding in self.findings],
        }


def check_root(
    root: Path | str, decode: Decode = "sample", subjects: str = "", store: str = ""
) -> Report:
    """Checks everything under a root.

    Args:
        decode: `all` decodes every frame of every video, `sample` counts the frames of every video
            without decoding and inspects a few faces, `none` trusts the headers.
        subjects: see `read_index`.
        store: the feature store with extracted keypoints, if any.

    Raises DataError if the folder does not exist, or has no known layout.
    """
    survey = survey_root(root)
    index = with_extracted(with_people(survey.to_index(), subjects), store)
    findings = tables.check_problems(survey.problems)
    what = "validation videos are also in the train folder"
    advice = "they are used for validation and left out of train; delete the copies"
    findings += found("warning", "validation inside train", what, survey.in_train_too, advice)
    lines = [line for line in survey.absent if "are also in train" not in line]
    advice = "what is missing is left out, all else is used"
    findings += [Finding("note", "layout", line, (), advice) for line in lines]
    poses, pose_findings = read_poses(index)
    videos, headers = inspect_videos(index, poses, decode)
    frames = {name: fact.frames for name, fact in videos.items() if not fact.fault}
    lengths = {name: fact.rows for name, fact in poses.items()} | frames
    past_end, range_findings = tables.check_ranges(index.clips, lengths)
    findings += pose_findings + range_findings
    clips = index.clips[~index.clips.clip_id.isin(past_end)]
    rows = dict(zip(clips.clip_id, (clips.end - clips.start + 1).tolist(), strict=True)) | frames
    if index.layout == "bold":  # whose joints have rows only where somebody is seen
        rows = {}
    findings += check_keypoints(poses, rows)
    findings += check_videos(videos, headers)
    findings += tables.check_duplicate_clips(index) + tables.check_subjects(index)
    findings += tables.check_placeholders(index) + tables.check_official_counts(index)
    what, advice = "outcomes may be typos", "correct them, or leave them empty"
    findings += found("warning", "doubtful outcome", what, tables.doubtful_outcomes(index), advice)
    if not index.synthetic:
        findings += tables.check_absent_classes(index)
    if tables.has_official(index):
        findings += tables.check_known_leak(index)
    return Report(survey.root, index, sorted(findings, key=lambda f: ORDER.index(f.severity)))
