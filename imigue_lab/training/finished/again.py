"""A finished run in the words that make it again: what was asked for, and the command."""

import shlex
from typing import Any

from imigue_lab.errors import RunError
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import EmotionSettings, Settings

TASKS: dict[str, type[Settings]] = {
    "emotion": EmotionSettings,
    "gesture": GestureSettings,
    "baseline": BaselineSettings,
}


def settings_of(run: Run) -> Settings:
    """Every setting of a run, its places, name, preset and device among them.

    Raises:
        RunError: it was not trained, as a fusion of other runs is not.
    """
    kept = run.settings()
    if kept["task"] not in TASKS:
        raise RunError(
            f"{run.folder}: is a run of {kept['task']}, which was not trained; name one of"
            f" {', '.join(TASKS)}"
        )
    return TASKS[kept["task"]].from_given(kept["settings"] | run.provenance()["where"])


def starting_point(settings: Settings) -> Settings:
    """What the preset says, or the defaults; the recipe and the frames are those of the model."""
    return type(settings).from_given(said_first(settings))


def what_was_said(settings: Settings) -> dict[str, Any]:
    """The settings that must be given to have all of them: no preset and no default says them."""
    start = starting_point(settings).model_dump()
    differing = {name: v for name, v in settings.model_dump().items() if v != start[name]}
    return said_first(settings) | differing


def said_first(settings: Settings) -> dict[str, Any]:
    """Of the settings that others follow from, those that are not the default."""
    fields, values = type(settings).model_fields, settings.model_dump()
    names = [name for name in ("model", "preset") if name in fields]
    return {name: values[name] for name in names if values[name] != fields[name].default}


def command_of(run: Run) -> str:
    """The line for a shell that trains this run again, on the data it was trained on."""
    words = ["imigue-lab", "train", run.settings()["task"]]
    for name, value in what_was_said(settings_of(run)).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
