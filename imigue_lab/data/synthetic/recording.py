"""The recording of a synthetic interview: joints in time, keypoints in pixels, pictures by frame.

`act` moves the joints of a person by the planned signals; a picture shows an upper body behind a
table, a face that smiles, and a coloured mark. Coordinates of a scene are in heights of the
picture, from its top centre, y pointing down, so the same numbers give keypoints and pictures.

Letters in shapes: N frames, V joints of `light_hand35`.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from imigue_lab.data.skeletons.keypoints import FINGERS, LAYOUTS
from imigue_lab.data.synthetic import story
from imigue_lab.data.synthetic.story import Gesture, Interview, SyntheticSpec

JOINTS = LAYOUTS["light_hand35"].joints
PLACE = {joint: index for index, joint in enumerate(JOINTS)}
TIPS = {
    f"{side}_wrist": [f"{side}_{finger}_tip" for finger in FINGERS] for side in ("right", "left")
}
TREMOR = 0.025  # heights; 7.2 pixels
WIDTH, HEIGHT = 384, 288  # pixels, 4:3
TINY = 12  # factor by which tiny pictures are smaller
BITS = 12  # of the frame number in a tiny picture
VISIBLE = {*story.MOVERS, "right_eye", "left_eye"}
PERSON = tomllib.loads(Path(__file__).with_name("person.toml").read_text(encoding="utf-8"))
HUES, REST = PERSON["hues"], PERSON["rest"]
Place = Float[np.ndarray, "2"]
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
    rng = np.random.default_rng([spec.seed, story.VERSION, interview.number, 0])
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
    for gesture in (*interview.gestures, *interview.distractors):
        clip = slice(gesture.start, gesture.end + 1)
        turn = 2 * np.pi * np.arange(gesture.end + 1 - gesture.start) / story.FPS  # once per second
        if gesture.pattern == story.WAVE:
            wave = 0.12 * np.sin(turn)[:, None] * (0.5, -1.0)
            arms = indices([*TIPS, *TIPS["right_wrist"], *TIPS["left_wrist"]])
            for scene in (drawn, tracked):
                scene[clip, arms] += (wave - (0.0, 0.12))[:, None]
        elif gesture.moment == story.THROUGHOUT:
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
    joint = story.MOVERS[gesture.joint]
    return indices([joint, *TIPS.get(joint, [])])


def quarter(gesture: Gesture, moment: int) -> range:
    """Frames of one quarter of the clip, from its start."""
    length = gesture.end + 1 - gesture.start
    return range(length * moment // story.QUARTERS, length * (moment + 1) // story.QUARTERS)


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
    return np.stack(ways[story.PATTERNS[pattern]], axis=1)


def wander(frames: int, rng: np.random.Generator) -> Float[np.ndarray, " N"]:
    """Slow, smooth noise with mean 0 and standard deviation of about 1."""
    seconds = np.arange(frames) / story.FPS
    waves = rng.uniform(0.05, 0.5, size=4)
    phases = rng.uniform(0, 2 * np.pi, size=4)
    return np.sin(2 * np.pi * waves[:, None] * seconds + phases[:, None]).sum(axis=0) / np.sqrt(2)


@dataclass(frozen=True)
class Look:
    """The appearance of a subject: colours as RGB."""

    skin: tuple[int, int, int]
    shirt: tuple[int, int, int]
    wall: tuple[int, int, int]


def to_pixels(place: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points 2"]:
    """From heights, relative to the top centre, to pixels (x, y)."""
    return place * HEIGHT + np.array([WIDTH / 2, 0.0])


def draw(
    look: Look,
    joints: dict[str, Place],
    smile: float,
    face_seen: bool,
    mark: tuple[Place, int] | None,
) -> UInt8[np.ndarray, "height width 3"]:
    """One frame, of joints by name in heights.

    A negative smile is a frown; the head is from behind if the face is not seen; the mark is the
    place and hue number of a coloured spot.
    """
    picture = Image.new("RGB", (WIDTH, HEIGHT), look.wall)
    pen = ImageDraw.Draw(picture)
    px = dict(zip(joints, map(tuple, to_pixels(np.stack([*joints.values()]))), strict=True))
    torso = [px["right_shoulder"], px["left_shoulder"], px["left_waist"], px["right_waist"]]
    pen.polygon(torso, fill=look.shirt)
    for side in ("right", "left"):
        arm = [px[f"{side}_shoulder"], px[f"{side}_elbow"], px[f"{side}_wrist"]]
        pen.line(arm, fill=look.shirt, width=26, joint="curve")
        pen.circle(px[f"{side}_shoulder"], 14, look.shirt)
        pen.circle(px[f"{side}_wrist"], 12, look.skin)
    pen.line([px["neck"], px["nose"]], fill=look.skin, width=24)
    draw_head(pen, look, px, smile, face_seen)
    pen.rectangle([0, HEIGHT * 0.93, WIDTH, HEIGHT], fill=(96, 72, 52))
    if mark is not None:
        pen.circle(tuple(to_pixels(mark[0])), 12, tuple(HUES[mark[1]]))
    return np.asarray(picture)


def draw_tiny(look: Look, nose: Place, frame: int) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of 32 x 24 that is fast to draw: wall, shirt, head, and the frame number.

    The bottom four rows encode the number in bits of 2 pixels, the lowest left, white for 1.
    """
    picture = np.empty((HEIGHT // TINY, WIDTH // TINY, 3), dtype=np.uint8)
    picture[:] = look.wall
    picture[13:20, 8:24] = look.shirt
    x, y = (to_pixels(nose) / TINY).round().astype(int)
    picture[max(0, y - 3) : max(0, y + 4), max(0, x - 2) : max(0, x + 3)] = look.skin
    picture[20:] = 0
    bits = (frame >> np.arange(BITS)) & 1
    picture[20:, : 2 * BITS] = 255 * np.repeat(bits, 2)[None, :, None]
    return picture


def draw_head(pen: ImageDraw.ImageDraw, look: Look, px: dict, smile: float, seen: bool) -> None:
    x, y = px["nose"]
    hair, dark = (tuple(int(share * c) for c in look.skin) for share in (1 / 3, 0.6))
    pen.ellipse([x - 36, y - 48, x + 36, y + 40], fill=hair)
    if not seen:
        return
    pen.ellipse([x - 27, y - 36, x + 27, y + 44], fill=look.skin)
    for right, down in (px["right_eye"], px["left_eye"]):
        pen.ellipse([right - 10, down - 10, right + 10, down + 6], fill=dark)
        pen.ellipse([right - 7, down - 4, right + 7, down + 4], fill=(20, 20, 20))
    pen.ellipse([x - 7, y + 5, x + 7, y + 10], fill=dark)
    bend = float(np.clip(10 * smile, -12, 12))
    corners = [(x - 14, y + 22 - bend / 2), (x, y + 22 + bend / 2), (x + 14, y + 22 - bend / 2)]
    pen.line(corners, fill=(140, 30, 40), width=4, joint="curve")


@dataclass(frozen=True)
class Recording:
    """The content that every layout writes."""

    interview: Interview
    scene: Scene
    keypoints: Float[np.ndarray, "N V 3"]  # x, y in pixels, confidence; 3 decimals; 0 where missing
    look: Look
    marks: dict[int, tuple[str, int]]  # frame -> joint and hue number of the coloured spot
    tiny: bool  # pictures and pixels are 32 x 24 instead of 384 x 288

    def picture(self, frame: int) -> UInt8[np.ndarray, "height width 3"]:
        """One frame, RGB."""
        places = self.scene.drawn[frame]
        if self.tiny:
            return draw_tiny(self.look, places[PLACE["nose"]], frame)
        joints = {joint: places[PLACE[joint]] for joint in JOINTS if joint in VISIBLE}
        for side in ("right", "left"):
            joints[f"{side}_waist"] = joints[f"{side}_shoulder"] * (0.8, 1.0) + (0.0, 0.45)
        joint, hue = self.marks.get(frame, ("", story.UNMARKED))
        mark = None if hue == story.UNMARKED else (joints[joint], hue)
        seen = bool(self.scene.face_seen[frame])
        return draw(self.look, joints, self.scene.smile[frame], seen, mark)


def record(interview: Interview, spec: SyntheticSpec) -> Recording:
    """Simulates the recording of an interview."""
    scene = act(interview, spec)
    rng = np.random.default_rng([spec.seed, story.VERSION, interview.number, 1])
    tiny = spec.size == "full"
    marks = {
        gesture.start + frame: (story.MOVERS[gesture.mark_joint], gesture.hue)
        for gesture in interview.gestures
        if gesture.hue != story.UNMARKED
        for frame in quarter(gesture, gesture.mark_moment)
    }
    keypoints = track(scene.tracked, 1 / TINY if tiny else 1.0, rng)
    own = subject_rng(interview, spec)
    skin = own.integers((150, 100, 70), (240, 190, 160))
    shirt, wall = own.integers(25, 75, 3), own.integers(120, 180, 3)  # unlike the hues of marks
    look = Look(*(tuple(colour.tolist()) for colour in (skin, shirt, wall)))
    return Recording(interview, scene, keypoints, look, marks, tiny)


def subject_rng(interview: Interview, spec: SyntheticSpec) -> np.random.Generator:
    """Random numbers of the person, the same in all interviews."""
    return np.random.default_rng([spec.seed, story.VERSION, int(interview.subject[1:])])


def track(
    places: Float[np.ndarray, "N V 2"], scale: float, rng: np.random.Generator
) -> Float[np.ndarray, "N V 3"]:
    """The output of a simulated pose detector: pixels with jitter, and a confidence."""
    pixels = (to_pixels(places) + rng.normal(0, 0.6, places.shape)) * scale
    score = rng.uniform(0.6, 0.95, places.shape[:2])
    points = np.nan_to_num(np.concatenate([pixels, score[..., None]], axis=2))
    points[np.isnan(places).any(axis=2)] = 0
    return points.round(3)
