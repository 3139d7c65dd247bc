"""Hyperparameter search: trials by TPE, scored on held-out folds of subjects.

The ranges of emotion are the paper's (section 5.2). For gestures the paper gives none: ours are
centred on the values that it prints, and those of recognition on our defaults.

A trial trains one model per fold on the nested splits of `data.splits.nest`: early stopping uses a
part of the fold's own train split, the fold is scored once at the end, and the official test split
is removed before anything is read. The value of a trial is the mean over folds; a trial below the
median of the others after some fold is pruned. The value of the best trial is optimistic, because
it was selected; so the best settings are also scored on the next fold, which no trial is scored on.
"""

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd

from imigue_lab.data.corrections import open_corrected
from imigue_lab.data.index import Index
from imigue_lab.data.splits import FOLDS, nest
from imigue_lab.data.workspace import locked, short_hash
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.studies.trials import PLACES, SearchSettings, lock_of, open_study, tickets, work
from imigue_lab.training.leaks import RECORD
from imigue_lab.training.runs import Run, differences
from imigue_lab.training.settings import Settings, write_preset
from imigue_lab.training.tasks import TASKS, load_folds, train_quietly

if TYPE_CHECKING:
    from optuna import Study, Trial

METRICS = {"emotion": "balanced_accuracy", "gesture": "top1", "recognition": "f1_50"}
STARTUP = 10  # random trials before TPE uses any
HEAVY = ("best.safetensors", "last.safetensors", "resume.pt", RECORD)


class Range(NamedTuple):
    """Numbers between two bounds, both included; integers if the bounds are."""

    low: float | int
    high: float | int
    log: bool = False


Space = dict[str, Range | list[int]]  # a range, or numbers of heads

SPACES: dict[str, Space] = {
    "emotion": {
        "lr": Range(1e-5, 5e-4, log=True),
        "depth": Range(1, 8),
        "heads": [2, 4, 8],
        "dropout": Range(0.1, 0.5),
        "gamma": Range(0.5, 1.5),
    },
    "gesture": {
        "lr": Range(1e-5, 5e-3, log=True),
        "heads": [4, 8],
        "merge": Range(0.0, 0.5),
        "top_k": Range(1, 10),
        "momentum": Range(0.5, 0.99),
        "alpha": Range(0.0, 2.0),
    },
    "recognition": {
        "lr": Range(3e-4, 1e-2, log=True),
        "depth": Range(4, 8),
        "dropout": Range(0.0, 0.4),
        "weight_decay": Range(1e-3, 0.2, log=True),
    },
}


def suggest(trial: "Trial", space: Space, base: Settings) -> dict[str, Any]:
    """One value for each name; heads must divide the width."""
    values: dict[str, Any] = {}
    for name, range_ in space.items():
        if isinstance(range_, list):
            width = base.model_dump()["width"]
            heads = [value for value in range_ if width % value == 0]
            if not heads:
                raise SettingsError(f"width: {width} is a multiple of none of {range_} heads")
            values[name] = trial.suggest_categorical(name, heads)
        elif isinstance(range_.low, int) and isinstance(range_.high, int):
            values[name] = trial.suggest_int(name, range_.low, range_.high)
        else:
            values[name] = trial.suggest_float(name, range_.low, range_.high, log=range_.log)
    return values


def search(settings: SearchSettings) -> "Study":
    """Runs a study until its trials or minutes are used up; other workers may share it.

    Raises RunError if the study was started with other settings, or no trial finished;
    SettingsError if the settings leave nothing to search.
    """
    task, whole = settings.task, whole_index(settings)
    folds = load_searched(settings, whole, range(settings.folds))
    study = open_search(settings, digest_of(folds))
    study.set_user_attr("remarks", folds[0].remarks())

    def do(trial: "Trial") -> float:
        from optuna import TrialPruned

        values = suggest(trial, SPACES[task], settings.of_run())
        scores: list[float] = []
        mean = 0.0
        for fold, data in enumerate(folds):
            scores.append(score_of(train_fold(settings, values, data, whole), task))
            mean = sum(scores) / len(scores)
            trial.set_user_attr("folds", scores)
            trial.report(mean, fold)
            if trial.should_prune():
                raise TrialPruned
        print(f"trial {trial.number}: {mean:.3f} {trial.params}", flush=True)
        return mean

    work(study, do, settings.minutes, endless=not settings.trials)
    if not tickets(study, "COMPLETE"):
        raise RunError(f"{study.study_name}: no trial finished; see the errors above")
    return study


def whole_index(settings: SearchSettings) -> Index:
    return open_corrected(settings.of_run())


def load_searched(settings: SearchSettings, whole: Index, folds: Iterable[int]) -> list[Any]:
    """The data of some folds; each fold is the test split of its own data."""
    strata: Literal["outcome", "label"] = "outcome" if settings.task == "emotion" else "label"
    nested = [nest(whole, strata, fold, settings.seed) for fold in folds]
    return load_folds(settings.task, fold_settings(settings, {}), nested)


def digest_of(folds: list[Any]) -> str:
    return short_hash(*(json.dumps(data.identity(), sort_keys=True) for data in folds))


def train_fold(settings: SearchSettings, values: dict[str, Any], data: Any, whole: Index) -> Run:
    """Trains on one fold; of the run only scores and predictions are kept."""
    run = train_quietly(settings.task, fold_settings(settings, values), data)
    refuse_test(run, whole)
    for name in HEAVY:
        (run.folder / name).unlink(missing_ok=True)
    return run


def open_search(settings: SearchSettings, digest: str) -> "Study":
    """The study with sampler, pruner, and tickets up to `trials`; `digest` is that of the data."""
    from optuna.pruners import MedianPruner
    from optuna.samplers import TPESampler

    values = sorted(base_settings(settings).items())
    identity = short_hash(values, settings.folds, settings.seed, digest)
    derived = f"search-{settings.task}-{identity}"
    study = open_study(settings.study or derived, settings.storage)
    study.sampler = TPESampler(n_startup_trials=0, constant_liar=True, seed=settings.seed)
    study.pruner = MedianPruner(n_startup_trials=5)
    with locked(lock_of(study.study_name)):
        record_settings(study, settings, digest)
        known = len(tickets(study, "WAITING", "RUNNING", "COMPLETE", "PRUNED"))
        for number in range(known, settings.trials or STARTUP):
            study.enqueue_trial(first_values(number, settings), skip_if_exists=False)
    return study


def base_settings(settings: SearchSettings) -> dict[str, Any]:
    """Those of a run that are not searched and change its result."""
    return settings.of_run().model_dump(exclude={*PLACES, "name", "seed"})


def record_settings(study: "Study", settings: SearchSettings, digest: str) -> None:
    """Stores what is searched, or refuses a study of that name with other settings or data."""
    wanted: dict[str, Any] = {"task": settings.task, "digest of the data": digest}
    wanted |= {"folds": settings.folds, "seed": settings.seed, **base_settings(settings)}
    kept = study.user_attrs.get("settings")
    if kept is None:
        study.set_user_attr("settings", wanted)
    elif differing := differences(kept, wanted):
        raise RunError(
            f"study {study.study_name}: was started with other settings: {differing}; choose"
            " another name with `study`"
        )


def first_values(number: int, settings: SearchSettings) -> dict[str, Any]:
    """Random values of the first trials, by the seed, however many workers share them."""
    import optuna

    if number >= STARTUP:
        return {}
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=settings.seed))
    base = settings.of_run()
    return [suggest(drawn.ask(), SPACES[settings.task], base) for _ in range(number + 1)][-1]


def fold_settings(settings: SearchSettings, values: dict[str, Any]) -> Settings:
    """The settings of a trial's runs; the folds are in the data already."""
    fixed = {"seed": settings.seed, "fold": -1}
    if settings.task == "emotion":
        fixed["move_negatives"] = 0
    return settings.of_run(**values | fixed)


def refuse_test(run: Run, whole: Index) -> None:
    """A safeguard: no interview of the official test split may have been predicted."""
    hidden = set(whole.videos.video_id[whole.videos.split == "test"])
    if seen := hidden & set(run.predictions().video_id):
        raise AssertionError(f"{run.folder}: the search has used the test split: {sorted(seen)}")


def held_out_scores(run: Run) -> pd.Series:
    """The row of the score table on the held-out fold."""
    scores = run.scores()
    return scores[(scores.split == "test") & (scores.predictor == "model")].iloc[0]


def score_of(run: Run, task: str) -> float:
    value = float(held_out_scores(run)[METRICS[task]])
    if math.isnan(value):
        raise RunError(f"{run.folder}: the held-out fold has one outcome only; use fewer folds")
    return value


def trials_table(study: "Study") -> pd.DataFrame:
    """One row per trial, best first: number, state, value, se (over folds), folds, parameters."""
    rows = []
    for trial in tickets(study, "COMPLETE", "PRUNED"):
        scores = pd.Series(trial.user_attrs.get("folds", []), dtype=float)
        row = {"trial": trial.number, "state": trial.state.name.lower(), "value": scores.mean()}
        rows.append(row | {"se": scores.sem(), "folds": len(scores), **trial.params})
    by = ["state", "value"]
    return pd.DataFrame(rows).sort_values(by, ascending=[True, False], ignore_index=True)


def show_trials(study: "Study") -> pd.DataFrame:
    """The same for display."""
    shown = trials_table(study)
    for name in ("value", "se"):
        shown[name] = ["–" if pd.isna(number) else f"{number:.3f}" for number in shown[name]]
    for name, column in shown.items():
        if column.dtype == float:
            shown[name] = [f"{number:.3g}" for number in column]
    return shown


def score_best(study: "Study", settings: SearchSettings) -> dict[str, Any]:
    """The best settings on the first fold that no trial is scored on: one row of a score table.

    Empty if all folds are searched. Raises RunError if the data have changed since.
    """
    if settings.folds == FOLDS:
        return {}
    whole = whole_index(settings)
    *searched, data = load_searched(settings, whole, range(settings.folds + 1))
    record_settings(study, settings, digest_of(searched))
    return held_out_scores(train_fold(settings, study.best_params, data, whole)).to_dict()


def describe_best(study: "Study", settings: SearchSettings) -> str:
    """What to expect of the best settings, in one sentence."""
    metric = METRICS[settings.task]
    searched = f"mean {metric} {study.best_value:.3f} over {settings.folds} searched folds"
    row = score_best(study, settings)
    if not row:
        return f"{searched}; it is optimistic, because no fold is left that the search did not use"
    interval = row[f"{metric}_interval"]
    low_high = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return (
        f"{metric} {row[metric]:.3f}{low_high} (n = {row['n']}) on a fold that no trial was scored"
        f" on; the {searched} is optimistic, because these settings were selected by it"
    )


def keep_best(study: "Study", settings: SearchSettings) -> str:
    """Writes the best settings as a preset with the name of the study; returns the name."""
    best = study.best_trial
    kind = TASKS[settings.task].settings
    changed = {
        name: value
        for name, value in base_settings(settings).items()
        if value != kind.model_fields[name].default
    }
    origin = {"value": best.value, "folds": best.user_attrs["folds"], "trial": best.number}
    origin |= {"metric": METRICS[settings.task], "trials": len(study.trials), "data": settings.data}
    values = changed | best.params
    write_preset(study.study_name, kind.__name__, settings.preset, values, origin)
    return study.study_name
