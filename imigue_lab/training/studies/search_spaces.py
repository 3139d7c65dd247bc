"""What a search may choose, and from which ranges.

Emotion: the paper's (section 5.2). For gestures the paper names none: the ranges are ours, about
the values that it prints.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from imigue_lab.errors import SettingsError
from imigue_lab.training.settings import Settings

if TYPE_CHECKING:
    from optuna import Trial


class Range(NamedTuple):
    """Numbers between two ends, both included; whole ones where both ends are."""

    low: float | int
    high: float | int
    log: bool = False


class Choice(NamedTuple):
    values: tuple


Space = dict[str, Range | Choice]

SPACES: dict[str, Space] = {
    "emotion": {
        "lr": Range(1e-5, 5e-4, log=True),
        "depth": Range(1, 8),
        "heads": Choice((2, 4, 8)),
        "dropout": Range(0.1, 0.5),
        "gamma": Range(0.5, 1.5),
    },
    "gesture": {
        "lr": Range(1e-5, 5e-3, log=True),
        "heads": Choice((4, 8)),
        "merge": Range(0.0, 0.5),
        "top_k": Range(1, 10),
        "momentum": Range(0.5, 0.99),
        "alpha": Range(0.0, 2.0),
    },
}


def suggest(trial: "Trial", space: Space, base: Settings) -> dict[str, Any]:
    """One value for each name; heads that do not divide the width are no choice."""
    values: dict[str, Any] = {}
    for name, range_ in space.items():
        if isinstance(range_, Choice):
            values[name] = trial.suggest_categorical(name, fitting(name, range_, base))
        elif isinstance(range_.low, int) and isinstance(range_.high, int):
            values[name] = trial.suggest_int(name, range_.low, range_.high)
        else:
            values[name] = trial.suggest_float(name, range_.low, range_.high, log=range_.log)
    return values


def fitting(name: str, choice: Choice, base: Settings) -> list[Any]:
    if name != "heads":
        return list(choice.values)
    width = base.model_dump()["width"]
    heads = [value for value in choice.values if width % value == 0]
    if not heads:
        raise SettingsError(f"width: {width} is a multiple of none of {choice.values} heads")
    return heads
