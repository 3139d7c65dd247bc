"""The two tracks as a study sees them: settings in, a finished run out; data are loaded once."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from imigue_lab.data.index import Index
from imigue_lab.training.emotion.data import load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import load_gesture_tokens
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import Settings


class Task(NamedTuple):
    """
    Attributes:
        load: settings, and an index in place of theirs, to data.
        reads: the settings that decide which data are loaded.
        heavy: the part of the data that does not depend on how they are divided.
    """

    settings: type[Settings]
    load: Callable[..., Any]
    train: Callable[[Any, Any], Run]
    reads: tuple[str, ...]
    heavy: str


EMOTION_READS = ("data", "labels", "store", "context", "face", "fold", "move_negatives", "seed")
GESTURE_READS = (
    *("data", "store", "rgb", "rgb_run", "joint_run", "bone_run", "frames", "fold", "finetune"),
    *("finetune_rgb", "preset", "seed", "device"),
)
TASKS = {
    "emotion": Task(EmotionSettings, load_emotion_data, train_emotion, EMOTION_READS, "features"),
    "gesture": Task(GestureSettings, load_gesture_tokens, train_gesture, GESTURE_READS, "rgb"),
}


def train(task: str, settings: Settings, data: Any) -> Run:
    """Trains one model without a word, or takes what is finished."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return TASKS[task].train(settings, data)


def load(task: str, settings: Settings) -> Any:
    """The data of these settings; the next variant mostly reads the same, and they are kept."""
    told = TASKS[task]
    return load_once(task, told.settings(**{name: getattr(settings, name) for name in told.reads}))


@lru_cache(maxsize=1)
def load_once(task: str, settings: Settings) -> Any:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return TASKS[task].load(settings)


def load_folds(task: str, settings: Settings, folds: list[Index]) -> list[Any]:
    """The data of each of several divisions of the same clips, in memory once."""
    told = TASKS[task]
    loaded: list[Any] = []
    for index in folds:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            data = told.load(settings, index)
        same = {told.heavy: getattr(loaded[0], told.heavy)} if loaded else {}
        loaded.append(replace(data, **same))
    return loaded
