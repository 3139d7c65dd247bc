"""Faults that show in keypoints: lost frames, empty skeletons, NaN, missing joints, swapped hands.

Letters in shapes: T frames, V joints, and x, y, score of each.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from imigue_lab.data.checks.report import Finding, found
from imigue_lab.data.skeletons.keypoints import LAYOUTS

Keypoints = Float[np.ndarray, "T V 3"]
OFTEN = 0.5  # share of frames from which on a joint's absence is told
NEARER = 0.5  # a hand's own wrist is this much farther from its fingertips than the other wrist
UPPER = "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist"


@dataclass(frozen=True)
class KeypointFacts:
    """What is kept of one keypoint file.

    Attributes:
        rows: frames in the file.
        seen: share of all joints and frames with a score above 0.
        missing: upper-body joints that are missing in more than half of the frames.
        swapped: fingertips lie at the other hand's wrist.
    """

    rows: int
    seen: float
    missing: tuple[str, ...]
    swapped: bool


def read_facts(keypoints: Keypoints, layout: str) -> KeypointFacts:
    """Looks at one file's keypoints in a named layout (`light_hand35`, `openpose137`, ...)."""
    there = keypoints[..., 2] > 0
    if not there.any():
        return KeypointFacts(len(keypoints), 0.0, (), False)
    joints = LAYOUTS[layout].joints
    missing = tuple(
        joint
        for joint in UPPER.split()
        if joint in joints and (~there[:, joints.index(joint)]).mean() > OFTEN
    )
    swapped = hands_swapped(keypoints, there, joints)
    return KeypointFacts(len(keypoints), float(there.mean()), missing, swapped)


def hands_swapped(
    keypoints: Keypoints, there: Bool[np.ndarray, "T V"], joints: tuple[str, ...]
) -> bool:
    """Whether both hands' fingertips lie nearer to the other wrist, in the median frame."""
    nearer = []
    for side, other in (("right", "left"), ("left", "right")):
        tip, wrist, far = f"{side}_middle_tip", f"{side}_wrist", f"{other}_wrist"
        if not {tip, wrist, far} <= set(joints):
            return False
        place = [joints.index(joint) for joint in (tip, wrist, far)]
        frames = there[:, place].all(axis=1)
        if not frames.any():
            return False
        tips, own, others = (keypoints[frames, joint, :2] for joint in place)
        to_own = np.linalg.norm(tips - own, axis=1)
        to_other = np.linalg.norm(tips - others, axis=1)
        nearer.append(np.median(to_other) < NEARER * np.median(to_own))
    return all(nearer)


def check_keypoints(facts: dict[str, KeypointFacts], frames: dict[str, int]) -> list[Finding]:
    """Findings over all keypoint files.

    Args:
        facts: by video id, or by clip id where each clip has a file of its own.
        frames: how many rows each of them should have, as far as known.
    """
    apart = {
        name: (fact.rows, frames[name])
        for name, fact in facts.items()
        if name in frames and fact.rows != frames[name]
    }
    by_one = [
        f"{name} has {rows} rows for {expected} frames"
        for name, (rows, expected) in apart.items()
        if abs(rows - expected) == 1
    ]
    by_more = [
        f"{name} has {rows} rows for {expected} frames"
        for name, (rows, expected) in apart.items()
        if abs(rows - expected) > 1
    ]
    findings = found(
        "error",
        "one row off",
        "keypoint files have one row more or fewer than there are frames",
        by_one,
        "a header is absent or doubled, or a frame was lost: joints and pictures do not fit",
    )
    findings += found(
        "warning",
        "frame counts disagree",
        "keypoint files and videos differ in their number of frames",
        by_more,
        "copy both again; frames past the shorter one are not used",
    )
    findings += found(
        "warning",
        "empty skeleton",
        "not a single joint was found in",
        [name for name, fact in facts.items() if fact.seen == 0],
        "leave these out of skeleton models (0347 and 0348 of iMiGUE are so)",
    )
    findings += found(
        "warning",
        "missing joints",
        "joints of the upper body are missing in more than half of the frames",
        [f"{n}: {', '.join(fact.missing)}" for n, fact in facts.items() if fact.missing],
        "they are masked; look at the video",
    )
    findings += found(
        "warning",
        "swapped hands",
        "fingertips lie at the other hand's wrist",
        [name for name, fact in facts.items() if fact.swapped],
        "left and right hand columns have changed places: swap them back",
    )
    return findings


def head_boxes(keypoints: Keypoints, layout: str) -> dict[int, tuple[float, float, float]]:
    """Frames in which nose and neck are seen: the head's centre and half side, in pixels."""
    joints = LAYOUTS[layout].joints
    if not {"nose", "neck"} <= set(joints):
        return {}
    nose, neck = (keypoints[:, joints.index(joint)] for joint in ("nose", "neck"))
    frames = np.flatnonzero((nose[:, 2] > 0) & (neck[:, 2] > 0))
    half = 0.6 * np.linalg.norm(nose[:, :2] - neck[:, :2], axis=1)
    return {int(f): (float(nose[f, 0]), float(nose[f, 1]), float(half[f])) for f in frames}
