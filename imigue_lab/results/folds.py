"""The runs of one model on the five subject folds, and what they predict of the fold they hold out.

Together they hold out each item of train and validation once: out-of-fold scores, to which weights
or temperatures of the same model on the official split can be fitted without a look at the test.
"""

from typing import Any

import pandas as pd

from imigue_lab.data.splits import FOLDS
from imigue_lab.errors import RunError
from imigue_lab.results.open import command_of
from imigue_lab.training.runs import Run, differences, finished_runs
from imigue_lab.training.scores import labelled, truth_of
from imigue_lab.training.settings import RUNS

OF_FOLD = ("digest", "rgb", "pose", "checkpoint")  # of the data: what another split may change


def fold_runs(run: Run) -> list[Run]:
    """The finished runs on subject folds 0 to 4 with the settings and data of this one.

    Its own validation does not matter: they hold out all that it trained or was selected on. Raises
    RunError if there is none of a fold, several that differ, or the run itself is on a fold.
    """
    own, known = run.settings(), run.predictions()
    if own["settings"].get("fold") != -1:
        raise RunError(
            f"{run.folder.name}: expected a run on the official split, whose runs on folds are"
            f" found by their settings, got {own['task']} of fold {own['settings'].get('fold')};"
            " name others, or weights"
        )
    found: dict[int, Run] = {}
    for other in finished_runs(own["task"]):
        settings = other.settings()
        fold = settings["settings"]["fold"]
        like = settings | {"settings": settings["settings"] | {"fold": -1}}
        if fold < 0 or not fits(like, own) or not predicts_same_items(other, known):
            continue
        if fold in found and differences(found[fold].settings()["data"], settings["data"]):
            both = f"{found[fold].folder.name} and {other.folder.name}"
            raise RunError(f"{run.folder.name}: {both} are both of fold {fold}; delete one")
        found.setdefault(fold, other)
    if missing := [fold for fold in range(FOLDS) if fold not in found]:
        raise RunError(
            f"{run.folder.name}: expected finished runs of these settings on folds 0 to 4, got none"
            f" on {', '.join(map(str, missing))}; train each, as by {fold_command(run, missing[0])}"
        )
    return [found[fold] for fold in range(FOLDS)]


def fits(settings: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether settings and data are the same up to what the split decides."""
    wanted = own["settings"] | {"refit": False} if "refit" in own["settings"] else own["settings"]
    one, other = (
        {n: n in OF_FOLD or v for n, v in each["data"].items()} for each in (settings, own)
    )
    return settings["settings"] == wanted and one == other


def predicts_same_items(run: Run, known: pd.DataFrame) -> bool:
    """Whether the run holds out items of train and validation that have the same truth there."""
    held, item = labelled(run.predictions(), "validation"), known.columns[0]
    truth = truth_of(known)[known.split != "test"].set_axis(known[item][known.split != "test"])
    return len(held) > 0 and truth_of(held).tolist() == truth.reindex(held[item]).tolist()


def fold_command(run: Run, fold: int) -> str:
    """The command that trains this run on a fold, with encoders of its own."""
    other = {"fold": fold, "refit": False, "name": "", **dict.fromkeys(RUNS, "")}
    return command_of(run, **other)


def pooled(folds: list[list[Run]]) -> list[pd.DataFrame]:
    """What each list of runs predicts of the items that they hold out, with the item's `fold`."""
    return shared_items(
        [
            pd.concat(
                labelled(run.predictions(), "validation").assign(fold=fold)
                for fold, run in enumerate(runs)
            )
            for runs in folds
        ]
    )


def shared_items(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The items that all tables have, in the order of ids."""
    item = tables[0].columns[0]
    shared = set.intersection(*(set(table[item]) for table in tables))
    kept = [table[table[item].isin(shared)] for table in tables]
    return [table.sort_values(item, ignore_index=True) for table in kept]
