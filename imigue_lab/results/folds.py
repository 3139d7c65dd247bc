"""The runs of one model on the five subject folds, and what they predict of the fold they hold out.

Together they hold out each item of train and validation once: out-of-fold scores, to which weights
or temperatures of the same model on the official split can be fitted without a look at the test.
"""

from typing import Any

import pandas as pd

from imigue_lab.data.splits import FOLDS
from imigue_lab.errors import RunError
from imigue_lab.results.open import command_of
from imigue_lab.training.runs import Run, finished_runs
from imigue_lab.training.scores import labelled, truth_of
from imigue_lab.training.settings import RUNS

OF_FOLD = ("digest", "rgb", "pose", "checkpoint")  # of the data: what another split may change


def fold_runs(run: Run) -> list[Run]:
    """The finished runs on subject folds 0 to 4 with the settings and data of this one.

    With `refit` they are those without: they hold out all that it trained or was selected on.
    Raises RunError if a fold has none, or several that differ, or the run itself is on a fold.
    """
    name, task = run.folder.name, run.settings()["task"]
    if (fold := run.settings()["settings"].get("fold")) != -1:
        raise RunError(
            f"{name}: expected a run on the official split, whose runs on folds are found by their"
            f" settings, got {task} of fold {fold}; name others, or weights"
        )
    found: dict[int, Run] = {}
    for other in finished_runs(task):
        kept = other.settings()
        fold, refit = kept["settings"]["fold"], kept["settings"].get("refit")
        if fold < 0 or refit or model_of(other) != model_of(run) or not holds_out(other, run):
            continue
        if fold in found and found[fold].settings()["data"] != kept["data"]:
            both = f"{found[fold].folder.name} and {other.folder.name}"
            raise RunError(f"{name}: {both} are both of fold {fold}; delete one")
        found.setdefault(fold, other)
    if missing := [fold for fold in range(FOLDS) if fold not in found]:
        given = {"fold": missing[0], "refit": False, "name": "", **dict.fromkeys(RUNS, "")}
        raise RunError(
            f"{name}: expected finished runs of these settings on folds 0 to 4, got none on"
            f" {', '.join(map(str, missing))}; train each, as by {command_of(run, **given)}"
        )
    return [found[fold] for fold in range(FOLDS)]


def model_of(run: Run) -> dict[str, Any]:
    """Settings and data, up to what the split decides."""
    kept = run.settings()
    data = {name: name in OF_FOLD or value for name, value in kept["data"].items()}
    return kept["settings"] | {"fold": -1, "refit": False, "data": data}


def holds_out(fold: Run, run: Run) -> bool:
    """Whether what a fold holds out is in train and validation of the run, with the same truth."""
    held, known = labelled(fold.predictions(), "validation"), run.predictions()
    known = known[known.split != "test"].set_index(known.columns[0])
    truth = truth_of(known).reindex(held[held.columns[0]])
    return len(held) > 0 and truth_of(held).tolist() == truth.tolist()


def pooled(folds: list[list[Run]]) -> list[pd.DataFrame]:
    """What each list of runs predicts of the items that they hold out, with the item's `fold`."""
    held = [[labelled(run.predictions(), "validation") for run in runs] for runs in folds]
    return shared_items(
        [pd.concat(t.assign(fold=fold) for fold, t in enumerate(own)) for own in held]
    )


def shared_items(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The items that all tables have, in the order of ids."""
    item = tables[0].columns[0]
    shared = set.intersection(*(set(table[item]) for table in tables))
    kept = [table[table[item].isin(shared)] for table in tables]
    return [table.sort_values(item, ignore_index=True) for table in kept]
