"""The parameters of 03_ablations and 08_search: what is trained, how often, and where."""

import re
import shlex
from typing import Any, ClassVar, Literal

from imigue_lab.errors import SettingsError
from imigue_lab.training.settings import Settings, setting
from imigue_lab.training.tasks import TASKS

TaskName = Literal["emotion", "gesture", "baseline"]
GIVEN = "settings of all runs, such as epochs:20 labels:x.csv"
PLACES = ("data", "store", "preset", "device")  # passed on to each run


class StudySettings(Settings):
    """Parameters of both; a preset is passed on to each run."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "demo": {}}

    task: TaskName = setting("emotion", "emotion, gesture or baseline")
    given: str = setting("", GIVEN)
    storage: str = setting(
        "",
        "postgresql://... for many hosts; empty: SQLite in the workspace",
        pattern=r"^(\w[\w+]*://.*)?$",
    )

    def of_run(self, **changes: Any) -> Settings:
        """The settings of a run, with the values that it sets differently from the others.

        Raises SettingsError for an unknown setting, or values that do not fit together.
        """
        given = {name: getattr(self, name) for name in PLACES} | read_given(self.given)
        return TASKS[self.task].settings.from_arguments(given | changes)


class AblationSettings(StudySettings):
    """Parameters of 03_ablations."""

    given: str = setting("epochs:10 lr:1e-3", GIVEN)
    variants: str = setting("main", "main, all, or names with commas")
    seeds: int = setting(2, "runs of each variant, from `seed` on", ge=1)
    folds: int = setting(0, "of five, held out in turn; 0: as data or given", ge=0, le=5)
    final: bool = setting(False, "score the named variants on test; false: on validation")

    @property
    def split(self) -> str:
        return "test" if self.final else "validation"

    def model_post_init(self, _: Any) -> None:
        if self.final and self.folds:
            raise ValueError("final: folds hold out no clip of test; leave folds at 0, or final")
        if self.final and self.variants.strip() == "all":
            raise ValueError(
                "final: expected the variants of a final choice, got all; name those that you"
                " chose on validation, with commas"
            )


class SearchSettings(StudySettings):
    """Parameters of 08_search, and of `imigue-lab search`."""

    task: Literal["emotion", "gesture"] = setting("emotion", "emotion or gesture")
    given: str = setting("epochs:4 width:16", GIVEN)
    trials: int = setting(8, "total of all calls; 0: until the minutes end", ge=0)
    minutes: float = setting(0.0, "start no trial after so many minutes; 0: no limit", ge=0)
    folds: int = setting(3, "of five, scored in each trial", ge=1, le=5)
    study: str = setting(
        "",
        "name, also of the preset; empty: derived from the settings",
        pattern=r"^([A-Za-z0-9][\w.-]*)?$",
    )

    def model_post_init(self, _: Any) -> None:
        if not self.trials and not self.minutes:
            raise ValueError("trials: 0 needs minutes, or the search would not end; set either")
        if self.study == "paper":
            raise ValueError(f"study: {self.study!r} is a preset already; choose another name")


def read_given(text: str) -> dict[str, str]:
    """Splits ``epochs:20 labels:x.csv``; papermill cannot show help for a line with a second =.

    Raises SettingsError if a word is not name:value.
    """
    found: dict[str, str] = {}
    for word in shlex.split(text):
        pair = re.fullmatch(r"(\w+)[:=](.*)", word)
        if not pair:
            raise SettingsError(
                f"given: expected name:value, got {word!r}; write epochs:20 lr:1e-4"
            )
        found[pair[1]] = pair[2]
    return found
