"""The joints of a synthetic person at each frame, with the planned signals.

Letters in shapes: N frames, V joints of `light_hand35`. Coordinates are in heights of the picture,
from its top centre; the y axis points down.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from imigue_lab.data.skeletons.keypoints import LAYOUTS, LEFT_TIPS, RIGHT_TIPS
from imigue_lab.data.synthetic.story import (
    FPS,
    MOVERS,
    PATTERNS,
    QUARTERS,
    THROUGHOUT,
    VERSION,
    WAVE,
    Gesture,
    Interview,
    SyntheticSpec,
)

JOINTS = LAYOUTS["light_hand35"].joints
PLACE = {joint: index for index, joint in enumerate(JOINTS)}
TIPS = {"right_wrist": RIGHT_TIPS, "left_wrist": LEFT_TIPS}
TREMOR = 0.025  # heights; 3.6 pixels

REST = {
    "nose": (0.0, 0.30),
    "neck": (0.0, 0.50),
    "right_shoulder": (-0.20, 0.54),
    "right_elbow": (-0.28, 0.74),
    "right_wrist": (-0.16, 0.88),
    "left_shoulder": (0.20, 0.54),
    "left_elbow": (0.28, 0.74),
    "left_wrist": (0.16, 0.88),
    "right_eye": (-0.045, 0.26),
    "left_eye": (0.045, 0.26),
    "right_ear": (-0.11, 0.28),
    "left_ear": (0.11, 0.28),
}
HEAD = ["nose", "right_eye", "left_eye", "right_ear", "left_ear"]


@dataclass(frozen=True)
class Scene:
    """One interview in time; smile and posture are the planned values with slow noise."""

    smile: Float[np.ndarray, " N"]
    posture: Float[np.ndarray, " N"]
    face_seen: Bool[np.ndarray, " N"]  # False while the face is turned away
    drawn: Float[np.ndarray, "N V 2"]  # joints as the picture shows them, NaN where missing
    tracked: Float[np.ndarray, "N V 2"]  # the same with the tremors of the gestures


def act(interview: Interview, spec: SyntheticSpec) -> Scene:
    """Turns a plan into joints over time, with noise that contains no signal."""
    rng = np.random.default_rng([spec.seed, VERSION, interview.number, 0])
    frames = np.arange(interview.frames)
    smile = interview.expression + 0.4 * wander(interview.frames, rng)
    posture = interview.posture + 0.4 * wander(interview.frames, rng)
    face_seen = (frames < interview.hidden[0]) | (frames >= interview.hidden[1])

    drawn = np.full((interview.frames, len(JOINTS), 2), np.nan)
    for joint, place in REST.items():
        drawn[:, PLACE[joint]] = place
    for wrist, tips in TIPS.items():
        for finger, tip in enumerate(tips):
            drawn[:, PLACE[tip]] = np.add(REST[wrist], ((finger - 2) * 0.015, 0.05))
    rise = np.clip(posture, -3, 3)[:, None] * (0.0, -0.018)
    drawn[:, indices([*HEAD, "neck", "right_shoulder", "left_shoulder"])] += rise[:, None]
    sway = 0.02 * np.stack([wander(interview.frames, rng), wander(interview.frames, rng)], axis=1)
    drawn += sway[:, None]
    drawn[:, indices(HEAD)] += 0.5 * sway[::-1, None]

    tracked = drawn.copy()
    for gesture in interview.gestures:
        clip = slice(gesture.start, gesture.end + 1)
        turn = 2 * np.pi * np.arange(gesture.end + 1 - gesture.start) / FPS  # once per second
        if gesture.pattern == WAVE:
            wave = 0.12 * np.sin(turn)[:, None] * (0.5, -1.0)
            arms = indices([*TIPS, *RIGHT_TIPS, *LEFT_TIPS])
            for scene in (drawn, tracked):
                scene[clip, arms] += (wave - (0.0, 0.12))[:, None]
        elif gesture.moment == THROUGHOUT:
            path = 3 * TREMOR * movement(gesture.pattern, turn)
            for scene in (drawn, tracked):
                scene[clip, moved_by(gesture)] += path[:, None]
        else:
            tracked[clip, moved_by(gesture)] += tremor(gesture)[:, None]
    return Scene(smile, posture, face_seen, drawn, tracked)


def indices(joints: list[str]) -> list[int]:
    return [PLACE[joint] for joint in joints]


def moved_by(gesture: Gesture) -> list[int]:
    """The trembling joint, and the fingertips that move with it."""
    joint = MOVERS[gesture.joint]
    return indices([joint, *TIPS.get(joint, [])])


def quarter(gesture: Gesture, moment: int) -> range:
    """Frames of one quarter of the clip, from its start."""
    length = gesture.end + 1 - gesture.start
    return range(length * moment // QUARTERS, length * (moment + 1) // QUARTERS)


def tremor(gesture: Gesture) -> Float[np.ndarray, "length 2"]:
    """The movement of a gesture's joint over its clip, 0 outside its quarter."""
    path = np.zeros((gesture.end + 1 - gesture.start, 2))
    moment = quarter(gesture, gesture.moment)
    turn = 2 * np.pi * np.linspace(0, 1, len(moment))
    path[moment.start : moment.stop] = TREMOR * movement(gesture.pattern, turn)
    return path


def movement(pattern: int, turn: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N 2"]:
    """x and y of a pattern, at most about 1, over a phase of 2π."""
    still = np.zeros_like(turn)
    ways = {
        "up-down": (still, np.sin(turn)),
        "sideways": (np.sin(turn), still),
        "circle": (np.cos(turn) - 1, np.sin(turn)),
        "twitch": (np.sin(3 * turn), np.sin(3 * turn)),
        "beat": (np.sin(turn / 2), -np.sin(turn / 2)),
    }
    return np.stack(ways[PATTERNS[pattern]], axis=1)


def wander(frames: int, rng: np.random.Generator) -> Float[np.ndarray, " N"]:
    """Slow, smooth noise with mean 0 and standard deviation of about 1."""
    seconds = np.arange(frames) / FPS
    waves = rng.uniform(0.05, 0.5, size=4)
    phases = rng.uniform(0, 2 * np.pi, size=4)
    return np.sin(2 * np.pi * waves[:, None] * seconds + phases[:, None]).sum(axis=0) / np.sqrt(2)
