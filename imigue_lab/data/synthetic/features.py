"""Features of made-up interviews, made up as well: nothing was extracted from a picture."""

import numpy as np
from jaxtyping import Float

from imigue_lab.data.index import Index
from imigue_lab.data.store import Encoding, create_store
from imigue_lab.data.synthetic.body import PLACE
from imigue_lab.data.synthetic.recording import act, subject_rng
from imigue_lab.data.synthetic.story import VERSION, WINDOW, MadeUp, plan

CONTEXT = Encoding("made-up-context", f"generator {VERSION}", "made up")
FACE = Encoding("made-up-face", f"generator {VERSION}", "made up")
GAIN = 6.0  # norm of each planted variable's direction; the noise of one channel is 1


def write_features(index: Index, spec: MadeUp, store: str = "") -> None:
    """Made-up features of a window of 16 frames: the planted variables along fixed directions.

    context (T, 768): posture, sway of the head, and the subject; face (T, 512) with face_share
    (T,): smile, sway, and the subject. Every channel carries noise; a window without a face is a
    row of zeros.
    """
    contexts = create_store(store, index, CONTEXT)
    faces = create_store(store, index, FACE)
    source = index.root / "made_up.json"
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
