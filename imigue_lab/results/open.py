"""Opens a finished run with the data it was made from, for those who look inside.

``run="demo"`` is the run that the committed notebook makes, trained first where it is absent.
"""

from dataclasses import dataclass
from typing import Any

from imigue_lab.data.index import Index
from imigue_lab.data.source import open_data
from imigue_lab.errors import RunError
from imigue_lab.training.emotion.data import EmotionData, load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import GestureTokens, load_gesture_tokens
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.settings import Settings

DEMO = "demo"


@dataclass(frozen=True)
class EmotionRun:
    """A finished run of 02, its settings, and what it was made from."""

    run: Run
    settings: EmotionSettings
    data: EmotionData
    index: Index


@dataclass(frozen=True)
class GestureRun:
    """A finished run of 01, its settings, and what it was made from."""

    run: Run
    settings: GestureSettings
    data: GestureTokens
    index: Index


def open_emotion_run(name: str, asked: Settings) -> EmotionRun:
    """A finished run by its folder's name or path.

    Args:
        asked: its `data`, `store` and `device` count where they are said; else the run's own.

    Raises:
        RunError: there is no such run, it is of another task, or its data have changed.
        DataError: the data are not there any more.
    """
    if name == DEMO:
        settings = EmotionSettings.from_arguments(said_of(asked))
        data = load_emotion_data(settings)
        run = train_emotion(settings, data)
    else:
        run = find_run(name)
        settings = EmotionSettings.from_arguments(given_of(run, "emotion") | said_of(asked))
        data = load_emotion_data(settings)
        refuse_other_data(run, data.identity())
    return EmotionRun(
        run, settings, data, open_data(settings.data, settings.labels, settings.store)
    )


def open_gesture_run(name: str, asked: Settings) -> GestureRun:
    """The same for a run of 01; the runs of its pose encoder are those it was made with."""
    if name == DEMO:
        settings = GestureSettings.from_arguments(said_of(asked))
        data = load_gesture_tokens(settings)
        run = train_gesture(settings, data)
    else:
        run = find_run(name)
        given = given_of(run, "gesture")
        pose = zip(("joint_run", "bone_run"), run.provenance()["pose"], strict=True)
        settings = GestureSettings.from_arguments(given | dict(pose) | said_of(asked))
        data = load_gesture_tokens(settings)
        refuse_other_data(run, data.identity())
    return GestureRun(run, settings, data, open_data(settings.data, store=settings.store))


def said_of(asked: Settings) -> dict[str, Any]:
    """Where to look, as far as it differs from the defaults."""
    where = {name: getattr(asked, name) for name in ("data", "store", "device")}
    return {n: value for n, value in where.items() if value != Settings.model_fields[n].default}


def given_of(run: Run, task: str) -> dict[str, Any]:
    """Every setting that a run was made with.

    Raises:
        RunError: it is a run of another task.
    """
    kept = run.settings()
    if kept["task"] != task:
        raise RunError(f"{run.folder}: is a run of {kept['task']}; name one of {task}")
    return kept["settings"] | run.provenance()["where"] | {"name": "", "preset": ""}


def refuse_other_data(run: Run, identity: dict[str, Any]) -> None:
    """Raises RunError where a run was made from other data than those that are there now."""
    made_from = run.settings()["data"]
    differing = [key for key in made_from if made_from[key] != identity.get(key)]
    if differing:
        raise RunError(
            f"{run.folder}: was made from other data ({', '.join(differing)} differ); name their"
            " root with `data`, or train again"
        )
