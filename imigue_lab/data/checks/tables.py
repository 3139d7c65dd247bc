"""Faults that show in the label files alone: ids, classes, ranges, splits, subjects, counts."""

import pandas as pd

from imigue_lab.data.checks.report import Finding, Severity, found
from imigue_lab.data.index import SPLITS, Index, Problem
from imigue_lab.data.layouts.inventory import VIDEO_SUFFIXES
from imigue_lab.data.vocabulary import CLASSES

# Problems of the readers -> severity and kind of the finding; whatever is not here is an error of
# the kind "unreadable".
KINDS: dict[str, tuple[Severity, str]] = {
    "class": ("error", "unknown class"),
    "range": ("error", "reversed range"),
    "id": ("error", "unsafe name"),
    "doubled id": ("error", "doubled video"),
    "split": ("error", "unknown split"),
    "outcome": ("error", "unknown outcome"),
    "subject": ("error", "two subjects of a video"),
    "unknown video": ("error", "unknown video"),
}

# Videos and clips of the splits of MiGA's track 1, and the clips of each class in train.
OFFICIAL = {"train": (241, 12_893), "validation": (10, 777), "test": (104, 4_562)}
OFFICIAL_TRAIN: tuple[int, ...] = (
    *(10, 393, 38, 199, 80, 23, 57, 824, 80, 3, 284, 137, 97, 41, 26, 24, 304, 82, 1),
    *(887, 157, 360, 656, 690, 11, 280, 84, 60, 1155, 6, 2079, 3765),
)


def check_problems(problems: list[Problem]) -> list[Finding]:
    """What the readers could not use, gathered by kind."""
    gathered: dict[tuple[Severity, str, str], list[Problem]] = {}
    for problem in problems:
        if problem.file.suffix.lower() in VIDEO_SUFFIXES and problem.kind == "unreadable":
            continue  # `checks/videos.py` opens it and tells
        severity, kind = KINDS.get(problem.kind, ("error", "unreadable"))
        gathered.setdefault((severity, kind, problem.advice), []).append(problem)
    return [
        Finding(severity, kind, str(members[0].what), tuple(map(place_of, members)), advice)
        for (severity, kind, advice), members in gathered.items()
    ]


def place_of(problem: Problem) -> str:
    row = "" if problem.row is None else f", row {problem.row}"
    return f"{problem.file.name}{row}"


def check_subjects(index: Index) -> list[Finding]:
    """Subjects who stand in train and in another part."""
    videos = index.videos.dropna(subset=["subject", "split"])
    sides = videos.groupby("subject").split.agg(set)
    both = [
        f"{subject} ({' and '.join(sorted(parts, key=SPLITS.index))})"
        for subject, parts in sides.items()
        if len(parts) > 1
    ]
    return found(
        "warning",
        "subject on both sides",
        "subjects stand in more than one part of the split, so scores rest on known people",
        both,
        "say so beside the scores, or use subject folds (fold=0..4)",
    )


def check_doubled_clips(index: Index) -> list[Finding]:
    """Clips of one video with the same frames and class."""
    same = index.clips.duplicated(["video_id", "start", "end", "label"])
    return found(
        "warning",
        "doubled row",
        "clips stand there twice, with the same frames and class",
        index.clips.clip_id[same],
        "remove the second row, or know that it counts twice",
    )


def check_ranges(index: Index, frames: dict[str, int]) -> tuple[list[str], list[Finding]]:
    """Clips that end after the last frame: their ids, and the finding.

    Args:
        frames: number of frames of each video, as far as known.
    """
    length = index.clips.video_id.map(frames).astype(float)
    past = index.clips[index.clips.end >= length]
    places = [
        f"{clip.clip_id} ends at {clip.end} of {frames[clip.video_id]}"
        for clip in past.itertuples()
    ]
    return past.clip_id.tolist(), found(
        "error",
        "range past the end",
        "clips end after the last frame of their video (frames count from 0, end inclusive)",
        places,
        "correct the range, or copy the video again",
    )


def check_absent_classes(index: Index) -> list[Finding]:
    """Classes without a clip, for each part that has any."""
    findings = []
    for split in SPLITS:
        labels = index.clips.label[index.clips.split == split].dropna()
        if len(labels):
            absent = sorted(set(range(len(CLASSES))) - set(labels))
            what = f"classes without a clip in {split}"
            names = [f"{number} {CLASSES[number]}" for number in absent]
            advice = "a score by class has no value there"
            findings += found("note", "absent class", what, names, advice)
    return findings


def check_official_counts(index: Index) -> list[Finding]:
    """Videos and clips of each split beside those of the challenge."""
    differing = []
    for split, (videos, clips) in OFFICIAL.items():
        here = int((index.videos.split == split).sum()), int((index.clips.split == split).sum())
        if here != (videos, clips):
            told = f"{split} holds {here[0]} videos with {here[1]} clips"
            differing.append(f"{told}, the challenge's {videos} with {clips}")
    return found(
        "note",
        "official counts",
        "counts differ from those of the MiGA challenge",
        differing,
        "published scores are on the challenge's split",
    )


def check_known_leak(index: Index) -> list[Finding]:
    """Video 0085 in the test, where the CVPR protocol has 0086."""
    test = set(index.videos.video_id[index.videos.split == "test"])
    return found(
        "note",
        "0085 for 0086",
        "the test holds video 0085, where the CVPR protocol has 0086: two subjects stand on both"
        " sides",
        ["0085"] if "0085" in test and "0086" not in test else [],
        "scores under the two protocols differ by these videos",
    )


def check_placeholders(index: Index) -> list[Finding]:
    """Test labels that are all the same, or none."""
    labels: pd.Series = index.clips.label[index.clips.split == "test"]
    hidden = len(labels) > 1 and (labels.isna().any() or labels.nunique() == 1)
    return found(
        "note",
        "placeholder labels",
        "the classes of the test clips look like placeholders",
        ["test"] if hidden else [],
        "test clips can be predicted, not scored",
    )
