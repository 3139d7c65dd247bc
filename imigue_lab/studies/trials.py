"""A study: its parameters, and an Optuna queue of tickets (trials) for any number of workers.

Workers on one host share a SQLite file, workers on many hosts a PostgreSQL server. Each sends a
heartbeat every few seconds; the ticket of a worker without one goes back to the queue. Results are
stored in run folders, which are the source of truth; the study only distributes the work.
"""

import multiprocessing
import os
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import unquote

from imigue_lab.data.workspace import locked, workspace
from imigue_lab.errors import PASSWORDS, LabError, RunError, SettingsError, without_password
from imigue_lab.training.settings import NAME, Settings, setting
from imigue_lab.training.tasks import TASKS

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

HEARTBEAT_S = 10
GRACE_S = 60  # without a heartbeat, after which a worker counts as lost
BUSY_S = 120  # a worker waits this long for SQLite's lock
FAILED = "failed"  # attribute of a ticket: the error message
TaskName = Literal["emotion", "gesture", "baseline", "recognition"]
GIVEN = "settings of all runs, such as epochs:20 labels:x.csv"
PLACES = ("data", "store", "preset", "device")  # passed on to each run


def studies_folder() -> Path:
    return workspace() / "studies"


def url_of(name: str, storage: str) -> str:
    """The database of a study; psycopg 3 is the PostgreSQL driver."""
    if not storage:
        return f"sqlite:///{studies_folder() / name}.db"
    return storage.replace("postgresql://", "postgresql+psycopg://", 1)


def without_parts(text: str, url: str) -> str:
    """Masks every word of the passwords of a URL in a text about it: it may be split otherwise."""
    secrets = [m[2] for form in PASSWORDS for m in re.finditer(form, url)]
    words = {word for secret in secrets for word in re.split(r"\W+", f"{secret} {unquote(secret)}")}
    known = "|".join(re.escape(word) for word in [*secrets, *sorted(words)] if word)
    return re.sub(rf"(?<!\w)({known})(?!\w)", "***", text) if known else text


def lock_of(name: str) -> Path:
    """Of a study, since creating a SQLite file and filling a queue are race conditions."""
    return studies_folder() / f".{name}.lock"


def open_study(name: str, storage: str = "") -> "Study":
    """The study of that name, created once in a database; without a URL, a SQLite file.

    Raises RunError if the database cannot be reached, or its driver is not installed.
    """
    import optuna
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = url_of(name, storage)
    connect = {"timeout": BUSY_S} if url.startswith("sqlite") else {}
    with locked(lock_of(name)), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            kept = RDBStorage(
                url,
                engine_kwargs={"connect_args": connect},
                heartbeat_interval=HEARTBEAT_S,
                grace_period=GRACE_S,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
        except ImportError as error:
            raise RunError(
                f"storage: the driver of {url.partition(':')[0]} is not installed;"
                " pip install 'imigue_lab[postgresql]'"
            ) from error
        except Exception as error:  # SQLAlchemy's, of many kinds
            where = without_password(storage or url)
            reason = without_parts(str(error).splitlines()[0], storage)
            raise RunError(f"storage: {where} cannot be opened ({reason})") from error
        return optuna.create_study(
            storage=kept, study_name=name, direction="maximize", load_if_exists=True
        )


def tickets(study: "Study", *states: str) -> list["FrozenTrial"]:
    """The tickets in some states: WAITING, RUNNING, COMPLETE, PRUNED or FAIL."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=tuple(TrialState[state] for state in states))


def work(
    study: "Study", do: Callable[["Trial"], float], minutes: float | int = 0, endless: bool = False
) -> None:
    """Processes tickets until none is left, also those of workers that are lost meanwhile.

    A ticket whose run fails is marked with the reason, and the next one follows.

    Args:
        do: processes a ticket and returns its value.
        minutes: after which no new ticket is started; 0: no limit.
        endless: create another when none is waiting, until the minutes are over.
    """
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
    while time.monotonic() < end:
        if endless or tickets(study, "WAITING"):
            study.optimize(lambda trial: attempt(do, trial), n_trials=1, catch=(RunError,))
        elif tickets(study, "RUNNING"):
            time.sleep(min(1.0, HEARTBEAT_S))
            requeue_lost(study)
        else:
            break


def attempt(do: Callable[["Trial"], float], trial: "Trial") -> float:
    try:
        return do(trial)
    except LabError as error:
        trial.set_user_attr(FAILED, str(error))
        print(f"failed: {error}", flush=True)
        raise


def requeue_lost(study: "Study") -> None:
    """Requeues the tickets of lost workers; `optimize` does so only before it starts one."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def share_among(count: int, do: Callable[[Any], object], settings: Any) -> None:
    """Runs `do(settings)` in several processes that share the cores; waits for all.

    Raises RunError if one of them failed; its own error is printed above.
    """
    threads = max(1, (os.cpu_count() or 1) // count)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=run_worker, args=(do, settings)) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed := sum(worker.exitcode != 0 for worker in workers):
        raise RunError(f"{failed} of {count} workers failed; run the command again to continue")


def run_worker(do: Callable[[Any], object], settings: Any) -> None:
    """One worker: an error of the package is printed without a traceback."""
    try:
        do(settings)
    except LabError as error:
        sys.exit(f"imigue-lab: {error}")


class StudySettings(Settings):
    """Parameters of both; a preset is passed on to each run."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "demo": {}}

    task: TaskName
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

    task: TaskName = setting("emotion", "emotion, gesture, baseline or recognition")
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

    task: Literal["emotion", "gesture", "recognition"] = setting(
        "emotion", "emotion, gesture or recognition"
    )
    given: str = setting("epochs:4 width:16", GIVEN)
    trials: int = setting(8, "total of all calls; 0: until the minutes end", ge=0)
    minutes: float = setting(0.0, "start no trial after so many minutes; 0: no limit", ge=0)
    folds: int = setting(3, "of five, scored in each trial", ge=1, le=5)
    study: str = setting(
        "", "name, also of the preset; empty: derived from the settings", pattern=rf"^({NAME})?$"
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
            todo = "write epochs:20 lr:1e-4"
            raise SettingsError.expected("given", "name:value", repr(word), todo)
        found[pair[1]] = pair[2]
    return found
