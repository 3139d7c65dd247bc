"""The demo runs of 09: models of gestures, their times and emotion on few synthetic interviews.

The committed 01 and 02 train on synthetic features, which cannot be extracted from a video. The
emotion run uses encoders that ship, or tiny ones where their weights were not fetched; the gesture
run a tiny one. Tiny encoders are untrained: gestures are recognised from joints alone. Neither run
is meaningful for a real person.
"""

from contextlib import suppress

import torch

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import LONG, ensure_synthetic
from imigue_lab.data.workspace import locked
from imigue_lab.errors import LabError
from imigue_lab.features.catalogue import build_streams
from imigue_lab.inference.windows import extract_missing
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.pose_encoder import STREAMS
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import train_recognition
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device
from imigue_lab.training.settings import Settings

SHORT = SyntheticSpec(videos=6)  # for emotion: faces are detected in each frame
EMOTION: tuple[dict[str, object], ...] = (
    {"context": "context-lite0x2", "face": "face-blendshapes", "standardise": True},
    {"context": "context-tiny", "face": "face-tiny"},
)
POSE = {"frames": 16, "epochs": 24, "batch_size": 8}
GESTURE: dict[str, object] = {"frames": 16, "epochs": 10, "batch_size": 8, "rgb": "rgb-tiny"}
GESTURE |= {"loss_on": "averaged"}  # detects more where the RGB branch is untrained


def demo_gesture(settings: Settings, spec: SyntheticSpec = LONG) -> Run:
    """A gesture run on `rgb-tiny` and its two pose runs, on synthetic interviews."""
    given = extract_synthetic(spec, settings, "rgb-tiny")
    pose = {}
    for stream in STREAMS:
        own = BaselineSettings.from_arguments({**given, **POSE, "stream": stream})
        pose[f"{stream}_run"] = train_baseline(own).folder.name
    return train_gesture(GestureSettings.from_arguments({**given, **GESTURE, **pose}))


def demo_emotion(settings: Settings) -> Run:
    """An emotion run on the first pair of `EMOTION` whose face encoder can be opened."""
    for pair in EMOTION:
        with suppress(LabError):
            build_streams(str(pair["face"]), torch.device("cpu"))
            break
    given = extract_synthetic(SHORT, settings, f"{pair['context']},{pair['face']}")
    return train_emotion(EmotionSettings.from_arguments({**given, **pair}))


def demo_recognition(settings: Settings) -> Run:
    """The run that 11 makes as committed."""
    where = {"store": settings.store, "device": settings.device}
    return train_recognition(RecognitionSettings.from_arguments(where))


def extract_synthetic(spec: SyntheticSpec, settings: Settings, encoders: str) -> dict[str, str]:
    """Generates the interviews and extracts missing features; returns the places of a run."""
    root = ensure_synthetic(spec, settings.store)
    with locked(root.with_suffix(".tiny.lock")):
        streams = build_streams(encoders, open_device(settings.device).torch_device)
        extract_missing(read_index(root), streams, settings.store)
    return {"data": str(root), "store": settings.store, "device": settings.device}
