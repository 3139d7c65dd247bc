"""Synthetic features of interviews and clips: simulated encoders, nothing is extracted.

`write_features` embeds the signals of an interview in context and face features, one row per window
of 16 frames; `write_clip_features` those of a clip in the RGB tokens of a picture encoder.

Letters in shapes: N frames, T windows; t h w, times and places of the encoder's map; D width of a
token.
"""

import numpy as np
from jaxtyping import Float

from imigue_lab.data.index import MARKER, Index
from imigue_lab.data.skeletons.geometry import crop_places
from imigue_lab.data.store import Encoding, create_store
from imigue_lab.data.synthetic import story
from imigue_lab.data.synthetic.recording import (
    HEIGHT,
    PLACE,
    WIDTH,
    Scene,
    act,
    quarter,
    subject_rng,
    to_pixels,
)
from imigue_lab.data.synthetic.story import Gesture, SyntheticSpec

CONTEXT = Encoding("synthetic-context", f"generator {story.VERSION}", "synthetic")
FACE = Encoding("synthetic-face", f"generator {story.VERSION}", "synthetic")
GAIN = 6.0  # norm of each embedded variable's direction; the noise of one channel is 1

RGB = Encoding("synthetic-rgb", f"generator {story.VERSION}, clips 2", "synthetic")
TIMES, SIDE, DIM = 8, 4, 32  # of the map; of a token
HUES, TRAITS = 6, 4
AROUND = 0.25  # share of a token's content that all others of its clip contain
TRAIT = 0.5  # of a subject's trait, in every token
CLIP_GAIN, NOISE = 8.0, 0.25  # of the content of one token; of each channel


def write_features(index: Index, spec: SyntheticSpec, store: str = "") -> None:
    """Features of the windows of interviews: the embedded variables along fixed directions.

    context (T, 768): posture, sway of the head, and the subject; face (T, 512) with face_share
    (T,): smile, sway, and the subject. Every channel has noise; a window without a face is a row of
    zeros.
    """
    contexts = create_store(store, index, CONTEXT)
    faces = create_store(store, index, FACE)
    source = index.root / MARKER
    for interview in story.plan(spec):
        video = interview.video_id
        if contexts.is_fresh(video, source) and faces.is_fresh(video, source):
            continue
        scene = act(interview, spec)
        rng = np.random.default_rng([spec.seed, story.VERSION, interview.number, 2])
        subject = subject_rng(interview, spec)
        sway = scene.drawn[:, PLACE["nose"], 0] * 20
        share = window_means(scene.face_seen.astype(float))
        posture, sway, smile = (window_means(v) for v in (scene.posture, sway, scene.smile))
        context = embed([posture, sway], subject, 768, rng)
        face = embed([smile, sway], subject, 512, rng) * (share > 0)[:, None]
        contexts.write(video, {"context": context.astype(np.float16)}, source)
        faces.write(
            video, {"face": face.astype(np.float16), "face_share": share.astype(np.float32)}, source
        )


def window_means(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " T"]:
    """Mean over each window of 16 frames; 8 frames or more at the end are a window too."""
    whole = len(values) // story.WINDOW * story.WINDOW
    means = values[:whole].reshape(-1, story.WINDOW).mean(axis=1)
    if len(values) - whole >= story.WINDOW // 2:
        means = np.append(means, values[whole:].mean())
    return means


def embed(
    variables: list[Float[np.ndarray, " T"]],
    subject: np.random.Generator,
    dim: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "T {dim}"]:
    """Each variable, and four traits of the subject, along a separate direction, plus noise."""
    traits = subject.normal(size=TRAITS)
    content = np.stack([*variables, *(np.full_like(variables[0], t) for t in traits)], axis=1)
    directions = np.random.default_rng([story.VERSION, dim]).normal(size=(content.shape[1], dim))
    directions *= GAIN / np.linalg.norm(directions, axis=1, keepdims=True)
    return content @ directions + rng.normal(size=(len(content), dim))


def write_clip_features(index: Index, spec: SyntheticSpec, store: str = "") -> None:
    """Tokens of every clip: `rgb (8, 4, 4, 32)` and `picture (2,)`, its width and height.

    The hue of the mark is at its place in the encoder's crop at the times of its quarter, waving is
    at the wrists, both weakly in all tokens of the clip (an encoder's tokens attend to each other),
    and traits of the subject are everywhere; every channel has noise. Only size `demo` has them:
    the 18,232 clips of the full size are for counting, and long interviews have no marks.
    """
    if spec.size != "demo":
        return
    features = create_store(store, index, RGB)
    source = index.root / MARKER
    clip_ids = index.clips.set_index(["video_id", "start"]).clip_id
    for interview in story.plan(spec):
        video = interview.video_id
        clips = {clip_ids[video, gesture.start]: gesture for gesture in interview.gestures}
        if all(features.is_fresh(clip_id, source) for clip_id in clips):
            continue
        scene = act(interview, spec)
        traits = subject_rng(interview, spec).normal(size=TRAITS)
        rng = np.random.default_rng([spec.seed, story.VERSION, interview.number, 3])
        for clip_id, gesture in clips.items():
            rgb = clip_tokens(gesture, scene, traits, rng).astype(np.float16)
            features.write(clip_id, {"rgb": rgb, "picture": np.array([WIDTH, HEIGHT])}, source)


def clip_tokens(
    gesture: Gesture, scene: Scene, traits: Float[np.ndarray, " traits"], rng: np.random.Generator
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
            set_cell(hues[time, ..., gesture.hue], joints[PLACE[story.MOVERS[gesture.mark_joint]]])
        if gesture.pattern == story.WAVE:
            for wrist in ("right_wrist", "left_wrist"):
                set_cell(waving[time, ..., 0], joints[PLACE[wrist]])
    known = np.broadcast_to(TRAIT * traits / CLIP_GAIN, (*hues.shape[:3], len(traits)))
    seen = np.concatenate([hues, waving], axis=-1)
    seen = np.maximum(seen, AROUND * seen.max(axis=(0, 1, 2)))
    content = np.concatenate([seen, known], axis=-1)
    directions = np.random.default_rng([story.VERSION, DIM]).normal(size=(DIM, content.shape[-1]))
    tokens = CLIP_GAIN * content @ np.linalg.qr(directions)[0].T
    return tokens + NOISE * rng.normal(size=tokens.shape)


def set_cell(cells: Float[np.ndarray, "h w"], joint: Float[np.ndarray, "2"]) -> None:
    """Sets the cell of the crop that contains a joint, unless it is outside."""
    x, y = np.floor(crop_places(to_pixels(joint), WIDTH, HEIGHT) * SIDE).astype(int)
    if 0 <= x < SIDE and 0 <= y < SIDE:
        cells[y, x] = 1
