"""The runs that 09 takes where none is named: 01 and 02 on few made-up interviews, tiny encoders.

01 and 02 as they are committed learn from made-up features, which no encoder makes of a video; so
these see pictures through the tiny encoders. Nobody has trained those: they show that the way is
whole, and say nothing of a person.
"""

from pathlib import Path

from filelock import FileLock

from imigue_lab.data.layout import read_index
from imigue_lab.data.synthetic.story import MadeUp
from imigue_lab.data.synthetic.tree import ensure_synthetic
from imigue_lab.features.catalogue import build_streams
from imigue_lab.training.analysis.online import make_features
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.loop import open_fabric
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import EmotionSettings, Settings

FEW = MadeUp(videos=16)


def demo_root(store: str = "") -> Path:
    """The made-up interviews of these runs, made where absent."""
    return ensure_synthetic(FEW, store)


def demo_gesture(asked: Settings) -> Run:
    """A run of 01 on `rgb-tiny`."""
    root = look_through_tiny(asked, "rgb-tiny")
    given = {"data": root, "store": asked.store, "device": asked.device}
    return train_gesture(GestureSettings.from_given({**given, "rgb": "rgb-tiny"}))


def demo_emotion(asked: Settings) -> Run:
    """A run of 02 on `context-tiny` and `face-tiny`."""
    root = look_through_tiny(asked, "context-tiny,face-tiny")
    given = {"data": root, "store": asked.store, "device": asked.device}
    return train_emotion(
        EmotionSettings.from_given({**given, "context": "context-tiny", "face": "face-tiny"})
    )


def look_through_tiny(asked: Settings, encoders: str) -> str:
    """Extracts what is not there yet; returns the root."""
    root = demo_root(asked.store)
    with FileLock(root.with_suffix(".tiny.lock")):
        streams = build_streams(encoders, open_fabric(asked.device).device)
        make_features(read_index(root), streams, asked.store)
    return str(root)
