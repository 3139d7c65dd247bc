"""RGB tokens of made-up clips, made up as well: what a picture encoder would say of the marks.

Letters in shapes: t h w, times and places of the encoder's map; D width of a token.
"""

import numpy as np
from jaxtyping import Float

from imigue_lab.data.crop import crop_places
from imigue_lab.data.index import Index
from imigue_lab.data.store import Encoding, create_store
from imigue_lab.data.synthetic.body import PLACE, Scene, quarter
from imigue_lab.data.synthetic.drawing import HEIGHT, WIDTH, to_pixels
from imigue_lab.data.synthetic.recording import act, subject_rng
from imigue_lab.data.synthetic.story import MOVERS, VERSION, WAVE, Gesture, MadeUp, plan

RGB = Encoding("made-up-rgb", f"generator {VERSION}, clips 1", "made up")
TIMES, SIDE, DIM = 8, 4, 32  # of the map; of a token
HUES, TRAITS = 6, 4
AROUND = 0.25  # how much of what one token sees all others of its clip know
TRAIT = 0.5  # of a subject's trait, in every token
GAIN, NOISE = 8.0, 0.25  # of what is seen in one token; of each channel


def write_clip_features(index: Index, spec: MadeUp, store: str = "") -> None:
    """Made-up tokens of every clip: `rgb (8, 4, 4, 32)` and `picture (2,)`, its width and height.

    The mark's hue stands at its place in the encoder's crop at the times of its quarter, the waving
    at the wrists, both faintly in all tokens of the clip (an encoder's tokens know of each other),
    and traits of the subject everywhere; every channel carries noise. Sets of full size have none:
    their 18,232 clips are there to be counted; nor have long interviews, which no mark is in.
    """
    if spec.size != "demo":
        return
    features = create_store(store, index, RGB)
    source = index.root / "made_up.json"
    clip_ids = index.clips.set_index(["video_id", "start"]).clip_id
    for interview in plan(spec):
        video = interview.video_id
        clips = {clip_ids[video, gesture.start]: gesture for gesture in interview.gestures}
        if all(features.is_fresh(clip_id, source) for clip_id in clips):
            continue
        scene = act(interview, spec)
        traits = subject_rng(interview, spec).normal(size=TRAITS)
        rng = np.random.default_rng([spec.seed, VERSION, interview.number, 3])
        for clip_id, gesture in clips.items():
            rgb = look_at(gesture, scene, traits, rng).astype(np.float16)
            picture = np.array([WIDTH, HEIGHT])
            features.write(clip_id, {"rgb": rgb, "picture": picture}, source)


def look_at(
    gesture: Gesture,
    scene: Scene,
    traits: Float[np.ndarray, " traits"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "t h w D"]:
    """The tokens of one clip."""
    hues = np.zeros((TIMES, SIDE, SIDE, HUES))
    waving = np.zeros((TIMES, SIDE, SIDE, 1))
    marked = quarter(gesture, gesture.mark_moment)
    length = gesture.end + 1 - gesture.start
    for time in range(TIMES):
        frame = int((time + 0.5) * length / TIMES)
        joints = scene.drawn[gesture.start + frame]
        if frame in marked:
            show(hues[time, ..., gesture.hue], joints[PLACE[MOVERS[gesture.mark_joint]]])
        if gesture.pattern == WAVE:
            for wrist in ("right_wrist", "left_wrist"):
                show(waving[time, ..., 0], joints[PLACE[wrist]])
    known = np.broadcast_to(TRAIT * traits / GAIN, (*hues.shape[:3], len(traits)))
    seen = np.concatenate([hues, waving], axis=-1)
    seen = np.maximum(seen, AROUND * seen.max(axis=(0, 1, 2)))
    told = np.concatenate([seen, known], axis=-1)
    directions = np.random.default_rng([VERSION, DIM]).normal(size=(DIM, told.shape[-1]))
    tokens = GAIN * told @ np.linalg.qr(directions)[0].T
    return tokens + NOISE * rng.normal(size=tokens.shape)


def show(cells: Float[np.ndarray, "h w"], joint: Float[np.ndarray, "2"]) -> None:
    """Marks the cell of the crop in which a joint lies; outside of it there is none."""
    x, y = np.floor(crop_places(to_pixels(joint), WIDTH, HEIGHT) * SIDE).astype(int)
    if 0 <= x < SIDE and 0 <= y < SIDE:
        cells[y, x] = 1
