"""The data check: the known faults of a copy of iMiGUE, found before training.

Label tables, keypoints and videos are checked in turn; nothing is changed, and no fault stops the
check.
"""

from dataclasses import dataclass
from pathlib import Path

from imigue_lab.data.checks import recordings, tables
from imigue_lab.data.checks.tables import Finding, found
from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import with_extracted
from imigue_lab.data.layouts.recognise import survey_root, with_people
from imigue_lab.data.videos.video import VideoInfo, probe_all

ORDER = ("error", "warning", "note")


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
    root: Path | str, decode: recordings.Decode = "sample", subjects: str = "", store: str = ""
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
    files = recordings.files_of(index, "video")
    probed, _ = probe_all(sorted(files.values()), survey.root)
    headers = {name: probed.get(path, VideoInfo(0.0, 0, 0, 0)) for name, path in files.items()}
    poses, pose_findings = recordings.read_poses(index)
    videos = recordings.inspect_videos(files, headers, poses, decode)
    frames = {name: fact.frames for name, fact in videos.items() if not fact.fault}
    lengths = {name: fact.rows for name, fact in poses.items()} | frames
    past_end, range_findings = tables.check_ranges(index.clips, lengths)
    findings += pose_findings + range_findings
    clips = index.clips[~index.clips.clip_id.isin(past_end)]
    rows = dict(zip(clips.clip_id, (clips.end - clips.start + 1).tolist(), strict=True)) | frames
    if index.layout == "bold":  # whose joints have rows only where somebody is seen
        rows = {}
    findings += recordings.check_keypoints(poses, rows)
    findings += recordings.check_videos(videos, headers)
    findings += tables.check_duplicate_clips(index) + tables.check_subjects(index)
    findings += tables.check_placeholders(index) + tables.check_official_counts(index)
    what, advice = "outcomes may be typos", "correct them, or leave them empty"
    doubts = tables.doubtful_outcomes(index)
    findings += found("warning", "doubtful outcome", what, doubts, advice)
    if not index.synthetic:
        findings += tables.check_absent_classes(index)
    if tables.has_official(index):
        findings += tables.check_known_leak(index)
    return Report(survey.root, index, sorted(findings, key=lambda f: ORDER.index(f.severity)))
