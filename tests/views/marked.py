"""Small figures of every notebook, in which all names that come from data contain markup."""

import json
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from imigue_lab.data.segments import as_segments
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.data.source import open_data
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.inference.analysis import Analysis
from imigue_lab.inference.keypoints import OwnVideo
from imigue_lab.results.open import OpenRun
from imigue_lab.training.pretraining.data import MotionWindows, PretrainingData
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.recognition.data import RecognitionData
from imigue_lab.training.runs import Run
from imigue_lab.views import answers, contents, recognition, reconstruction, skeletons, timeline
from imigue_lab.views.attention import joint_graph, maps, over_clip
from imigue_lab.views.faces import Strip
from imigue_lab.views.footage import Pictures, clip_pictures
from imigue_lab.views.gates import by_correctness, interview, withholding
from imigue_lab.views.prototypes import plane, points
from imigue_lab.views.style import empty_figure

LINK = "<a href=b>"
CLASSES = ("<b>wave</b>", f"{LINK}nod</a>", "&lt;i&gt;rub", "a<br>b %{x}")
IDS = ("<b>1</b>", "<i>2</i>", "&lt;3", "4<br>4")
GROUPS = ("<b>arm</b>", "<b>arm</b>", "&amp;head", "&amp;head")
OUTCOMES = (f"{LINK}lose</a>", "<i>win</i>&amp;")
JOINTS = ("<b>neck</b>", "<i>head</i>", "&lt;hand", "a<br>foot")
BONES = ((0, 1), (0, 2), (0, 3))
VOCABULARY = Vocabulary("own", CLASSES, IDS, GROUPS, outcomes=OUTCOMES)
LABELS = [VOCABULARY.label(place) for place in range(4)]
CLIPS = [f"<b>clip</b>{n}" for n in range(8)]
SUBJECTS = ["<b>anna</b>", "&lt;ben"] * 4
FILE = "<i>film</i>&amp;.mp4"
FRAMES = 40


def bare(kind, **parts):
    """An object of a class with these attributes, none of which is checked."""
    own = object.__new__(kind)
    own.__dict__.update(parts)
    return own


def film(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(FRAMES):
            picture = np.full((48, 64, 3), 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())


def marked_index(root: Path):
    """Two filmed videos, of four clips each; ids of clips are marked after reading the tables."""
    rng = np.random.default_rng(0)
    for name in ("videos", "keypoints"):
        (root / name).mkdir(parents=True)
    for video in ("one", "two"):
        film(root / "videos" / f"{video}.mp4")
        np.save(root / "keypoints" / f"{video}.npy", rng.uniform(5, 45, (FRAMES, 4, 2)))
    pairs = [[JOINTS[a], JOINTS[b]] for a, b in BONES]
    declared = {"name": "own4", "joints": JOINTS, "bones": pairs}
    (root / "keypoints.json").write_text(json.dumps(declared))
    (root / "classes.csv").write_text(VOCABULARY.to_csv())
    splits = {"video_id": ["one", "two"], "split": ["train", "test"], "outcome": OUTCOMES}
    pd.DataFrame(splits | {"subject": SUBJECTS[:2]}).to_csv(root / "videos.csv", index=False)
    rows = [
        (str(n), ("one", "two")[n // 4], 10 * (n % 4), 10 * (n % 4) + 9, IDS[n % 4])
        for n in range(8)
    ]
    columns = ["clip_id", "video_id", "start", "end", "class"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "clips.csv", index=False)
    index = open_data(str(root))
    index.clips["clip_id"] = CLIPS
    return index


def marked_run(folder: Path) -> Run:
    run = Run(folder / "<b>run&amp;")
    run.write_json("vocabulary.json", VOCABULARY.to_dict())
    run.write_json("settings.json", {"task": "baseline", "settings": {}, "data": {}})
    remarks = [f"features ({LINK}x</a>)"]
    run.write_json("provenance.json", {"remarks": remarks, "where": {"data": str(folder)}})
    rows = [{"epoch": n, "train_loss": 2.0 - n, "validation_error": 1.0 - n} for n in range(2)]
    run.write_history(rows)
    return run


def figures_of_contents(index) -> dict[str, tuple[go.Figure, list[str]]]:
    player = skeletons.skeleton_player(index)
    return {
        "counts": (contents.class_counts(index), LABELS),
        "montage": (contents.montage(index), [*LABELS, *CLIPS[:4]]),
        "skeleton": (player, [CLIPS[0], LABELS[0], *JOINTS]),
        "empty": (empty_figure(f"no {FILE}", f"of {FILE}"), [f"no {FILE}", f"of {FILE}"]),
    }


def figures_of_errors(run) -> dict[str, tuple[go.Figure, list[str]]]:
    table = pd.DataFrame({"item": CLIPS, "video_id": CLIPS, "subject": SUBJECTS, "split": "test"})
    table["correct"] = [True, True, False, True, False, False, True, True]
    rng, found = np.random.default_rng(0), {}
    for kind, names in (("class", LABELS), ("outcome", list(OUTCOMES))):
        truth = np.arange(8) % len(names)
        predicted = np.where(table.correct, truth, (truth + 1) % len(names))
        own = table.assign(p_truth=rng.random(8), p_predicted=rng.random(8))
        own["truth"] = pd.Categorical.from_codes(truth, names, ordered=True)
        own["predicted"] = pd.Categorical.from_codes(predicted, names, ordered=True)
        if kind == "outcome":
            own["p_positive"] = rng.random(8)
        figures = answers.error_figures(run, own)
        hover = [f"true: {names[1]}predicted: {names[1]}"]  # of the second cell in a row and column
        found[f"confusion of {kind}"] = figures["confusion"], [*names, *hover]
        found[f"{kind} accuracies"] = figures["accuracy_by_class"], names
        found[f"subjects of {kind}"] = figures["accuracy_by_subject"], SUBJECTS[:2]
    note = ["synthetic", f"({LINK}x</a>)"]
    found["reliability"] = figures["reliability"], [OUTCOMES[1], note[1]]
    found["curves"] = answers.learning_curves(run), [run.folder.name]
    return found


def figures_of_memory(run, index) -> dict[str, tuple[go.Figure, list[str]]]:
    label = [*range(4)] * 3
    table = pd.DataFrame({"id": [f"p{n}" for n in range(12)], "label": label})
    table["kind"] = np.repeat([points.ENTRY, points.PROTOTYPE, points.CLIP], 4)
    table["clip_id"] = [*CLIPS[:4], *[""] * 4, *CLIPS[4:]]
    table["name"], table["confidence"], table["age"] = LABELS * 3, 0.5, 3.0
    group = [GROUPS[own] for own in label]
    table["group"] = pd.Categorical(group, VOCABULARY.group_names, ordered=True)
    table["predicted"] = pd.array([pd.NA] * 8 + [1, 2, 3, 0], dtype="Int64")
    table["correctness"] = [None] * 8 + ["incorrect"] * 4
    table["label"] = table.label.astype("Int64")
    vectors = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    known = points.Points(vectors, table, [], VOCABULARY)
    places = pd.DataFrame({"id": table.id, "x": vectors[:, 0], "y": vectors[:, 1]})
    flat = points.PlaneProjection(known, places, "PCA", 0.9, (0.1, 0.2), 12)
    gesture = bare(OpenRun, run=run, index=index)
    nearest = plane.nearest_clips(gesture, known, 4, 2)
    return {
        "plane": (plane.points_on_plane(gesture, flat), [*IDS, *LABELS, *GROUPS, *CLIPS[:4]]),
        "nearest": (nearest, [*LABELS, *(f"clip {own}" for own in CLIPS[4:5])]),
    }


def figures_of_attention(run, index) -> dict[str, tuple[go.Figure, list[str]]]:
    rng, clip_id = np.random.default_rng(0), CLIPS[1]
    attention = maps.ClipAttention(
        clip_id,
        *(np.full((1, 8, 8), 1 / 8) for _ in range(2)),
        np.full((1, 3, 3), 1 / 3),
        ("semantic",),
        np.arange(16) % 3,
        (2, 2, 2),
        np.ones((1, 2, 4), dtype=bool),
        rng.random((1, 2, 4, 2)).astype(np.float32),
        JOINTS,
        np.array([0.1, 0.2, 0.6, 0.1]),
    )
    pictures = clip_pictures(index, clip_id, 2)
    why, rollout = f"as {LINK}requested</a>", maps.Rollout(np.ones((2, 2, 2)), 0.5, f"by {FILE}")
    graphs = [joint_graph.LayerGraph(stream, 1, rng.random((4, 4))) for stream in ("joint", "bone")]
    layout = Layout("own4", JOINTS, BONES, ())
    data = SimpleNamespace(gestures=SimpleNamespace(layout=layout))
    gesture = bare(OpenRun, run=run, index=index, data=data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_graph, "joint_middles", lambda *_: rng.random((4, 2)))
        graph = joint_graph.graph_over_joints(gesture, clip_id, graphs)
    shown = over_clip.attention_over_clip(run, index, attention, pictures, why)
    absent = Pictures([1, 2], [], None, f"no {FILE}")
    return {
        "attention": (shown, [clip_id, LABELS[1], LABELS[2], *JOINTS]),
        "rollout": (over_clip.rollout_over_clip(run, clip_id, rollout, pictures), [clip_id, FILE]),
        "no rollout": (over_clip.rollout_over_clip(run, clip_id, rollout, absent), [f"no {FILE}"]),
        "graph": (graph, [clip_id, *JOINTS, f"to {JOINTS[3]}:"]),
    }


def figures_of_gates(run) -> dict[str, tuple[go.Figure, list[str]]]:
    rng, outcome, video = np.random.default_rng(0), OUTCOMES[1], "<b>video</b>"
    kinds = (interview.MEAN, interview.FROM_FACE, interview.FROM_CONTEXT)
    columns = {f"{kind}, stage {n}": rng.random(6) for kind in kinds for n in (1, 2)}
    gates = interview.Gates(
        video,
        [rng.random((6, 4)) for _ in range(2)],
        pd.DataFrame(columns),
        np.array([True] * 5 + [False]),
        outcome,
        0.3,
        strips=(Strip("frames", {}, f"no {FILE}"),),
        running=pd.DataFrame({"window": [0, 5], "probability": [0.4, 0.6]}),
    )
    alone = ["both", "context alone", "face alone"]
    modality = pd.DataFrame({"shown": alone, "logit": 0.1, "probability": 0.5})
    spans = pd.DataFrame({"first": [0, 2], "last": [1, 3], "low": -0.1, "high": 0.1})
    spans[["both", "context", "face"]] = 0.05
    table = pd.DataFrame({"video_id": CLIPS, "subject": SUBJECTS})
    table["correctness"] = ["correct", "incorrect"] * 4
    table[list(columns)] = rng.random((8, len(columns)))
    withheld = withholding.withheld(run, gates, modality, spans)
    running = f"probability of {outcome} if"
    return {
        "gates": (interview.gates_over_time(run, gates), [video, running, f"no {FILE}"]),
        "withheld": (withheld, [video, f"probability of {outcome}", f"(up: {outcome})"]),
        "correctness": (by_correctness.gates_by_correctness(run, table), CLIPS[:2]),
    }


def figures_of_videos(run) -> dict[str, tuple[go.Figure, list[str]]]:
    rows = [(n, 10 * n, 10 * n + 9, 0.5) for n in range(4)]
    rows = pd.DataFrame(rows, columns=["label", "start", "end", "confidence"])
    segments = as_segments(rows, np.arange(FRAMES + 1) / 25)
    analysis = bare(
        Analysis,
        segments=segments,
        own=bare(OwnVideo, source=Path(FILE), times=np.arange(FRAMES + 1) / 25),
        gesture_run=run,
        emotion=bare(OpenRun, run=run),
        prediction=pd.Series({"probability": 0.3, "based_on": "both"}),
        remarks=[f"no face in {FILE}"],
    )
    running = pd.DataFrame({"window": [0, 1], "probability": [0.4, 0.6]})
    kinds = ["true", "missed", "correct", "wrong class"]
    table = segments.assign(video_id="<b>video</b>", kind=kinds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognition, "segments_of_video", lambda *_: table)
        found = recognition.recognition_timeline(run, bare(RecognitionData))
    over_time = timeline.over_time(analysis, running)
    named = [*LABELS, *GROUPS, FILE, f"{OUTCOMES[1]}, from the video so far"]
    return {
        "over time": (over_time, named),
        "recognition": (found, [*LABELS, "<b>video</b>"]),
        "reconstruction": (figure_of_reconstruction(run), [CLIPS[2], *JOINTS]),
    }


def figure_of_reconstruction(run) -> go.Figure:
    layout = Layout("own4", JOINTS, BONES, ())
    places = np.random.default_rng(0).random((8, 4, 2)).astype(np.float32)
    masked = np.zeros((8, 4), dtype=bool)
    moved = reconstruction.Moved(places, places, masked, ~masked)
    clips = SimpleNamespace(ranges=[(0, 7)] * 3, clip_ids=CLIPS)
    kind = type("Windows", (MotionWindows,), {"__len__": lambda _: 3})
    windows = bare(kind, clips=clips, layout=layout)
    data = bare(PretrainingData, clips=lambda *_: windows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "rebuild_motion", lambda *_: moved)
        settings = PretrainSettings(kind="motion", frames=8)
        return reconstruction.reconstruction(run, data, settings, 2)


def marked_figures(folder: Path) -> dict[str, tuple[go.Figure, list[str]]]:
    """Figures by name, each with text that it shows, axes, titles and hover lines together."""
    index, run = marked_index(folder / "talks"), marked_run(folder)
    return {
        **figures_of_contents(index),
        **figures_of_errors(run),
        **figures_of_memory(run, index),
        **figures_of_attention(run, index),
        **figures_of_gates(run),
        **figures_of_videos(run),
    }
