"""What a search may choose, and from which ranges.

Emotion: the paper's (section 5.2). For gestures the paper names none: the ranges are ours, about
the values that it prints.

Search for settings: trials by TPE over the paper's ranges, scored on held-out folds of subjects.

A trial trains one model a fold on the data of `data.nesting.nest`: early stopping looks at a part
of the fold's own train part, the fold is scored once at the end, and the official test split is
taken away before anything is read. The trial's value is the mean over folds; one that falls behind
the median of the others after a fold is given up.
"""

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import nest
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.studies.settings import PLACES, SearchSettings
from imigue_lab.studies.tasks import TASKS, load_folds, train
from imigue_lab.studies.trials import held, open_study, tickets, work
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import Settings, write_preset

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


if TYPE_CHECKING:
    from optuna import Study, Trial

METRICS = {"emotion": "balanced_accuracy", "gesture": "top1"}
STRATA: dict[str, Literal["outcome", "label"]] = {"emotion": "outcome", "gesture": "label"}
STARTUP = 10  # trials drawn at random before TPE learns from any
HEAVY = ("best.safetensors", "last.safetensors", "resume.pt")


def search(asked: SearchSettings) -> "Study":
    """Goes on with a study until its trials or the minutes are used up; other workers may share it.

    Raises:
        RunError: the study was begun with other settings, or no trial could be finished.
        SettingsError: the settings leave nothing to search.
    """
    study = open_search(asked)
    whole = open_data(asked.data, str(asked.base().get("labels", "")), asked.store)
    nested = [nest(whole, STRATA[asked.task], fold, asked.seed) for fold in range(asked.folds)]
    folds = load_folds(asked.task, fold_settings(asked, {}), nested)
    study.set_user_attr("remarks", folds[0].remarks())

    def do(trial: "Trial") -> float:
        from optuna import TrialPruned

        values = suggest(trial, SPACES[asked.task], base_settings(asked))
        scores: list[float] = []
        for fold, data in enumerate(folds):
            run = train(asked.task, fold_settings(asked, values), data)
            refuse_test(run, whole)
            thin(run)
            scores.append(score_of(run, asked.task))
            trial.set_user_attr("folds", scores)
            trial.report(sum(scores) / len(scores), fold)
            if trial.should_prune():
                raise TrialPruned
        mean = sum(scores) / len(scores)
        print(f"trial {trial.number}: {mean:.3f} {trial.params}", flush=True)
        return mean

    work(study, do, asked.minutes, endless=not asked.trials)
    if not tickets(study, "COMPLETE"):
        raise RunError(f"{study.study_name}: no trial was finished; see the sentences above")
    return study


def open_search(asked: SearchSettings) -> "Study":
    """The study with its sampler, pruner, and tickets up to `trials`."""
    from optuna.pruners import MedianPruner
    from optuna.samplers import TPESampler

    study = open_study(search_name(asked), asked.storage)
    study.sampler = TPESampler(n_startup_trials=0, constant_liar=True, seed=asked.seed)
    study.pruner = MedianPruner(n_startup_trials=5)
    with held(study.study_name):
        keep_asked(study, asked)
        there = len(tickets(study, "WAITING", "RUNNING", "COMPLETE", "PRUNED"))
        for number in range(there, asked.trials or STARTUP):
            study.enqueue_trial(first_values(number, asked), skip_if_exists=False)
    return study


def keep_asked(study: "Study", asked: SearchSettings) -> None:
    """Notes what is searched, or refuses a study of that name that searches something else."""
    wanted = {"task": asked.task, "folds": asked.folds, "seed": asked.seed}
    aside = {*PLACES, "name", "seed"}
    wanted |= base_settings(asked).model_dump(exclude=aside, mode="json")
    kept = study.user_attrs.get("asked")
    if kept is None:
        study.set_user_attr("asked", wanted)
    elif kept != wanted:
        differing = [
            f"{name} is {kept.get(name)!r} there and {wanted.get(name)!r} here"
            for name in wanted.keys() | kept.keys()
            if kept.get(name) != wanted.get(name)
        ]
        raise RunError(
            f"study {study.study_name}: searches something else:"
            f" {'; '.join(sorted(differing))}; give another name by `study`"
        )


def search_name(asked: SearchSettings) -> str:
    if asked.study:
        return asked.study
    aside = {"seed", "name", "device"}
    base = sorted(base_settings(asked).model_dump(exclude=aside).items())
    return f"search-{asked.task}-{short_hash(base, asked.folds, asked.seed)}"


def base_settings(asked: SearchSettings) -> Settings:
    return TASKS[asked.task].settings.from_arguments(asked.base())


def first_values(number: int, asked: SearchSettings) -> dict[str, Any]:
    """What the first trials try, drawn by the seed, however many workers share them."""
    import optuna

    if number >= STARTUP:
        return {}
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=asked.seed))
    base = base_settings(asked)
    return [suggest(drawn.ask(), SPACES[asked.task], base) for _ in range(number + 1)][-1]


def fold_settings(asked: SearchSettings, values: dict[str, Any]) -> Settings:
    """Of a trial's runs; the folds are in the data already."""
    given = {**asked.base(), **values, "seed": asked.seed, "fold": -1}
    if asked.task == "emotion":
        given["move_negatives"] = 0
    return TASKS[asked.task].settings.from_arguments(given)


def thin(run: Run) -> None:
    """Of a search's runs only scores and predictions are kept."""
    for name in HEAVY:
        (run.folder / name).unlink(missing_ok=True)


def refuse_test(run: Run, whole: Index) -> None:
    """The last door: no interview of the official test split may have been predicted."""
    hidden = set(whole.videos.video_id[whole.videos.split == "test"])
    seen = hidden & set(run.predictions().video_id)
    if seen:
        raise AssertionError(f"{run.folder}: a search has seen the test split: {sorted(seen)}")


def score_of(run: Run, task: str) -> float:
    """The score of the held-out fold."""
    scores = run.scores()
    own = scores[(scores.split == "test") & (scores.answer == "model")]
    value = float(own[METRICS[task]].iloc[0])
    if math.isnan(value):
        raise RunError(f"{run.folder}: the held-out fold holds one outcome; use fewer folds")
    return value


def trials_table(study: "Study") -> pd.DataFrame:
    """One row a trial, best first: number, state, value, se (over folds), folds, parameters."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name not in ("COMPLETE", "PRUNED"):
            continue
        scores = pd.Series(trial.user_attrs.get("folds", []), dtype=float)
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "value": float(scores.mean()),
                "se": float(scores.sem()) if len(scores) > 1 else float("nan"),
                "folds": len(scores),
                **trial.params,
            }
        )
    table = pd.DataFrame(rows).sort_values(["state", "value"], ascending=[True, False])
    return table.reset_index(drop=True)


def show_trials(study: "Study") -> pd.DataFrame:
    """The same as people read it."""
    shown = trials_table(study)
    for name in ("value", "se"):
        shown[name] = ["–" if pd.isna(number) else f"{number:.3f}" for number in shown[name]]
    for name, column in shown.items():
        if column.dtype == float:
            shown[name] = [f"{number:.3g}" for number in column]
    return shown


def keep_best(study: "Study", asked: SearchSettings) -> str:
    """Writes the best settings as a preset named as the study; returns the name."""
    best = study.best_trial
    base = base_settings(asked)
    changed = {
        name: value
        for name, value in base.model_dump().items()
        if value != type(base).model_fields[name].default and name not in {*PLACES, "name", "seed"}
    }
    origin = {"value": best.value, "folds": best.user_attrs["folds"], "trial": best.number}
    origin |= {"metric": METRICS[asked.task], "trials": len(study.trials), "data": asked.data}
    settings = changed | best.params
    write_preset(study.study_name, type(base).__name__, asked.preset, settings, origin)
    return study.study_name
