"""The tasks that are trained: one table of their settings, and of what loads data and models.

Everything is imported when it is first used, so that a card of an emotion run, or the help of the
command line, loads no gesture code. Scores of every task are in `training.scores`.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from imigue_lab.training.settings import Settings

if TYPE_CHECKING:  # a command's help reads this table without torch
    from torch import nn

    from imigue_lab.data.index import Index
    from imigue_lab.training.runs import Run


@dataclass(frozen=True)
class Task:
    """One task by the places `module:name` below `imigue_lab.training`."""

    settings_place: str
    data_place: str
    train_place: str
    model_place: str
    reads: str = ""  # the settings that decide which data are loaded
    shared: str = ""  # the attribute of the data that does not depend on the split

    @property
    def settings(self) -> type[Settings]:
        return find(self.settings_place)

    @property
    def load_data(self) -> Callable[..., Any]:
        """Settings (and an index in place of theirs) to data."""
        return find(self.data_place)

    @property
    def train(self) -> "Callable[..., Run]":
        """Settings (and their data, if loaded already) to a finished run."""
        return find(self.train_place)

    @property
    def load_model(self) -> "Callable[..., nn.Module]":
        """A finished run to its best model in eval mode."""
        return find(self.model_place)


def find(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"imigue_lab.training.{module}"), name)


TASKS = {
    "emotion": Task(
        "emotion.settings:EmotionSettings",
        "emotion.data:load_emotion_data",
        "emotion.train:train_emotion",
        "emotion.train:load_emotion",
        "data labels positive subjects store context face fold move_negatives seed",
        "features",
    ),
    "gesture": Task(
        "gestures.settings:GestureSettings",
        "gestures.tokens:load_gesture_tokens",
        "gestures.train:train_gesture",
        "gestures.train:load_gesture",
        "data subjects corrections store rgb rgb_run joint_run bone_run pose_run frames keypoints"
        " fold finetune finetune_rgb preset seed device",
        "rgb",
    ),
    "baseline": Task(
        "baselines.settings:BaselineSettings",
        "baselines.data:load_baseline_data",
        "baselines.train:train_baseline",
        "baselines.train:load_baseline",
        "data subjects corrections store model size pictures region keypoints fold seed",
    ),
    "pretraining": Task(
        "pretraining.settings:PretrainSettings",
        "pretraining.data:load_pretraining_data",
        "pretraining.train:pretrain",
        "pretraining.train:load_pretraining",
    ),
    "recognition": Task(
        "recognition.settings:RecognitionSettings",
        "recognition.data:load_recognition_data",
        "recognition.train:train_recognition",
        "recognition.train:load_recognition",
        "data subjects corrections store inputs encoder_run step keypoints fold seed device",
    ),
}


@contextmanager
def quiet() -> Iterator[None]:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def train_quietly(task: str, settings: Settings, data: Any) -> "Run":
    """Trains one model without printing, or returns the finished run."""
    with quiet():
        return TASKS[task].train(settings, data)


def load_cached(task: str, settings: Settings) -> Any:
    """The data of these settings; kept for the next call, which mostly reads the same."""
    found = TASKS[task]
    return load_once(task, found.settings(**{n: getattr(settings, n) for n in found.reads.split()}))


@lru_cache(maxsize=1)
def load_once(task: str, settings: Settings) -> Any:
    with quiet():
        return TASKS[task].load_data(settings)


def load_folds(task: str, settings: Settings, folds: "list[Index]") -> list[Any]:
    """The data of several splits of the same clips; what the split does not change is kept once."""
    found, loaded = TASKS[task], list[Any]()
    for index in folds:
        with quiet():
            data = found.load_data(settings, index)
        same = [found.shared] if found.shared and loaded else []
        loaded.append(replace(data, **{name: getattr(loaded[0], name) for name in same}))
    return loaded
