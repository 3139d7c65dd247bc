"""The two tracks as a study sees them: settings in, a finished run out; data are loaded once."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache
from typing import Any, NamedTuple

from imigue_lab.training.emotion import train_emotion
from imigue_lab.training.emotion_data import load_emotion_data
from imigue_lab.training.gesture import train_gesture
from imigue_lab.training.gesture_settings import GestureSettings
from imigue_lab.training.gesture_tokens import load_gesture_tokens
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import EmotionSettings, Settings


class Task(NamedTuple):
    """
    Attributes:
        reads: the settings that decide which data are loaded.
    """

    settings: type[Settings]
    load: Callable[[Any], Any]
    train: Callable[[Any, Any], Run]
    reads: tuple[str, ...]


EMOTION_READS = ("data", "labels", "store", "context", "face", "fold", "move_negatives", "seed")
GESTURE_READS = (
    *("data", "store", "rgb", "joint_run", "bone_run", "frames", "fold", "finetune"),
    *("preset", "seed", "device"),
)
TASKS = {
    "emotion": Task(EmotionSettings, load_emotion_data, train_emotion, EMOTION_READS),
    "gesture": Task(GestureSettings, load_gesture_tokens, train_gesture, GESTURE_READS),
}


def train(task: str, settings: Settings) -> Run:
    """Trains one model without a word, or takes what is finished."""
    told = TASKS[task]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        read = {name: getattr(settings, name) for name in told.reads}
        return told.train(settings, load(task, told.settings(**read)))


@lru_cache(maxsize=1)
def load(task: str, settings: Settings) -> Any:
    """The data of these settings; the next variant mostly reads the same."""
    return TASKS[task].load(settings)
