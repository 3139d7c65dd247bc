"""The plan of a synthetic iMiGUE: what happens in each interview; nothing is drawn or written here.

**Outcome.** With s = +1 for a win and -1 for a loss, an interview has one expression (the smile)
and one posture (how upright the person sits), and a composure n with opposite effects on them:

    expression = a s + n + e_1        posture = a s - n + e_2        n ~ N(0, 1), e ~ N(0, 0.45²)

so each alone is weak (accuracy about 0.69) and their sum is strong (about 0.96): `a` = 0.55.

**Gestures.** A gesture is a tremor of one joint, too small to be visible, in one quarter of its
clip, and a coloured mark in the picture at one joint and quarter. Classes come in groups:

    pose alone      the pattern of the tremor determines the class; the mark is anywhere
    picture alone   the hue of the mark determines it; the tremor is anywhere
    place pair      the mark is at the trembling joint in one class, at another joint in the other
    moment pair     the mark is at the time of the tremor in one class, at another in the other
    illustrative    both arms wave, visible in pose and picture

Within a pair the joint and quarter of the tremor, and those of the mark, are uniform in both
classes: neither pose nor picture alone distinguishes them. With `signal="none"` outcome and class
are independent of everything visible. The strengths were set by a probe on these variables
(tests/data/synthetic/test_story.py), not by the score of a model.

**Long interviews** (size `long`) are for temporal localisation. Each class of `LASTING` is one
joint moved in one way, three times as far and visible, from the first frame of its clip to the
last; there is no mark, and 1 to 3 s between clips contain no signal. Size `dense` is harder: all 32
classes, a joint and a pattern each, from 0.2 to 8 s, of which some overlap, and movements of a
fifth pattern that belong to no class.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from imigue_lab.data.checks.tables import OFFICIAL, OFFICIAL_TRAIN
from imigue_lab.data.vocabulary import builtin
from imigue_lab.data.workspace import short_hash

FORMAT = 3  # of the files on disk; increment it when they change and no number does
VERSION = 1  # of the generator, and part of every seed; increment it when any number changes
FPS = 25
WINDOW = 16  # frames
PULL, UNEVENNESS = 0.55, 0.45  # a and the standard deviation of e
MOVERS = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist".split()
)
QUARTERS = 4
PATTERNS = ("up-down", "sideways", "circle", "twitch", "beat", "wave")
BEAT, WAVE = 4, 5  # the pattern without information; the illustrative gesture
ILLUSTRATIVE = builtin("imigue").place("99")

POSE_ALONE = {0: 0, 19: 1, 30: 2, 27: 3}  # class -> pattern; hue 0
PICTURE_ALONE = {13: 1, 17: 2, 25: 3}  # class -> hue; pattern "beat"
PLACE_PAIR = (7, 10)  # at the joint, elsewhere; hue 4
MOMENT_PAIR = (22, 23)  # at its moment, at another; hue 5

LASTING = (27, 0, 30, 19, 22, 25, 21, 24)  # classes of long interviews: by joint, by pattern
LASTING_JOINTS = (0, 2, 4, 7)  # each moves in the first two patterns
DENSE_PATTERNS = 4  # the first ones, of each of `MOVERS`
SHORTEST, LONGEST = 0.2, 8.0  # seconds of a dense gesture
THROUGHOUT, UNMARKED = -1, -1  # a moment that is the whole clip; the hue of no mark

LAYOUTS = ("full", "miga2023", "miga2024", "miga2026", "plain")
DATA_SETS = ("smg", "ma52", "bold")  # layouts of others than iMiGUE, with their own classes
FULL = OFFICIAL | {  # no video is excluded, and no subject is in two splits
    "train": OFFICIAL["train"]._replace(videos=245),
    "test": OFFICIAL["test"]._replace(subjects=29),
}
FULL_VIDEOS = sum(counts.videos for counts in FULL.values())


@dataclass(frozen=True)
class SyntheticSpec:
    """Arguments of the generator.

    Attributes:
        videos: number of interviews, four per subject in size `demo`.
        signal: which signal is embedded: `joint` as described above, or `none`.
        pictures: False writes no videos, as in the skeleton-only releases.
        all_win_validation: every validation video is a win, as in iMiGUE.
        leak_subject: one subject is in both train and test, as in iMiGUE.
        size: `full` has iMiGUE's shares of splits, subjects, clips and classes, clips of 4 to 8
            frames and pictures of 32 x 24; with 359 videos they are its counts. `long` has
            interviews of 30 to 40 s with 1 to 3 s without a signal between gestures; `dense` as
            long ones with short, long and overlapping gestures.
        layout: one of `LAYOUTS` or `DATA_SETS`; the plan does not depend on it.
    """

    videos: int = 120
    seed: int = 0
    signal: Literal["joint", "none"] = "joint"
    pictures: bool = True
    all_win_validation: bool = False
    leak_subject: bool = False
    size: Literal["demo", "full", "long", "dense"] = "demo"
    layout: Literal["full", "miga2023", "miga2024", "miga2026", "plain", "smg", "ma52", "bold"] = (
        "miga2024"
    )

    @property
    def key(self) -> str:
        """Names the set in the workspace."""
        return short_hash(VERSION, FORMAT, *vars(self).values())


@dataclass(frozen=True)
class Gesture:
    """One clip: frames [start, end], its class, and the signal embedded in it."""

    start: int
    end: int
    label: int
    pattern: int
    joint: int
    moment: int
    hue: int
    mark_joint: int
    mark_moment: int


@dataclass(frozen=True)
class Interview:
    """One video; `hidden` is the span of frames in which the face is turned away."""

    number: int
    video_id: str
    subject: str
    split: str
    outcome: int
    expression: float
    posture: float
    frames: int
    hidden: tuple[int, int]
    gestures: tuple[Gesture, ...]
    distractors: tuple[Gesture, ...] = ()  # movements that belong to no class


def plan(spec: SyntheticSpec) -> list[Interview]:
    """Every interview of a synthetic set; the same `spec` gives the same plan."""
    rng = np.random.default_rng([spec.seed, VERSION])
    subjects = assign_full(spec.videos) if spec.size == "full" else assign_demo(spec.videos)
    if spec.leak_subject:
        subjects[-1] = (subjects[0][0], "test")
    splits = [split for _, split in subjects]
    outcomes = draw_outcomes(spec, splits, rng)
    clips = count_clips(splits, rng) if spec.size == "full" else []
    interviews = []
    for number, ((subject, split), outcome) in enumerate(zip(subjects, outcomes, strict=True)):
        pull = PULL * (2 * outcome - 1) if spec.signal == "joint" else 0.0
        composure, *uneven = rng.normal(0, (1, UNEVENNESS, UNEVENNESS))
        planned, distractors = list[Gesture](), list[Gesture]()
        if spec.size == "full":
            planned = plan_short_gestures(clips[number], spec.signal, rng)
            frames = planned[-1].end + int(rng.integers(2, WINDOW))
        elif spec.size in ("long", "dense"):
            frames = int(rng.integers(30 * FPS, 40 * FPS))
            if spec.size == "long":
                planned = plan_lasting_gestures(frames, spec.signal, rng)
            else:
                planned, distractors = plan_dense_gestures(frames, spec.signal, rng)
        else:
            frames = int(rng.integers(10 * WINDOW, 20 * WINDOW))
        hidden_from = int(rng.integers(0, frames))
        hidden_for = int(rng.integers(WINDOW, 3 * WINDOW)) if rng.random() < 0.3 else 0
        interviews.append(
            Interview(
                number=number,
                video_id=f"{number + 1:04d}",
                subject=subject,
                split=split,
                outcome=outcome,
                expression=pull + composure + uneven[0],
                posture=pull - composure + uneven[1],
                frames=frames,
                hidden=(hidden_from, min(frames, hidden_from + hidden_for)),
                gestures=tuple(planned or plan_gestures(frames, spec.signal, rng)),
                distractors=tuple(distractors),
            )
        )
    return interviews


def assign_full(videos: int) -> list[tuple[str, str]]:
    """(subject, split) of each video in iMiGUE's shares, at least one of each per split."""
    counts = {name: max(1, round(n.videos * videos / FULL_VIDEOS)) for name, n in FULL.items()}
    counts["train"] = videos - counts["validation"] - counts["test"]
    rows = []
    before = 0
    for split, count in counts.items():
        subjects = max(1, round(FULL[split].subjects * count / FULL[split].videos))
        rows += [(f"s{before + n * subjects // count + 1:02d}", split) for n in range(count)]
        before += subjects
    return rows


def assign_demo(videos: int) -> list[tuple[str, str]]:
    """(subject, split) of each video: four videos per subject, half train, a sixth validation."""
    subjects = max(3, videos // 4)
    in_train, in_validation = subjects // 2, max(1, round(subjects / 6))
    splits = ["train"] * in_train + ["validation"] * in_validation
    splits += ["test"] * (subjects - len(splits))
    people = [number * subjects // videos for number in range(videos)]
    return [(f"s{person + 1:02d}", splits[person]) for person in people]


def draw_outcomes(spec: SyntheticSpec, splits: list[str], rng: np.random.Generator) -> list[int]:
    """Five of nine are wins in every split, in random order."""
    outcomes = np.zeros(len(splits), dtype=int)
    for split in dict.fromkeys(splits):
        places = np.flatnonzero(np.array(splits) == split)
        wins = len(places) * 5 / 9
        if split == "validation" and spec.all_win_validation:
            wins = len(places)
        outcomes[rng.permutation(places)[: round(wins)]] = 1
    return outcomes.tolist()


def count_clips(splits: list[str], rng: np.random.Generator) -> list[int]:
    """Clips of each video: at least one, in total iMiGUE's share for each split."""
    clips = np.ones(len(splits), dtype=int)
    for split in dict.fromkeys(splits):
        places = np.flatnonzero(np.array(splits) == split)
        more = round(FULL[split].clips * len(places) / FULL[split].videos) - len(places)
        clips[places] += rng.multinomial(more, np.full(len(places), 1 / len(places)))
    return clips.tolist()


def plan_gestures(frames: int, signal: str, rng: np.random.Generator) -> list[Gesture]:
    """Successive clips of 1 to 2 s with a pause between them."""
    labels = [*POSE_ALONE, *PICTURE_ALONE, *PLACE_PAIR, *MOMENT_PAIR, ILLUSTRATIVE]
    gestures = []
    start = int(rng.integers(2, 10))
    while (end := start + int(rng.integers(FPS, 2 * FPS))) < frames:
        label = labels[rng.integers(len(labels))]
        gesture = embed_signal(label, start, end, rng)
        if signal == "none":
            gesture = replace(gesture, label=labels[rng.integers(len(labels))])
        gestures.append(gesture)
        start = end + int(rng.integers(4, 16))
    return gestures


def plan_lasting_gestures(frames: int, signal: str, rng: np.random.Generator) -> list[Gesture]:
    """Clips of 1 to 3 s with pauses of 1 to 3 s."""
    gestures = []
    start = int(rng.integers(FPS, 3 * FPS))
    while (end := start + int(rng.integers(FPS, 3 * FPS))) < frames:
        number, unrelated = rng.integers(len(LASTING), size=2)
        joint, pattern = LASTING_JOINTS[number // 2], int(number % 2)
        label = LASTING[unrelated if signal == "none" else number]
        variables = (label, pattern, joint, THROUGHOUT, UNMARKED, joint, THROUGHOUT)
        gestures.append(Gesture(start, end, *variables))
        start = end + int(rng.integers(FPS, 3 * FPS))
    return gestures


def plan_dense_gestures(
    frames: int, signal: str, rng: np.random.Generator
) -> tuple[list[Gesture], list[Gesture]]:
    """Clips of any length that start up to 1 s before, or 2 s after, the end of the last one, each
    of another joint than it; and a movement of 0.5 to 3 s without a class every 4 s."""

    def lasting(start: int, end: int, label: int, pattern: int, joint: int) -> Gesture:
        return Gesture(start, end, label, pattern, joint, THROUGHOUT, UNMARKED, joint, THROUGHOUT)

    gestures, joint, start = [], 0, int(rng.integers(0, 2 * FPS))
    while True:
        length = FPS * np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST)))
        end = start + max(4, round(length) - 1)
        if end >= frames:
            break
        joint = (joint + int(rng.integers(1, len(MOVERS)))) % len(MOVERS)
        pattern, unrelated = int(rng.integers(DENSE_PATTERNS)), int(rng.integers(32))
        label = unrelated if signal == "none" else DENSE_PATTERNS * joint + pattern
        gestures.append(lasting(start, end, label, pattern, joint))
        start = max(start + 1, end + int(rng.integers(-FPS, 2 * FPS)))
    distractors = []
    for start in rng.integers(0, frames - 3 * FPS, size=frames // (4 * FPS)).tolist():
        end = start + int(rng.integers(FPS // 2, 3 * FPS))
        distractors.append(lasting(start, end, 0, BEAT, int(rng.integers(len(MOVERS)))))
    return gestures, distractors


def plan_short_gestures(count: int, signal: str, rng: np.random.Generator) -> list[Gesture]:
    """Clips of 4 to 8 frames with pauses of 1 to 3, classes as frequent as in iMiGUE's train."""
    shares = np.divide(OFFICIAL_TRAIN, sum(OFFICIAL_TRAIN))
    labels = rng.choice(len(shares), size=(count, 2), p=shares).tolist()
    gestures = []
    start = int(rng.integers(2, 10))
    for label, unrelated in labels:
        end = start + int(rng.integers(3, 8))
        gesture = embed_signal(label, start, end, rng)
        gestures.append(replace(gesture, label=unrelated) if signal == "none" else gesture)
        start = end + int(rng.integers(2, 5))
    return gestures


def embed_signal(label: int, start: int, end: int, rng: np.random.Generator) -> Gesture:
    """Draws tremor and mark of one clip of a class."""
    joint, mark_joint = rng.integers(len(MOVERS), size=2)
    moment, mark_moment = rng.integers(QUARTERS, size=2)
    pattern = POSE_ALONE.get(label, WAVE if label == ILLUSTRATIVE else BEAT)
    hue = PICTURE_ALONE.get(label, 0)
    if label in PLACE_PAIR:
        hue, mark_moment, mark_joint = 4, moment, joint
        if label == PLACE_PAIR[1]:
            mark_joint = (joint + rng.integers(1, len(MOVERS))) % len(MOVERS)
    elif label in MOMENT_PAIR:
        hue, mark_moment, mark_joint = 5, moment, joint
        if label == MOMENT_PAIR[1]:
            mark_moment = (moment + rng.integers(1, QUARTERS)) % QUARTERS
    variables = (pattern, joint, moment, hue, mark_joint, mark_moment)
    return Gesture(start, end, label, *(int(value) for value in variables))
