"""Features of synthetic interviews, synthetic as well: nothing was extracted from a picture.

RGB tokens of synthetic clips, synthetic as well: what a picture encoder would say of the marks.

Letters in shapes: t h w, times and places of the encoder's map; D width of a token.
"""

import numpy as np
from jaxtyping import Float

from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.cropping import crop_places
from imigue_lab.data.store import Encoding, create_store
from imigue_lab.data.synthetic.body import PLACE, Scene, quarter
from imigue_lab.data.synthetic.recording import HEIGHT, WIDTH, act, subject_rng, to_pixels
from imigue_lab.data.synthetic.story import (
    MOVERS,
    VERSION,
    WAVE,
    WINDOW,
    Gesture,
    SyntheticSpec,
    plan,
)

CONTEXT = Encoding("synthetic-context", f"generator {VERSION}", "synthetic")
FACE = Encoding("synthetic-face", f"generator {VERSION}", "synthetic")
GAIN = 6.0  # norm of each planted variable's direction; the noise of one channel is 1


def write_features(index: Index, spec: SyntheticSpec, store: str = "") -> None:
    """Synthetic features of a window of 16 frames: the planted variables along fixed directions.

    context (T, 768): posture, sway of the head, and the subject; face (T, 512) with face_share
    (T,): smile, sway, and the subject. Every channel carries noise; a window without a face is a
    row of zeros.
    """
    contexts = create_store(store, index, CONTEXT)
    faces = create_store(store, index, FACE)
    source = index.root / "synthetic.json"
    for interview in plan(spec):
        video = interview.video_id
        if contexts.is_fresh(video, source) and faces.is_fresh(video, source):
            continue
        scene = act(interview, spec)
        rng = np.random.default_rng([spec.seed, VERSION, interview.number, 2])
        subject = subject_rng(interview, spec)
        sway = scene.drawn[:, PLACE["nose"], 0] * 20
        share = window_means(scene.face_seen.astype(float))
        posture, sway, smile = (window_means(v) for v in (scene.posture, sway, scene.smile))
        context = embed([posture, sway], subject, 768, rng)
        face = embed([smile, sway], subject, 512, rng) * (share > 0)[:, None]
        contexts.write(video, {"context": context.astype(np.float16)}, source)
        faces.write(
            video,
            {"face": face.astype(np.float16), "face_share": share.astype(np.float32)},
            source,
        )


def window_means(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " T"]:
    """Mean over each window of 16 frames; 8 frames or more at the end make one of their own."""
    whole = len(values) // WINDOW * WINDOW
    means = values[:whole].reshape(-1, WINDOW).mean(axis=1)
    if len(values) - whole >= WINDOW // 2:
        means = np.append(means, values[whole:].mean())
    return means


def embed(
    variables: list[Float[np.ndarray, " T"]],
    subject: np.random.Generator,
    dim: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "T {dim}"]:
    """Each variable, and four traits of the subject, along a direction of its own, plus noise."""
    traits = subject.normal(size=4)
    told = np.stack([*variables, *(np.full_like(variables[0], t) for t in traits)], axis=1)
    directions = np.random.default_rng([VERSION, dim]).normal(size=(told.shape[1], dim))
    directions *= GAIN / np.linalg.norm(directions, axis=1, keepdims=True)
    return told @ directions + rng.normal(size=(len(told), dim))


RGB = Encoding("synthetic-rgb", f"generator {VERSION}, clips 1", "synthetic")
TIMES, SIDE, DIM = 8, 4, 32  # of the map; of a token
HUES, TRAITS = 6, 4
AROUND = 0.25  # how much of what one token sees all others of its clip know
TRAIT = 0.5  # of a subject's trait, in every token
CLIP_GAIN, NOISE = 8.0, 0.25  # of what is seen in one token; of each channel


def write_clip_features(index: Index, spec: SyntheticSpec, store: str = "") -> None:
    """Synthetic tokens of every clip: `rgb (8, 4, 4, 32)` and `picture (2,)`, its width and height.

    The mark's hue stands at its place in the encoder's crop at the times of its quarter, the waving
    at the wrists, both faintly in all tokens of the clip (an encoder's tokens know of each other),
    and traits of the subject everywhere; every channel carries noise. Sets of full size have none:
    their 18,232 clips are there to be counted; nor have long interviews, which no mark is in.
    """
    if spec.size != "demo":
        return
    features = create_store(store, index, RGB)
    source = index.root / "synthetic.json"
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
    known = np.broadcast_to(TRAIT * traits / CLIP_GAIN, (*hues.shape[:3], len(traits)))
    seen = np.concatenate([hues, waving], axis=-1)
    seen = np.maximum(seen, AROUND * seen.max(axis=(0, 1, 2)))
    told = np.concatenate([seen, known], axis=-1)
    directions = np.random.default_rng([VERSION, DIM]).normal(size=(DIM, told.shape[-1]))
    tokens = CLIP_GAIN * told @ np.linalg.qr(directions)[0].T
    return tokens + NOISE * rng.normal(size=tokens.shape)


def show(cells: Float[np.ndarray, "h w"], joint: Float[np.ndarray, "2"]) -> None:
    """Marks the cell of the crop in which a joint lies; outside of it there is none."""
    x, y = np.floor(crop_places(to_pixels(joint), WIDTH, HEIGHT) * SIDE).astype(int)
    if 0 <= x < SIDE and 0 <= y < SIDE:
        cells[y, x] = 1
