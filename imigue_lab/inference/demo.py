"""The runs that 09 takes where none is named: 01 and 02 on few synthetic interviews, tiny encoders.

01 and 02 as they are committed learn from synthetic features, which no encoder makes of a video; so
these see pictures through the tiny encoders. Nobody has trained those: the gestures are told by the
joints, and of a person neither run says anything.
"""

from pathlib import Path

from filelock import FileLock

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import ensure_synthetic
from imigue_lab.features.catalogue import build_streams
from imigue_lab.inference.windows import make_features
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.pose_encoder import STREAMS
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device
from imigue_lab.training.settings import Settings

LONG = SyntheticSpec(videos=24, size="long")  # for gestures in time
SHORT = SyntheticSpec(videos=9)  # for emotion: a face is looked for in each frame
POSE = {"frames": 16, "epochs": 12, "batch_size": 8}
GESTURE = {"frames": 16, "epochs": 10, "batch_size": 8, "rgb": "rgb-tiny"}


def demo_gesture(asked: Settings, spec: SyntheticSpec = LONG) -> Run:
    """A run of 01 on `rgb-tiny`, and the runs of 04 under it, on synthetic interviews."""
    root = look_through_tiny(spec, asked, "rgb-tiny")
    where = {"data": root, "store": asked.store, "device": asked.device}
    pose = {
        f"{stream}_run": train_baseline(
            BaselineSettings.from_arguments({**where, **POSE, "stream": stream})
        ).folder.name
        for stream in STREAMS
    }
    return train_gesture(GestureSettings.from_arguments({**where, **GESTURE, **pose}))


def demo_emotion(asked: Settings) -> Run:
    """A run of 02 on `context-tiny` and `face-tiny`."""
    root = look_through_tiny(SHORT, asked, "context-tiny,face-tiny")
    given = {"data": root, "store": asked.store, "device": asked.device}
    return train_emotion(
        EmotionSettings.from_arguments({**given, "context": "context-tiny", "face": "face-tiny"})
    )


def look_through_tiny(spec: SyntheticSpec, asked: Settings, encoders: str) -> str:
    """Makes the interviews, and extracts what is not there yet; returns their root."""
    root = demo_root(spec, asked.store)
    with FileLock(root.with_suffix(".tiny.lock")):
        streams = build_streams(encoders, open_device(asked.device).torch_device)
        make_features(read_index(root), streams, asked.store)
    return str(root)


def demo_root(spec: SyntheticSpec = LONG, store: str = "") -> Path:
    """The synthetic interviews of these runs, made where absent."""
    return ensure_synthetic(spec, store)
