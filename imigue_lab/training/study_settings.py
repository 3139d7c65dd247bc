"""The parameters of 03_ablations and 08_search: what is trained, how often, kept where."""

import ast
import re
import shlex
from typing import Any, Literal

from pydantic import Field

from imigue_lab.errors import SettingsError
from imigue_lab.training.settings import Settings

TaskName = Literal["emotion", "gesture"]
PLACES = ("data", "store", "preset", "device")  # handed on to each run


class StudySettings(Settings):
    """What both take."""

    task: TaskName = Field("emotion", description="emotion or gesture")
    given: str = Field("", description="settings of all runs, such as epochs:20 labels:x.csv")
    storage: str = Field(
        "",
        pattern=r"^(\w[\w+]*://.*)?$",
        description="postgresql://... for many hosts; empty: SQLite in the workspace",
    )

    def base(self) -> dict[str, Any]:
        """What every run is given."""
        return {name: getattr(self, name) for name in PLACES} | read_given(self.given)


class AblationSettings(StudySettings):
    """Parameters of 03_ablations."""

    presets = {"paper": {}}

    given: str = Field(
        "epochs:10 lr:1e-3", description="settings of all runs, such as epochs:20 labels:x.csv"
    )
    variants: str = Field("main", description="main, all, or names with commas")
    seeds: int = Field(2, ge=1, description="runs of each variant, from `seed` on")


def read_given(text: str) -> dict[str, Any]:
    """``epochs:20 labels:x.csv`` as names and values; papermill explains no line with a second =.

    Raises:
        SettingsError: a word is no name:value.
    """
    found: dict[str, Any] = {}
    for word in shlex.split(text):
        pair = re.fullmatch(r"(\w+)[:=](.*)", word)
        if not pair:
            raise SettingsError(f"given: {word!r} is not name:value; write epochs:20 lr:1e-4")
        found[pair[1]] = literal(pair[2])
    return found


def literal(text: str) -> Any:
    """A number where it is one, else text."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    return value if isinstance(value, int | float) else text
