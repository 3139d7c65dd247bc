"""Writes a made-up iMiGUE as the MiGA challenge hands it out, and made-up features beside it.

<root>/made_up.json                     what it was made with
<root>/emotion_labels.csv               video_id,subject,label
<root>/imigue_data_phase1/datasets/imigue_skeleton_{train,validate}/<id>/
<root>/imigue_data_phase2/imigue_skeleton_test/<id>/<id>_{label,light_hand}.csv
<root>/imigue_rgb_phase1/{train_data,validation_data}/<id>/<id>.mp4
<root>/imigue_rgb_phase2/<id>/<id>.mp4
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
from filelock import FileLock
from jaxtyping import Float
from tqdm import tqdm

from imigue_lab.data.classes import OUTCOMES, to_csv_id
from imigue_lab.data.layout import Index, read_index
from imigue_lab.data.store import Encoding, create_store
from imigue_lab.data.synthetic.body import JOINTS, PLACE, Scene, act_out, quarter
from imigue_lab.data.synthetic.drawing import draw, look_of, to_pixels
from imigue_lab.data.synthetic.story import (
    FPS,
    MOVERS,
    VERSION,
    WINDOW,
    Interview,
    MadeUp,
    plan,
)
from imigue_lab.data.video import write_video
from imigue_lab.data.workspace import workspace, write_atomically
from imigue_lab.errors import DataError

CONTEXT = Encoding("made-up-context", f"generator {VERSION}", "made up")
FACE = Encoding("made-up-face", f"generator {VERSION}", "made up")
GAIN = 6.0  # norm of each planted variable's direction; the noise of one channel is 1


def make_data(root: Path | str, spec: MadeUp, store: str = "") -> Index:
    """Writes the tree at `root`, which must be new or empty, and the features into the store.

    Raises:
        DataError: something lies at `root` already.
    """
    root = Path(root).expanduser().resolve()
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: is not empty; name a new folder, or delete what lies there")
    unfinished = root.with_name(f".making-{root.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    interviews = plan(spec)
    for interview in tqdm(interviews, desc="made-up interviews", unit="video"):
        write_interview(unfinished, interview, spec)
    labels = [(i.video_id, i.subject, OUTCOMES[i.outcome].title()) for i in interviews]
    table = pd.DataFrame(labels, columns=["video_id", "subject", "label"])
    write_atomically(unfinished / "emotion_labels.csv", table.to_csv(index=False))
    made_with = {"note": "nothing here was filmed", "version": VERSION, **vars(spec)}
    write_atomically(unfinished / "made_up.json", json.dumps(made_with, indent=2))
    if root.exists():
        root.rmdir()
    unfinished.rename(root)
    index = read_index(root)
    write_features(index, spec, store)
    return index


def ensure_synthetic(spec: MadeUp | None = None, store: str = "") -> Path:
    """The root of a made-up set in the workspace; it and its features are made where absent."""
    spec = spec or MadeUp()
    root = workspace() / "data" / f"synthetic-{spec.key}"
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_suffix(".lock")):
        if root.exists():
            write_features(read_index(root), spec, store)
        else:
            make_data(root, spec, store)
    return root


def write_interview(root: Path, interview: Interview, spec: MadeUp) -> None:
    """One interview's keypoints, labels and video."""
    scene = act_out(interview, scene_rng(interview, spec))
    rng = np.random.default_rng([spec.seed, VERSION, interview.number, 1])
    phase, split = {
        "train": ("imigue_data_phase1/datasets", "train"),
        "validation": ("imigue_data_phase1/datasets", "validate"),
        "test": ("imigue_data_phase2", "test"),
    }[interview.split]
    video = interview.video_id
    folder = root / phase / f"imigue_skeleton_{split}" / video
    rows = [f"{to_csv_id(g.label)},{g.start},{g.end}\n" for g in interview.gestures]
    write_atomically(folder / f"{video}_label.csv", "".join(rows))
    write_atomically(folder / f"{video}_light_hand.csv", keypoint_csv(scene.tracked, rng))
    if spec.pictures:
        rgb = {
            "train": "imigue_rgb_phase1/train_data",
            "validation": "imigue_rgb_phase1/validation_data",
            "test": "imigue_rgb_phase2",
        }[interview.split]
        path = root / rgb / video / f"{video}.mp4"
        path.parent.mkdir(parents=True)
        write_video(path, pictures(interview, scene, spec), FPS)


def scene_rng(interview: Interview, spec: MadeUp) -> np.random.Generator:
    return np.random.default_rng([spec.seed, VERSION, interview.number, 0])


def keypoint_csv(places: Float[np.ndarray, "N V 2"], rng: np.random.Generator) -> bytes:
    """Header, then frame number and (x, y, confidence) of 35 joints in pixels, 0 where missing."""
    pixels = to_pixels(places) + rng.normal(0, 0.3, places.shape)
    score = rng.uniform(0.6, 0.95, places.shape[:2])
    rows = np.nan_to_num(np.concatenate([pixels, score[..., None]], axis=2))
    rows[np.isnan(places).any(axis=2)] = 0
    names = [f"{joint}_{c}" for joint in JOINTS for c in ("x", "y", "confidence")]
    columns = rows.reshape(len(rows), -1).round(3).T
    table = pyarrow.table([np.arange(len(rows)), *columns], names=["frame", *names])
    file = io.BytesIO()  # pandas takes ten times as long
    pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(quoting_style="none"))
    return file.getvalue()


def pictures(interview: Interview, scene: Scene, spec: MadeUp):
    """The frames of one video, RGB."""
    look = look_of(np.random.default_rng([spec.seed, VERSION, int(interview.subject[1:])]))
    marks = {}
    for gesture in interview.gestures:
        for frame in quarter(gesture, gesture.mark_moment):
            marks[gesture.start + frame] = (MOVERS[gesture.mark_joint], gesture.hue)
    for frame, places in enumerate(scene.drawn):
        joints = {joint: places[PLACE[joint]] for joint in JOINTS if joint in VISIBLE}
        for side in ("right", "left"):
            joints[f"{side}_waist"] = joints[f"{side}_shoulder"] * (0.8, 1.0) + (0.0, 0.45)
        mark = None
        if frame in marks:
            joint, hue = marks[frame]
            mark = joints[joint], hue
        yield draw(look, joints, scene.smile[frame], bool(scene.face_seen[frame]), mark)


VISIBLE = {*MOVERS, "right_eye", "left_eye"}


def write_features(index: Index, spec: MadeUp, store: str = "") -> None:
    """Made-up features of a window of 16 frames: the planted variables along fixed directions.

    context (T, 768): posture, sway of the head, and the subject; face (T, 512) with face_share
    (T,): smile, sway, and the subject. Every channel carries noise; a window without a face is a
    row of zeros.
    """
    contexts = create_store(store, index, CONTEXT)
    faces = create_store(store, index, FACE)
    source = dict(zip(index.videos.video_id, index.videos.keypoints, strict=True))
    for interview in plan(spec):
        video = interview.video_id
        if contexts.is_fresh(video, source[video]) and faces.is_fresh(video, source[video]):
            continue
        scene = act_out(interview, scene_rng(interview, spec))
        rng = np.random.default_rng([spec.seed, VERSION, interview.number, 2])
        subject = np.random.default_rng([spec.seed, VERSION, int(interview.subject[1:])])
        sway = scene.drawn[:, PLACE["nose"], 0] * 20
        share = window_means(scene.face_seen.astype(float))
        posture, sway, smile = (window_means(v) for v in (scene.posture, sway, scene.smile))
        context = embed([posture, sway], subject, 768, rng)
        face = embed([smile, sway], subject, 512, rng) * (share > 0)[:, None]
        contexts.write(video, {"context": context.astype(np.float16)}, source[video])
        faces.write(
            video,
            {"face": face.astype(np.float16), "face_share": share.astype(np.float32)},
            source[video],
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
