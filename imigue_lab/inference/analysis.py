"""One video, two runs: gestures over time, win or lose, and what each rests on (notebook 09).

What is written of an analysed video, for tables, programs and annotators, and read back.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from imigue_lab.data.datasets import load_features
from imigue_lab.data.elan import Corrected, read_eaf, write_eaf
from imigue_lab.data.index import Index, clips_table
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.segments import by_frame, find_segments, write_clips, write_csv, write_json
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import EmotionSplit
from imigue_lab.data.store import open_features
from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.errors import DataError
from imigue_lab.features.streams import Stream
from imigue_lab.inference.demo import demo_emotion, demo_gesture, demo_root
from imigue_lab.inference.keypoints import OwnVideo, prepare_video
from imigue_lab.inference.segments import CHOSEN, find_threshold
from imigue_lab.inference.windows import (
    AnalyseSettings,
    encode_windows,
    make_features,
    open_encoder,
    score_windows,
)
from imigue_lab.results.open import DEMO, EmotionRun, GestureRun, given_of
from imigue_lab.training.emotion.data import EmotionData
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import load_emotion, predict
from imigue_lab.training.gestures.settings import ATTENTIVE, GestureSettings
from imigue_lab.training.gestures.system import GestureSystem
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.session import open_device

THRESHOLD = 0.5  # where none was chosen for the run


@dataclass(frozen=True)
class Analysis:
    """What two runs say of one video.

    Letters in shapes: F frames, C classes.

    Attributes:
        windows: `online.score_windows`.
        curves: what they say of each frame, `segments.by_frame`.
        segments: what is sure enough of it, `segments.find_segments`.
        threshold: confidence that a segment has at least.
        emotion: the emotion run, its data being this video's; its index holds the segments.
        prediction: one row as `training.emotion.predict` gives it.
        remarks: what a reader should know before believing any of it.
        attending: the gesture run over what it found, and its model; None where nothing attends: no
            keypoints, no gesture, or a fusion without attention.
    """

    own: OwnVideo
    gesture_run: Run
    windows: pd.DataFrame
    curves: Float[np.ndarray, "F C"]
    segments: pd.DataFrame
    threshold: float
    emotion: EmotionRun
    prediction: pd.Series
    remarks: list[str]
    attending: tuple[GestureRun, GestureSystem] | None = None

    @property
    def folder(self) -> Path:
        return self.own.index.root


def analyse(settings: AnalyseSettings) -> Analysis:
    """Looks at one video with both runs.

    Raises:
        LabError: a run, the video or its keypoints cannot be used; one sentence.
    """
    gesture = find_gesture_run(settings)
    emotion = demo_emotion(settings) if settings.emotion_run == DEMO else named(settings, "emotion")
    device = open_device(settings.device)
    rgb, *rest = (
        open_encoder(run, kind, settings, device.torch_device)
        for run, kind in ((gesture, "rgb"), (emotion, "context"), (emotion, "face"))
    )
    video, keypoints, synthetic = what_is_given(settings)
    layout = gesture.read_checkpoint("best")["keypoints"]
    own = prepare_video(video, keypoints, layout, rate_of(gesture, settings))
    make_features(own.index, [rgb, *rest], settings.store)
    points = {own.video_id: own.keypoints}
    windows = score_windows(gesture, own.index, points, rgb, settings.store, settings.device)
    threshold, chosen = threshold_of(gesture, settings)
    curves = by_frame(windows)
    segments = find_segments(curves, own.fps, threshold)
    looked_at = look_at(emotion, own, segments, rest, settings)
    model = load_emotion(emotion, looked_at.data).to(device.torch_device)
    told = predict(device, model, looked_at.data, "test", looked_at.settings).iloc[0]
    remarks = [
        *["this interview is synthetic: nothing here was filmed"] * synthetic,
        *notes_of(gesture, emotion, [rgb, *rest]),
        *own.remarks,
        f"a gesture has a confidence of {threshold:.2f} or more ({chosen})",
        *faceless(told),
    ]
    attending = attend(gesture, own, looked_at.index, rgb, settings)
    return Analysis(
        own, gesture, windows, curves, segments, threshold, looked_at, told, remarks, attending
    )


def attend(
    run: Run, own: OwnVideo, index: Index, rgb: Stream, settings: AnalyseSettings
) -> tuple[GestureRun, GestureSystem] | None:
    """The run over the clips of an index, for those who look at its attention."""
    asked = GestureSettings.from_arguments(given_of(run, "gesture"))
    if index.clips.empty or not own.keypoints.any() or asked.fusion not in ATTENTIVE:
        return None
    points, device = {own.video_id: own.keypoints}, torch.device("cpu")
    system, data = encode_windows(run, index, points, rgb, settings.store, device)
    return GestureRun(run, asked, data, index), system


def find_gesture_run(settings: AnalyseSettings) -> Run:
    return demo_gesture(settings) if settings.gesture_run == DEMO else named(settings, "gesture")


def named(settings: AnalyseSettings, task: str) -> Run:
    """A finished run of a task by its name."""
    run = find_run(getattr(settings, f"{task}_run"))
    given_of(run, task)
    return run


def what_is_given(settings: AnalyseSettings) -> tuple[Path, str, bool]:
    """Video and keypoints; without a video the first synthetic test interview, with its own."""
    if settings.video:
        return Path(settings.video), settings.keypoints, False
    videos = read_index(demo_root(store=settings.store)).videos
    first = videos[videos.split == "test"].iloc[0]
    return first.video, settings.keypoints or str(first.keypoints), True


def rate_of(run: Run, settings: AnalyseSettings) -> float | None:
    """Frames a second of most videos that a run was trained on; None where they are gone."""
    where = run.provenance()["where"]
    try:
        data = settings.data if settings.data != "synthetic" else where["data"]
        rates = open_data(data, store=settings.store).videos.fps.dropna()
    except DataError:
        return None
    return float(rates.mode().iloc[0]) if len(rates) else None


def threshold_of(run: Run, settings: AnalyseSettings) -> tuple[float, str]:
    """The confidence from which on a frame is in a gesture, and who chose it."""
    if settings.threshold:
        return settings.threshold, "as asked for"
    if settings.gesture_run == DEMO:
        find_threshold(run, settings)
    if (file := run.folder / CHOSEN).exists():
        chosen = json.loads(file.read_text())
        score = f"F1 {chosen['f1']:.2f} at IoU {chosen['iou']}"
        told = f"best on {chosen['videos']} validation interviews: {score}"
        return float(chosen["threshold"]), told
    return THRESHOLD, "chosen by nobody: set `threshold`"


def look_at(
    run: Run,
    own: OwnVideo,
    segments: pd.DataFrame,
    streams: list[Stream],
    settings: AnalyseSettings,
) -> EmotionRun:
    """The emotion run with this video for its data."""
    names = [stream.encoding.name for stream in streams]
    context, face = (open_features(name, settings.store, own.index) for name in names)
    videos = own.index.videos[["video_id", "subject", "split", "outcome"]]
    data = EmotionData(
        EmotionSplit(videos),
        load_features(context, face, [own.video_id]),
        context.encoding,
        face.encoding,
    )
    where = {"context": names[0], "face": names[1], "store": settings.store}
    asked = EmotionSettings.from_arguments(given_of(run, "emotion") | where)
    return EmotionRun(run, asked, data, with_segments(own, segments))


def with_segments(own: OwnVideo, segments: pd.DataFrame) -> Index:
    """The index of the video, its clips being what was found in it."""
    rows = [
        {"clip_id": f"{own.video_id}_{row.start}_{row.end}", "video_id": own.video_id}
        | {"start": row.start, "end": row.end, "label": row.label}
        for row in segments.itertuples()
    ]
    return replace(own.index, clips=clips_table(rows, own.index.videos))


def notes_of(gesture: Run, emotion: Run, streams: list[Stream]) -> list[str]:
    """What the runs learned from, and whether the encoders were trained."""
    synthetic = [run.folder.name for run in (gesture, emotion) if run.synthetic]
    blind = [s.encoding.encoder for s in streams if s.encoding.note == "untrained weights"]
    notes = [f"trained on synthetic interviews: {', '.join(synthetic)}"] if synthetic else []
    return notes + [f"encoders with untrained weights: {', '.join(blind)}"] * bool(blind)


def faceless(told: pd.Series) -> list[str]:
    if told.windows_with_face:
        return []
    return ["no face was found: the emotion estimate rests on context alone"] * (
        told.based_on == "context"
    )


def export(analysis: Analysis) -> dict[str, Path]:
    """Writes what was found into the video's folder.

    An annotation file that somebody has changed since is left as it is.

    Returns:
        csv and json (segments), eaf (for annotators), emotion (one row), by these names.
    """
    own, base = analysis.own, analysis.folder / analysis.own.video_id
    paths = {kind: base.with_name(f"{base.name}.{kind}") for kind in ("csv", "json", "eaf")}
    paths["emotion"] = base.with_name(f"{base.name}_emotion.csv")
    written = written_before(paths["json"])
    if not paths["eaf"].exists() or short_hash(paths["eaf"].read_bytes()) == written:
        write_eaf(analysis.segments, own.source, own.fps, paths["eaf"])
        written = short_hash(paths["eaf"].read_bytes())
    told = analysis.prediction
    facts = {
        "video": own.source.name,
        "fps": own.fps,
        "frames": own.frames,
        "gesture_run": analysis.gesture_run.folder.name,
        "emotion_run": analysis.emotion.run.folder.name,
        "threshold": analysis.threshold,
        "probability_of_a_win": float(told.probability),
        "based_on": told.based_on,
        "remarks": analysis.remarks,
        "eaf_as_written": written,
    }
    write_csv(analysis.segments, paths["csv"])
    write_json(analysis.segments, paths["json"], facts)
    columns = ["video_id", "probability", "based_on", "windows", "windows_with_face"]
    write_atomically(paths["emotion"], told[columns].to_frame().T.to_csv(index=False))
    return paths


def written_before(path: Path) -> str | None:
    """The digest of the annotation file as an earlier run wrote it."""
    return json.loads(path.read_text()).get("eaf_as_written") if path.exists() else None


def take_back(analysis: Analysis, eaf: Path) -> Corrected:
    """Reads the annotation file, corrected or not; its gestures become the folder's `clips.csv`.

    With it the folder is a data root of the plain layout.

    Raises:
        DataError: see `read_eaf`.
    """
    corrected = read_eaf(eaf, analysis.own.fps, analysis.own.frames)
    if len(corrected.segments):
        write_clips(corrected.segments, analysis.own.video_id, analysis.folder / "clips.csv")
    return corrected
