"""Findings of the data check, and those in the label files: ids, classes, ranges, splits, subjects,
counts.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from imigue_lab.data.index import SPLITS, Index, Problem
from imigue_lab.data.layouts.inventory import is_video
from imigue_lab.data.layouts.tables import TYPO, similarity
from imigue_lab.data.vocabulary import WORDS
from imigue_lab.errors import DataError, some

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One kind of fault, with every place where it was found.

    An `error` must be fixed before the data are used: training stops where it reads the faulty
    table or file. A `warning` changes what the scores mean, a `note` is information.
    """

    severity: Severity
    kind: str  # a short name, the same for a fault in every layout
    what: str
    places: tuple[str, ...]  # video ids, clip ids, or files with a row
    advice: str

    @property
    def sentence(self) -> str:
        """What, where and what to do, as training refuses an error."""
        where = f" ({len(self.places)}: {some(self.places)})" if self.places else ""
        return f"{self.what}{where}; {self.advice}"

    def __str__(self) -> str:
        return f"{self.severity}, {self.kind}: {self.sentence}"

    def as_json(self) -> dict[str, object]:
        return vars(self) | {"count": len(self.places), "places": list(self.places)}


def found(
    severity: Severity, kind: str, what: str, places: Iterable[object], advice: str
) -> list[Finding]:
    """One finding, or none if there is no place."""
    names = tuple(str(place) for place in places)
    return [Finding(severity, kind, what, names, advice)] if names else []


class Counts(NamedTuple):
    """Size of one split; 0 where it is not published."""

    clips: int
    videos: int = 0
    subjects: int = 0


MISSING = ("na", "n/a", "nan", "none", "null", "unknown", "?", "-")
ALIKE = 0.85  # similarity of two outcomes, 0 to 1, from which a person should look at them

FILE = tomllib.loads(Path(__file__).with_name("official.toml").read_text(encoding="utf-8"))
OFFICIAL_TRAIN = tuple(FILE["train_by_class"])
PUBLISHED = {  # by layout
    layout: {split: Counts(**counts) for split, counts in own.items()}
    for layout, own in FILE["counts"].items()
}
OFFICIAL = PUBLISHED["full"] = PUBLISHED["miga"]


def has_official(index: Index) -> bool:
    """Whether the counts of the challenge apply: to real iMiGUE, in one of its own layouts."""
    return index.layout in ("full", "miga") and not index.synthetic


def check_problems(problems: list[Problem]) -> list[Finding]:
    """The problems of the readers, grouped by kind."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        if not is_video(problem.file) or problem.kind != "unreadable":  # see `root.py`
            groups.setdefault((problem.kind, problem.advice), []).append(problem)
    return [
        Finding("error", kind, own[0].what, tuple(p.place(p.file.name) for p in own), advice)
        for (kind, advice), own in groups.items()
    ]


def check_subjects(index: Index) -> list[Finding]:
    sides = index.videos.dropna(subset=["subject", "split"]).groupby("subject").split.agg(set)
    both = [
        f"{subject} ({' and '.join(sorted(splits, key=SPLITS.index))})"
        for subject, splits in sides.items()
        if len(splits) > 1
    ]
    what = "subjects are in more than one split, so scores are partly on known people"
    advice = "report it with the scores, or use subject folds (fold=0..4)"
    severity: Severity = "note" if index.layout == "ma52" else "warning"  # its official split
    leaks = found(severity, "subject leak", what, both, advice)
    known = index.videos.subject.notna() | (index.videos.split == "test")  # no fold has it
    unknown = index.videos.video_id[~known]
    what = "subjects are unknown, so a person may be in both train and validation of a fold"
    advice = "give a CSV of video_id,subject by `subjects`"
    return leaks + found("warning", "unknown subjects", what, unknown, advice)


def check_duplicate_clips(index: Index) -> list[Finding]:
    same = index.clips.duplicated(["video_id", "start", "end", "label"])
    what = "clips are listed twice, with the same frames and class"
    advice = "remove the second row, otherwise it counts twice"
    return found("warning", "duplicate row", what, index.clips.clip_id[same], advice)


def doubtful_outcomes(index: Index) -> list[str]:
    """Categories that may be typos or stand for a missing value, each with the reason."""
    names, doubts = index.vocabulary.outcomes, []
    for place, name in enumerate(names if not {*names} <= WORDS.keys() else ()):
        alone = (index.videos.outcome == place).sum() == 1
        others, least = (names, TYPO) if alone else (names[:place], ALIKE)
        alike = [own for own in others if own != name and similarity(name, own) >= least]
        if name.casefold() in MISSING:
            doubts.append(f"{name!r} looks like a missing value")
        elif alone or alike:
            reasons = [f"almost {own!r}" for own in alike[:1]]
            reasons[:0] = ["the outcome of one video"] if alone else []
            doubts.append(f"{name!r} is {' and '.join(reasons)}")
    return doubts


def check_ranges(clips: pd.DataFrame, frames: dict[str, int]) -> tuple[list[str], list[Finding]]:
    """Clips that end after the `frames` of their video, where known: their ids, and the finding."""
    past = clips[clips.end >= clips.video_id.map(frames).astype(float)]
    places = [f"{c.clip_id} ends at {c.end} of {frames[c.video_id]}" for c in past.itertuples()]
    what = "clips end after the last frame of their video (frames count from 0, end inclusive)"
    advice = "correct the range, or copy the video again"
    return past.clip_id.tolist(), found("error", "range past the end", what, places, advice)


def refuse_errors(index: Index) -> None:
    """Raises DataError, by the sentence of the check, for what the tables alone show."""
    frames = index.videos.dropna(subset="frames").set_index("video_id").frames.to_dict()
    _, findings = check_ranges(index.clips, frames)
    for finding in findings:
        raise DataError(f"{index.root}: {finding.sentence}")


def check_absent_classes(index: Index) -> list[Finding]:
    """Classes without a clip, for each split with labels."""
    findings, advice = [], "scores per class are undefined there"
    for split in SPLITS:
        labels = {*index.clips.label[index.clips.split == split].dropna()}
        absent = [n for n in range(len(index.vocabulary)) if n not in labels] if labels else []
        what, names = f"classes without a clip in {split}", map(index.vocabulary.label, absent)
        findings += found("note", "absent class", what, names, advice)
    return findings


def check_official_counts(index: Index) -> list[Finding]:
    """Videos and clips of each split, against those that were published for real data."""
    differing = []
    published = {} if index.synthetic else PUBLISHED.get(index.layout, {})
    for split, own in published.items():
        videos, clips = (int((t.split == split).sum()) for t in (index.videos, index.clips))
        expected = f"{own.videos} videos with {own.clips} clips, got {videos} with {clips}"
        if not own.videos:
            expected = f"{own.clips} clips, got {clips}"
        if clips != own.clips or own.videos not in (0, videos):
            differing.append(f"{split}: expected {expected}")
    whose = "the MiGA challenge" if has_official(index) else index.vocabulary.name
    what, advice = f"counts differ from those of {whose}", "published scores are on its split"
    return found("note", "official counts", what, differing, advice)


def check_known_leak(index: Index) -> list[Finding]:
    test = set(index.videos.video_id[index.videos.split == "test"])
    places = ["0085"] if "0085" in test and "0086" not in test else []
    what = "the test split has video 0085, where the CVPR protocol has 0086: two subjects are also"
    advice = "scores under the two protocols differ by these videos"
    return found("note", "0085 for 0086", f"{what} in train", places, advice)


def check_placeholders(index: Index) -> list[Finding]:
    labels: pd.Series = index.clips.label[index.clips.split == "test"]
    hidden = len(labels) > 1 and (labels.isna().any() or labels.nunique() == 1)
    what = "the classes of the test clips look like placeholders"
    advice = "test clips can be predicted, not scored"
    return found("note", "placeholder labels", what, ["test"] if hidden else [], advice)
