"""One made-up interview as it was recorded: keypoints in pixels, and pictures by frame number.

Letters in shapes: N frames, V joints of `light_hand35`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from imigue_lab.data.synthetic.body import JOINTS, PLACE, Scene, act_out, quarter
from imigue_lab.data.synthetic.drawing import TINY, Look, draw, draw_tiny, look_of, to_pixels
from imigue_lab.data.synthetic.story import MOVERS, UNMARKED, VERSION, Interview, MadeUp

VISIBLE = {*MOVERS, "right_eye", "left_eye"}


@dataclass(frozen=True)
class Recording:
    """What every layout writes of an interview.

    Attributes:
        keypoints: x, y in pixels and confidence, to three decimals; all 0 where missing.
        marks: frame -> joint and hue number of the coloured spot in its picture.
        tiny: pictures and pixels are 32 x 24 instead of 192 x 144.
    """

    interview: Interview
    scene: Scene
    keypoints: Float[np.ndarray, "N V 3"]
    look: Look
    marks: dict[int, tuple[str, int]]
    tiny: bool

    def picture(self, frame: int) -> UInt8[np.ndarray, "height width 3"]:
        """One frame, RGB."""
        places = self.scene.drawn[frame]
        if self.tiny:
            return draw_tiny(self.look, places[PLACE["nose"]], frame)
        joints = {joint: places[PLACE[joint]] for joint in JOINTS if joint in VISIBLE}
        for side in ("right", "left"):
            joints[f"{side}_waist"] = joints[f"{side}_shoulder"] * (0.8, 1.0) + (0.0, 0.45)
        mark = None
        if frame in self.marks:
            joint, hue = self.marks[frame]
            mark = joints[joint], hue
        seen = bool(self.scene.face_seen[frame])
        return draw(self.look, joints, self.scene.smile[frame], seen, mark)


def record(interview: Interview, spec: MadeUp) -> Recording:
    """Acts an interview out and points the camera at it."""
    scene = act(interview, spec)
    rng = np.random.default_rng([spec.seed, VERSION, interview.number, 1])
    scale = 1 / TINY if spec.size == "full" else 1.0
    marks = {}
    for gesture in interview.gestures:
        if gesture.hue == UNMARKED:
            continue
        for frame in quarter(gesture, gesture.mark_moment):
            marks[gesture.start + frame] = (MOVERS[gesture.mark_joint], gesture.hue)
    return Recording(
        interview=interview,
        scene=scene,
        keypoints=track(scene.tracked, scale, rng),
        look=look_of(subject_rng(interview, spec)),
        marks=marks,
        tiny=spec.size == "full",
    )


def act(interview: Interview, spec: MadeUp) -> Scene:
    """The interview in time; the same arguments give the same scene."""
    rng = np.random.default_rng([spec.seed, VERSION, interview.number, 0])
    return act_out(interview, rng)


def subject_rng(interview: Interview, spec: MadeUp) -> np.random.Generator:
    """Draws what belongs to the person and not to the interview."""
    return np.random.default_rng([spec.seed, VERSION, int(interview.subject[1:])])


def track(
    places: Float[np.ndarray, "N V 2"], scale: float, rng: np.random.Generator
) -> Float[np.ndarray, "N V 3"]:
    """What a pose detector would say: pixels with its jitter, and a confidence."""
    pixels = (to_pixels(places) + rng.normal(0, 0.3, places.shape)) * scale
    score = rng.uniform(0.6, 0.95, places.shape[:2])
    points = np.nan_to_num(np.concatenate([pixels, score[..., None]], axis=2))
    points[np.isnan(places).any(axis=2)] = 0
    return points.round(3)
