"""A finished run in the words that make it again: what was asked for, and the command."""

import shlex
from typing import Any

from imigue_lab.results.fuse import FusionSettings
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import Settings

TASKS: dict[str, type[Settings]] = {
    "emotion": EmotionSettings,
    "gesture": GestureSettings,
    "baseline": BaselineSettings,
    "fusion": FusionSettings,
}


def settings_of(run: Run) -> Settings:
    """Every setting of a run, its places, name, preset and device among them."""
    kept = run.settings()
    own = TASKS[kept["task"]]
    where = run.provenance()["where"]  # of a fusion: where its first member was trained
    places = {name: value for name, value in where.items() if name in own.model_fields}
    return own.from_arguments(kept["settings"] | places)


def starting_point(settings: Settings) -> Settings:
    """What the preset says, or the defaults; the recipe and the frames are those of the model."""
    return type(settings).from_arguments(said_first(settings))


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
    """The line for a shell that makes this run again, on the data it was made from."""
    said = what_was_said(settings := settings_of(run))
    if isinstance(settings, FusionSettings):
        words = ["imigue-lab", "fuse", *settings.runs.split(",")]
        said = {name: said[name] for name in ("weights", "name", "seed") if name in said}
    else:
        words = ["imigue-lab", "train", run.settings()["task"]]
    for name, value in said.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
