"""Analysis of one video by a gesture and an emotion run (notebook 09), and its files.

`analyse` finds gestures over time and estimates the outcome; `export` writes both for spreadsheets,
programs and annotators; `apply_corrections` reads what people have corrected.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from imigue_lab.data.corrections import FILE, correct, decisions
from imigue_lab.data.datasets import load_features
from imigue_lab.data.elan import Corrected, read_eaf, write_eaf
from imigue_lab.data.index import Index
from imigue_lab.data.segments import (
    as_segments,
    by_frame,
    describe_changes,
    find_segments,
    with_windows,
    write_clips,
    write_csv,
    write_json,
)
from imigue_lab.data.skeletons.keypoints import layout_of
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import EmotionSplit
from imigue_lab.data.store import open_features
from imigue_lab.data.workspace import TITLES, short_hash, write_atomically
from imigue_lab.errors import DataError, LabError, RunError, some
from imigue_lab.features.shipped import open_network, shipped_film
from imigue_lab.features.streams import Stream
from imigue_lab.inference.demo import demo_emotion, demo_gesture, demo_recognition
from imigue_lab.inference.keypoints import OwnVideo, far_from_face, prepare_video
from imigue_lab.inference.segments import count_dropped, find_threshold, recognise_video
from imigue_lab.inference.windows import (
    AnalyseSettings,
    encode_windows,
    extract_missing,
    open_encoder,
    score_windows,
)
from imigue_lab.results.open import DEMO, EmotionRun, GestureRun, stored_settings
from imigue_lab.training.emotion.data import EmotionData
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import load_emotion, predict
from imigue_lab.training.gestures.settings import ATTENTIVE, GestureSettings
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.leaks import refuse_leaked
from imigue_lab.training.recognition.encoder import sees_joints
from imigue_lab.training.recognition.train import THRESHOLD_FILE
from imigue_lab.training.runs import Run, find_run, refuse_other_classes
from imigue_lab.training.scores import probabilities
from imigue_lab.training.session import open_device
from imigue_lab.training.settings import Settings

THRESHOLD = 0.5  # where none was selected for the run


@dataclass(frozen=True)
class Analysis:
    """The predictions of two runs on one video.

    `attending` is the gesture run on the segments, and its model; None without attention: no
    keypoints, no gesture, or a fusion without attention. Letters in shapes: F frames, C classes.
    """

    own: OwnVideo
    gesture_run: Run
    windows: pd.DataFrame | None  # see `score_windows`; None if a recogniser found the segments
    curves: Float[np.ndarray, "F C"]  # class probabilities, see `by_frame`, `recognise_video`
    segments: pd.DataFrame  # gestures of sufficient confidence, see `find_segments`
    threshold: float  # minimum confidence of a frame of a segment, or of the segment
    emotion: EmotionRun  # with this video as its data; the clips of its index are the segments
    prediction: pd.Series  # the row of `training.emotion.train.predict`
    remarks: list[str]  # limitations to know before interpreting the result
    attending: tuple[GestureRun, GestureSystem] | None = None

    @property
    def probabilities(self) -> dict[str, float]:
        """Of each outcome."""
        values = probabilities(self.prediction.to_frame().T)[0].tolist()
        return dict(zip(self.emotion.run.outcomes(), values, strict=True))

    @property
    def outcome(self) -> str:
        """The one that figures show: of two the positive one, of more the most probable."""
        of = self.probabilities
        return [*of][-1] if len(of) == 2 else max(of, key=lambda name: of[name])

    @property
    def probability(self) -> float:
        """Of `outcome`."""
        return self.probabilities[self.outcome]

    @property
    def folder(self) -> Path:
        return self.own.index.root


@contextmanager
def steps(*names: str) -> Iterator[None]:
    """Numbers the steps of a function for progress bars; `next_step` begins the following one."""
    before = TITLES.set(tuple(f"{n} of {len(names)}, {name}" for n, name in enumerate(names, 1)))
    try:
        yield
    finally:
        TITLES.reset(before)


def next_step() -> None:
    TITLES.set(TITLES.get()[1:])


@steps("gesture run", "emotion run", "recogniser", "keypoints", "threshold", "faces", "estimate")
def analyse(settings: AnalyseSettings) -> Analysis:
    """Analyses one video with both runs.

    Raises LabError if a run, the video or its keypoints cannot be used.
    """
    gesture = chosen_run(settings.gesture_run, "gesture", demo_gesture, settings)
    next_step()
    emotion = chosen_run(settings.emotion_run, "emotion", demo_emotion, settings)
    next_step()
    finder = open_recogniser(settings, gesture) if settings.recognition_run else gesture
    device = open_device(settings.device)
    encoders = ((gesture, "rgb"), (emotion, "context"), (emotion, "face"))
    rgb, *rest = (open_encoder(*own, settings, device.torch_device) for own in encoders)
    next_step()
    video, keypoints, synthetic = chosen_video(settings)
    layout = layout_of(gesture.read_checkpoint("best")["keypoints"])
    rate, vocabulary = training_rate(gesture, settings), gesture.vocabulary()
    own = prepare_video(video, keypoints, layout, rate, vocabulary)
    if finder is not gesture and not own.keypoints.any() and sees_joints(finder):
        own.remarks.append(
            f"{finder.folder.name} needs keypoints: windows find the gestures instead"
        )
        finder = gesture
    next_step()
    threshold, selected = threshold_of(finder, settings)
    next_step()
    if finder is gesture:
        extract_missing(own.index, [rgb, *rest], settings.store)
        points = {own.video_id: own.keypoints}
        windows = score_windows(gesture, own.index, points, rgb, settings.store, settings.device)
        curves = by_frame(windows)
        segments = find_segments(curves, own.times, threshold)
        dropped = count_dropped(curves, own.times, threshold)
    else:
        extract_missing(own.index, rest, settings.store)
        windows = None
        curves, segments, dropped = recognise_video(finder, own, threshold, settings)
    next_step()
    boxes = open_features(rest[1].encoding.name, settings.store, own.index).read(own.video_id)
    opened = with_video(emotion, own, segments, rest, settings.store)
    model = load_emotion(emotion, opened.data).to(device.torch_device)
    prediction = predict(device, model, opened.data, "test", opened.settings).iloc[0]
    remarks = [
        *["this interview is synthetic: nothing was filmed"] * synthetic,
        *training_remarks([gesture, emotion] + [finder] * (finder is not gesture), [rgb, *rest]),
        *own.remarks,
        f"a gesture, found by {finder.folder.name}, has a confidence of {threshold:.2f} or more"
        f" ({selected})",
        dropped,
        *far_from_face(own, layout, boxes["face_boxes"]),
    ]
    if not prediction.windows_with_face and prediction.based_on == "context":
        remarks.append("no face was found: the emotion estimate is based on context alone")
    attending = attend(gesture, own, opened.index, rgb, settings)
    return Analysis(
        own, gesture, windows, curves, segments, threshold, opened, prediction, remarks, attending
    )


def attend(
    run: Run, own: OwnVideo, index: Index, rgb: Stream, settings: AnalyseSettings
) -> tuple[GestureRun, GestureSystem] | None:
    """The run with the clips of an index as its data, for views of its attention."""
    trained = GestureSettings.from_arguments(stored_settings(run, "gesture"))
    if index.clips.empty or not own.keypoints.any() or trained.fusion not in ATTENTIVE:
        return None
    points, device = {own.video_id: own.keypoints}, torch.device("cpu")
    system, data = encode_windows(run, index, points, rgb, settings.store, device)
    return GestureRun(run, trained, data, index), system


def chosen_run(
    name: str, task: str, demo: Callable[[Settings], Run], settings: AnalyseSettings
) -> Run:
    """A finished run; the demo run is trained where absent."""
    run = demo(settings) if name == DEMO else find_run(name)
    stored_settings(run, task)  # refuses another task
    if task == "gesture":
        refuse_leaked(run)
    return run


def open_recogniser(settings: AnalyseSettings, gesture: Run) -> Run:
    """The run that finds the gestures; RunError if it needs other data than the gesture run."""
    run = chosen_run(settings.recognition_run, "recognition", demo_recognition, settings)
    names = f"{run.folder.name} and {gesture.folder.name}"
    refuse_other_classes(names, run.vocabulary(), gesture.vocabulary())
    for what, got, expected in (
        ("keypoints", *(one.read_checkpoint("best")["keypoints"] for one in (run, gesture))),
        ("frames per second", *(training_rate(one, settings) for one in (run, gesture))),
    ):
        if got not in ("", None, expected):  # it sees no joints, or its data are missing
            what, todo = f"{what} of gesture_run, {expected}", "name two runs on the same data"
            raise RunError.expected("recognition_run", what, got, todo)
    return run


def chosen_video(settings: AnalyseSettings) -> tuple[Path, str, bool]:
    """Video, keypoints, and whether it is synthetic: the first synthetic test interview, where the
    film of `imigue-lab weights` was not fetched, or the networks of its keypoints do not run."""
    if settings.video:
        return Path(settings.video), settings.keypoints, False
    with suppress(LabError):
        open_network("pose_detector")
        return shipped_film(), settings.keypoints or "mediapipe", False
    videos = open_data("synthetic-long", store=settings.store).videos
    first = videos[videos.split == "test"].iloc[0]
    return first.video, settings.keypoints or str(first.keypoints), True


def training_rate(run: Run, settings: AnalyseSettings) -> float | None:
    """The most frequent frame rate of the training data; None if these are missing."""
    stored = run.provenance()["where"]["data"]
    try:
        data = settings.data if settings.data != "synthetic" else stored
        rates = open_data(data, store=settings.store).videos.fps.dropna()
    except DataError:
        return None
    return float(rates.mode().iloc[0]) if len(rates) else None


def threshold_of(run: Run, settings: AnalyseSettings) -> tuple[float, str]:
    """The minimum confidence of a frame in a gesture, and how it was selected."""
    if settings.threshold:
        return settings.threshold, "as requested"
    if settings.gesture_run == DEMO or (run.folder / THRESHOLD_FILE).exists():
        kept = find_threshold(run, settings)
        score = f"F1 {kept['f1']:.2f} at IoU {kept['iou']}"
        where = f"{kept['videos']} {kept.get('split', 'validation')} interviews"
        return float(kept["threshold"]), f"best on {where}: {score}"
    return THRESHOLD, "not tuned for this run: set `threshold`"


def with_video(
    run: Run, own: OwnVideo, segments: pd.DataFrame, streams: list[Stream], store: str
) -> EmotionRun:
    """The emotion run with this video as its data."""
    names = [stream.encoding.name for stream in streams]
    context, face = (open_features(name, store, own.index) for name in names)
    videos = own.index.videos[["video_id", "subject", "split", "outcome"]]
    split = EmotionSplit(videos, run.vocabulary())
    features = load_features(context, face, [own.video_id])
    data = EmotionData(split, features, context.encoding, face.encoding)
    where = {"context": names[0], "face": names[1], "store": store}
    trained = EmotionSettings.from_arguments(stored_settings(run, "emotion") | where)
    return EmotionRun(run, trained, data, with_windows(own.index, {own.video_id: segments}))


def training_remarks(runs: list[Run], streams: list[Stream]) -> list[str]:
    """Whether the runs were trained on synthetic data, and encoders left untrained."""
    synthetic = [run.folder.name for run in runs if run.synthetic]
    untrained = [s.encoding.encoder for s in streams if s.encoding.note == "untrained weights"]
    notes = [f"trained on synthetic interviews: {', '.join(synthetic)}"] * bool(synthetic)
    return notes + [f"encoders with untrained weights: {', '.join(untrained)}"] * bool(untrained)


def export(analysis: Analysis) -> dict[str, Path]:
    """Writes the result into the video's folder; an annotation file edited since is kept.

    Returns the files by name: csv and json (segments), eaf (for annotators), emotion (one row, with
    the probability of each outcome as `p_<outcome>`).
    """
    own, folder = analysis.own, analysis.folder
    paths = {kind: folder / f"{own.video_id}.{kind}" for kind in ("csv", "json", "eaf")}
    paths["emotion"] = folder / f"{own.video_id}_emotion.csv"
    vocabulary = analysis.gesture_run.vocabulary()
    before = json.loads(paths["json"].read_text()) if paths["json"].exists() else {}
    written = before.get("eaf_as_written")  # digest of the annotation file as it was exported
    if not paths["eaf"].exists() or short_hash(paths["eaf"].read_bytes()) == written:
        write_eaf(analysis.segments, own.source, own.fps, paths["eaf"], vocabulary)
        written = short_hash(paths["eaf"].read_bytes())
    prediction = analysis.prediction
    facts = {
        "video": own.source.name,
        "fps": own.fps,
        "frames": own.frames,
        "gesture_run": analysis.gesture_run.folder.name,
        "emotion_run": analysis.emotion.run.folder.name,
        "threshold": analysis.threshold,
        "probability": analysis.probabilities,
        "based_on": prediction.based_on,
        "remarks": analysis.remarks,
        "eaf_as_written": written,
    }
    write_csv(analysis.segments, paths["csv"], vocabulary)
    write_json(analysis.segments, paths["json"], facts, vocabulary)
    estimate = {f"p_{name}": own for name, own in analysis.probabilities.items()}
    seen = prediction[["based_on", "windows", "windows_with_face"]].to_dict()
    row = pd.DataFrame([{"video_id": prediction.video_id, **estimate, **seen}])
    write_atomically(paths["emotion"], row.to_csv(index=False))
    return paths


def apply_corrections(analysis: Analysis, eaf: Path) -> Corrected:
    """The gestures of the annotation file, with the decisions that people took in the notebook.

    The remarks say what changed. `clips.csv`, which makes the folder a root of the plain layout,
    has the corrected gestures; without any it is deleted. Errors: `read_eaf`, `data.corrections`.
    """
    own, vocabulary = analysis.own, analysis.gesture_run.vocabulary()
    segments, remarks = read_eaf(eaf, own.times, vocabulary, video=own.source.name)
    clips_file, decided = analysis.folder / "clips.csv", analysis.folder / FILE
    written = json.loads(eaf.with_suffix(".json").read_text())["eaf_as_written"]
    edited = decided.exists() or short_hash(eaf.read_bytes()) != written
    if decided.exists():
        rows, known = decisions(decided, vocabulary), segments.assign(video_id=own.video_id)
        clips = {str(number): own for number, own in enumerate(known.to_dict("records"))}
        correct(clips, rows)
        table = pd.DataFrame([*clips.values()], columns=segments.columns)
        segments = as_segments(table.sort_values(["start", "end"]), own.times)
        remarks = [*remarks, f"{len(rows)} decisions by {some(rows.who.unique())} in {FILE}"]
    if edited:
        remarks = [*remarks, describe_changes(analysis.segments, segments, vocabulary)]
    if edited and len(segments):
        write_clips(segments, own.video_id, clips_file, vocabulary)
    elif clips_file.exists():
        clips_file.unlink()
        remarks = [*remarks, "no corrected gesture is left: an earlier clips.csv was deleted"]
    return Corrected(segments, remarks)
