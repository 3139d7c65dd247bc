"""The data check: what is known to go wrong with a copy of iMiGUE, found before training.

Label files, keypoints and videos are looked at in turn (`checks/`); nothing is changed and nothing
stops at the first fault.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from imigue_lab.data.checks import tables
from imigue_lab.data.checks.keypoints import KeypointFacts, check_keypoints, head_boxes, read_facts
from imigue_lab.data.checks.report import Finding, by_severity, found
from imigue_lab.data.checks.videos import HeadBox, VideoFacts, check_videos, look_at
from imigue_lab.data.index import Index, Survey
from imigue_lab.data.keypoint_files.cache import convert
from imigue_lab.data.keypoint_files.clips import first_person, read_file
from imigue_lab.data.layouts.recognise import survey_root
from imigue_lab.data.videos.probe import probe_all
from imigue_lab.data.videos.video import VideoInfo
from imigue_lab.errors import DataError

Decode = Literal["all", "sample", "none"]
THREADS = 2


@dataclass(frozen=True)
class Report:
    """What was found under a root.

    Attributes:
        index: of what can be used.
        findings: errors first.
    """

    root: Path
    index: Index
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """No error stands."""
        return all(finding.severity != "error" for finding in self.findings)

    def __str__(self) -> str:
        index = self.index
        head = (
            f"{self.root}: {index.layout} layout{', synthetic' * index.synthetic},"
            f" {len(index.videos)} videos, {len(index.clips)} clips"
        )
        return "\n".join([head, *(str(finding) for finding in self.findings)])

    def as_json(self) -> dict[str, object]:
        return {
            "root": str(self.root),
            "layout": self.index.layout,
            "synthetic": self.index.synthetic,
            "videos": len(self.index.videos),
            "clips": len(self.index.clips),
            "findings": [finding.as_json() for finding in self.findings],
        }


def check_root(root: Path | str, decode: Decode = "sample") -> Report:
    """Looks at everything under a root.

    Args:
        decode: `all` decodes every frame of every video, `sample` counts the frames of every video
            without decoding and looks at a few faces, `none` trusts the headers.

    Raises:
        DataError: there is no such folder, or nothing in it is known.
    """
    survey = survey_root(root)
    index = survey.to_index()
    findings = tables.check_problems(survey.problems)
    findings += check_survey(survey)
    files = files_of(index, "video")
    headers = headers_of(files, survey.root)
    poses, pose_findings = read_poses(files_of(index, "keypoints"))
    heads = {name: pose.heads for name, pose in poses.items()}
    videos = look_at_videos(files, headers, heads, decode)
    frames = {name: fact.frames for name, fact in videos.items() if not fact.fault}
    facts = {name: pose.facts for name, pose in poses.items()}
    findings += pose_findings
    lengths = {name: fact.rows for name, fact in facts.items()} | frames
    past_end, range_findings = tables.check_ranges(index, lengths)
    findings += range_findings
    findings += check_keypoints(facts, expected_rows(index, frames, past_end))
    known = {name: headers[path] for name, path in files.items() if headers[path].frames}
    findings += check_videos(videos, known)
    findings += tables.check_doubled_clips(index)
    findings += tables.check_subjects(index)
    findings += tables.check_placeholders(index)
    if not index.synthetic:  # synthetic data are not held against the official ones
        findings += tables.check_absent_classes(index)
        findings += tables.check_official_counts(index)
        findings += tables.check_known_leak(index)
    return Report(survey.root, index, by_severity(findings))


def check_survey(survey: Survey) -> list[Finding]:
    """What the readers left out or did not find."""
    told = [line for line in survey.absent if "lie in train too" not in line]
    return [
        *found(
            "warning",
            "validation inside train",
            "validation videos lie in the train folder too",
            survey.in_train_too,
            "they are taken for validation and left out of train; delete the doubles",
        ),
        *(Finding("note", "layout", line, (), "what needs it is left out") for line in told),
    ]


def files_of(index: Index, column: Literal["video", "keypoints"]) -> dict[str, Path]:
    """The files of whole videos by video id, and those of single clips by clip id."""
    whole = index.videos.dropna(subset=[column])
    single = index.clips.dropna(subset=[column])
    return {
        **dict(zip(whole.video_id, whole[column], strict=True)),
        **dict(zip(single.clip_id, single[column], strict=True)),
    }


def headers_of(files: dict[str, Path], root: Path) -> dict[Path, VideoInfo]:
    """What each container says; files that cannot be opened are findings of the survey or below."""
    known, _ = probe_all(sorted(files.values()), root)
    nothing = VideoInfo(0.0, 0, 0, 0)
    return {path: known.get(path, nothing) for path in files.values()}


@dataclass(frozen=True)
class Pose:
    facts: KeypointFacts
    heads: dict[int, HeadBox]


def read_poses(files: dict[str, Path]) -> tuple[dict[str, Pose], list[Finding]]:
    """Reads every keypoint file once; those that cannot be read are one finding."""
    poses: dict[str, Pose] = {}
    broken: dict[str, list[tuple[str, str]]] = {}  # sentence without its numbers -> file, sentence
    with suppress(DataError):  # whatever is refused is told file by file below
        convert([path for path in files.values() if path.suffix != ".npy"], first_person)
    for name, path in files.items():
        try:
            recording = read_file(path)
        except DataError as error:
            said = str(error).removeprefix(str(path)).removeprefix(": ").removeprefix(", ")
            broken.setdefault(re.sub(r"\d+", "", said), []).append((name, said))
            continue
        skeleton = recording.skeleton[0]
        layout = recording.layout.name
        poses[name] = Pose(read_facts(skeleton, layout), head_boxes(skeleton, layout))
    return poses, [
        Finding("error", "unreadable keypoints", what, tuple(name for name, _ in files), advice)
        for files in broken.values()
        for what, _, advice in [files[0][1].rpartition("; ")]
    ]


def look_at_videos(
    files: dict[str, Path],
    headers: dict[Path, VideoInfo],
    heads: dict[str, dict[int, HeadBox]],
    decode: Decode,
) -> dict[str, VideoFacts]:
    """Counts, decodes and looks at every video file, two at a time."""

    def look(item: tuple[str, Path]) -> VideoFacts:
        name, path = item
        header = headers[path].frames
        if decode == "none" and header:
            return VideoFacts(header, "", np.nan)
        return look_at(path, header, decode == "all", heads.get(name, {}))

    with ThreadPoolExecutor(THREADS) as pool:
        looks = pool.map(look, files.items())
        bar = tqdm(looks, desc="videos", unit="file", total=len(files), disable=len(files) < 50)
        return dict(zip(files, bar, strict=True))


def expected_rows(index: Index, frames: dict[str, int], past_end: list[str]) -> dict[str, int]:
    """Rows that each keypoint file should have: its video's frames, or its clip's.

    Clips that end past their video's end are told already and have no length to compare.
    """
    clips = index.clips[~index.clips.clip_id.isin(past_end)]
    lengths = dict(zip(clips.clip_id, clips.end - clips.start + 1, strict=True))
    return {name: int(length) for name, length in (lengths | frames).items()}
