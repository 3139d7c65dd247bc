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

from imigue_lab.data.index import Index
from imigue_lab.training.settings import Settings

if TYPE_CHECKING:  # a command's help reads this table without torch
    from torch import nn

    from imigue_lab.training.runs import Run


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        load_data: settings (and an index in place of theirs) to data.
        train: settings (and their data, if loaded already) to a finished run.
        load_model: a finished run to its best model in eval mode.
        reads: the settings that decide which data are loaded.
        shared: the attribute of the data that does not depend on the split.
    """

    settings_place: str
    load_data: Callable[..., Any]
    train: "Callable[..., Run]"
    load_model: "Callable[..., nn.Module]"
    reads: tuple[str, ...] = ()
    shared: str = ""

    @property
    def settings(self) -> type[Settings]:
        return find(self.settings_place)


def find(place: str) -> Any:
    """What `module:name` is below `imigue_lab.training`."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"imigue_lab.training.{module}"), name)


def later(place: str) -> Callable[..., Any]:
    return lambda *given: find(place)(*given)


TASKS = {
    "emotion": Task(
        "emotion.settings:EmotionSettings",
        later("emotion.data:load_emotion_data"),
        later("emotion.train:train_emotion"),
        later("emotion.train:load_emotion"),
        (
            *("data", "labels", "positive", "subjects", "store", "context", "face", "fold"),
            *("move_negatives", "seed"),
        ),
        "features",
    ),
    "gesture": Task(
        "gestures.settings:GestureSettings",
        later("gestures.tokens:load_gesture_tokens"),
        later("gestures.train:train_gesture"),
        later("gestures.train:load_gesture"),
        (
            *("data", "subjects", "store", "rgb", "rgb_run", "joint_run", "bone_run", "frames"),
            *("keypoints", "fold", "finetune", "finetune_rgb", "preset", "seed", "device"),
        ),
        "rgb",
    ),
    "baseline": Task(
        "baselines.settings:BaselineSettings",
        later("baselines.data:load_baseline_data"),
        later("baselines.train:train_baseline"),
        later("baselines.train:load_baseline"),
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
    return load_once(task, found.settings(**{n: getattr(settings, n) for n in found.reads}))


@lru_cache(maxsize=1)
def load_once(task: str, settings: Settings) -> Any:
    with quiet():
        return TASKS[task].load_data(settings)


def load_folds(task: str, settings: Settings, folds: list[Index]) -> list[Any]:
    """The data of several splits of the same clips; what the split does not change is kept once."""
    found, loaded = TASKS[task], list[Any]()
    for index in folds:
        with quiet():
            data = found.load_data(settings, index)
        same = {found.shared: getattr(loaded[0], found.shared)} if loaded else {}
        loaded.append(replace(data, **same))
    return loaded
