"""Ablations: named variants of a model, each trained with several seeds (paper section 5, Table 2).

Variants are compared on validation, on a fold that none of them was trained on (`fold` among the
given settings), or out of fold: with `folds` each is trained on every one of so many subject folds,
and all items that these hold out count together (`keep:last` selects no epoch by them). The test
split is for a final choice; the study records each time it is scored.

Each cell of the grid, a variant with a seed and a fold, is one ticket of a study; its run folder is
the source of truth. Any number of workers share the grid, the cell of a killed
worker is resumed, and no finished cell is trained twice.
"""

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from imigue_lab.data.workspace import locked
from imigue_lab.errors import RunError, some
from imigue_lab.results.compare import scored_items
from imigue_lab.studies.trials import FAILED, AblationSettings, lock_of, open_study, tickets, work
from imigue_lab.studies.variants import FULL, choose
from imigue_lab.training.runs import Run, runs_folder
from imigue_lab.training.settings import Settings
from imigue_lab.training.tasks import load_cached, load_once, train_quietly

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


class Cell(NamedTuple):
    variant: str = ""
    seed: int = -1
    fold: int = -1  # as data or given

    def __str__(self) -> str:
        fold = f", fold {self.fold}" if self.fold >= 0 else ""
        return f"{self.variant}, seed {self.seed}{fold}"


Grid = dict[Cell, Settings]


def plan_grid(settings: AblationSettings) -> Grid:
    """The settings of every cell by seed and fold, so that their data are loaded once.

    Raises SettingsError for an unknown variant or setting, or values that do not fit together.
    """
    cells = [
        Cell(variant, seed, fold)
        for seed in range(settings.seed, settings.seed + settings.seeds)
        for fold in (range(settings.folds) if settings.folds else [-1])
        for variant in choose(settings.task, settings.variants)
    ]
    return {cell: cell_settings(cell, settings) for cell in cells}


def cell_settings(cell: Cell, settings: AblationSettings) -> Settings:
    changes = choose(settings.task, cell.variant)[cell.variant]
    held_out = {"fold": cell.fold} if cell.fold >= 0 else {}
    return settings.of_run(**changes, **held_out, seed=cell.seed)


def study_name(settings: AblationSettings) -> str:
    """Independent of variants and further seeds: the grid of the same settings and data may grow.

    The data count by their content, those of the first seed, which is read anew.
    """
    load_once.cache_clear()
    own = settings.of_run(seed=settings.seed)
    identity = json.dumps(load_cached(settings.task, own).identity(), sort_keys=True)
    return f"ablation-{settings.task}-{own.fingerprint(identity)}"


def ablate(settings: AblationSettings) -> dict[str, list[Run]]:
    """Trains the missing cells together with other workers; returns the runs by variant.

    Raises RunError if cells failed, with the reason of the first.
    """
    grid = plan_grid(settings)
    study = open_study(study_name(settings), settings.storage)
    enqueue(study, grid)
    loaded = (settings.seed, -1)

    def do(trial: "Trial") -> float:
        from optuna import TrialPruned

        nonlocal loaded
        cell = cell_of(trial)
        if not cell.variant:
            raise TrialPruned  # another worker took the last one
        if cell[1:] != loaded and study_name(settings) != study.study_name:
            raise RunError(
                f"{settings.data}: has changed since this ablation started; start it again: other"
                " data are an ablation of their own"
            )
        loaded = cell[1:]
        own = cell_settings(cell, settings)
        run = train_quietly(settings.task, own, load_cached(settings.task, own))
        trial.set_user_attr("run", run.folder.name)
        items = scored_items(run, "validation")
        score = float(items.correct.sum() / items.of.sum())
        print(f"{cell}: {score:.3f} on validation ({run.folder.name})", flush=True)
        return score

    work(study, do)
    runs = finished_cells(study, grid)
    for remark in record_looks(study, settings):
        print(f"note: {remark}")
    return runs


def record_looks(study: "Study", settings: AblationSettings) -> list[str]:
    """Records that the test split is scored; one sentence if it is now or was before."""
    looks = dict(study.user_attrs.get("test scored", {}))
    if settings.final and settings.variants not in looks:
        looks[settings.variants] = time.strftime("%Y-%m-%d %H:%M")
        study.set_user_attr("test scored", looks)
    each = "; ".join(f"variants {names} on {when}" for names, when in looks.items())
    return [f"the test split of this ablation has been scored: {each}"] if looks else []


def enqueue(study: "Study", grid: Grid) -> None:
    """One ticket for each cell that is neither finished nor enqueued."""
    with locked(lock_of(study.study_name)):
        known = {cell_of(t) for t in tickets(study, "WAITING", "RUNNING")}
        known |= runs_by_cell(study).keys()
        for cell in grid:
            if cell not in known:
                study.enqueue_trial({}, user_attrs=cell._asdict(), skip_if_exists=False)


def cell_of(ticket: "Trial | FrozenTrial") -> Cell:
    return Cell(**{name: v for name, v in ticket.user_attrs.items() if name in Cell._fields})


def runs_by_cell(study: "Study") -> dict[Cell, Run]:
    """The finished run of each cell; a cell without its run folder is not finished."""
    found = {cell_of(t): t.user_attrs.get("run", "") for t in tickets(study, "COMPLETE")}
    runs = {cell: Run(runs_folder() / name) for cell, name in found.items() if name}
    return {cell: run for cell, run in runs.items() if run.finished}


def finished_cells(study: "Study", grid: Grid) -> dict[str, list[Run]]:
    """The runs of a grid by variant, in the order of seeds and folds."""
    runs = runs_by_cell(study)
    if missing := [cell for cell in grid if cell not in runs]:
        raise RunError(
            f"{len(missing)} of {len(grid)} cells are not finished:"
            f" {some(missing)}; {reason_for(study, missing)}"
        )
    by_variant: dict[str, list[Run]] = {}
    for cell in grid:
        by_variant.setdefault(cell.variant, []).append(runs[cell])
    refuse_other_data(by_variant)
    return by_variant


def reason_for(study: "Study", missing: list[Cell]) -> str:
    """Why cells have no finished run on this host, according to the study."""
    last = {cell_of(ticket): ticket for ticket in tickets(study, "COMPLETE", "FAIL")}
    ends = [last[cell] for cell in missing if cell in last]
    if reasons := [end.user_attrs[FAILED] for end in ends if FAILED in end.user_attrs]:
        return reasons[0]
    if any(ticket.state.name == "COMPLETE" for ticket in ends):
        return (
            f"their runs were trained but are not in {runs_folder()}: give all hosts one"
            " IMIGUE_LAB_HOME on a shared disk, and run it again"
        )
    return "run it again to continue"


def refuse_other_data(runs: dict[str, list[Run]]) -> None:
    """Compares the data of the cells of one seed and fold."""
    for name, own in runs.items():
        for run, full in zip(own, runs[FULL], strict=True):
            if run.settings()["data"] != full.settings()["data"]:
                raise RunError(
                    f"{name}: {run.folder} was trained on other data than {full.folder.name};"
                    " delete the older one and run again"
                )
