"""Which variants an ablation knows: what each sets otherwise than the full model.

`main` are those of the paper's Table 2 and, for emotion, the kinds of fusion.

Ablations: named variants of a model, each trained with several seeds (paper section 5, Table 2).

Each cell, a variant with a seed, is one ticket of a study, and its run folder is the truth: any
number of workers share the grid, the cell of a killed one is taken up again, and what is finished
is never trained twice.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import RunError, SettingsError, some
from imigue_lab.results.compare import answers_of, compare
from imigue_lab.studies.settings import AblationSettings
from imigue_lab.studies.tasks import TASKS, load, train
from imigue_lab.studies.trials import FAILED, held, open_study, tickets, work
from imigue_lab.training.runs import Run, runs_folder
from imigue_lab.training.settings import Settings

FULL = "full"
Change = dict[str, Any]

EMOTION: dict[str, Change] = {
    "late": {"fusion": "late"},
    "concat": {"fusion": "concat"},
    "context-only": {"fusion": "context_only"},  # the face withheld
    "face-only": {"fusion": "face_only"},
    "one-stage": {"stages": 1},
    "cross-gate": {"gate": "cross"},
    "convex-gate": {"gate": "convex"},
    "bce": {"loss": "bce"},
    "gamma-1": {"gamma": 1.0},
    "gamma-1.5": {"gamma": 1.5},
    "unweighted": {"class_weights": "none"},
}
GESTURE: dict[str, Change] = {
    "late": {"fusion": "late"},
    "no-memory": {"memory": False},
    "concat": {"fusion": "concat"},
    "cross-attention": {"fusion": "cross_attention"},  # no tokens merge
    "no-semantic": {"criteria": "spatial,contextual"},
    "no-spatial": {"criteria": "semantic,contextual"},
    "no-contextual": {"criteria": "semantic,spatial"},
    "merge-0.1": {"merge": 0.1},
    "merge-0.5": {"merge": 0.5},
    "bank-10": {"bank": 10},
    "bank-100": {"bank": 100},
    "top-k-1": {"top_k": 1},
    "top-k-10": {"top_k": 10},
    "momentum-0": {"momentum": 0.0},
    "momentum-0.99": {"momentum": 0.99},
    "no-prototypes": {"alpha": 0.0},
    "alpha-at-once": {"warmup": 0, "ramp": 1},
    "weighted-loss": {"loss_on": "weighted"},
}
VARIANTS = {"emotion": EMOTION, "gesture": GESTURE}
MAIN = {
    "emotion": ("late", "concat", "context-only", "face-only"),
    "gesture": ("late", "no-memory"),
}


def choose(task: str, names: str) -> dict[str, Change]:
    """The full model first, then `main`, `all`, or the variants named with commas.

    Raises:
        SettingsError: no such variant.
    """
    known = VARIANTS[task]
    chosen = {"main": MAIN[task], "all": tuple(known)}.get(names.strip())
    if chosen is None:
        chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in chosen:
        if name not in known and name != FULL:
            raise SettingsError(f"variants: no {name!r} of {task}; there are: {', '.join(known)}")
    return {FULL: {}, **{name: known[name] for name in chosen if name != FULL}}


if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


class Cell(NamedTuple):
    """One model of the grid."""

    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"


Grid = dict[Cell, Settings]


def plan_grid(asked: AblationSettings) -> Grid:
    """The settings of every cell, seed by seed, so that the data of a seed are loaded once.

    Raises:
        SettingsError: no such variant or setting, or values that do not fit together.
    """
    cells = [
        Cell(variant, seed)
        for seed in range(asked.seed, asked.seed + asked.seeds)
        for variant in choose(asked.task, asked.variants)
    ]
    return {cell: settings_of(cell, asked) for cell in cells}


def settings_of(cell: Cell, asked: AblationSettings) -> Settings:
    change = choose(asked.task, cell.variant)[cell.variant]
    given = {**asked.base(), **change, "seed": cell.seed}
    return TASKS[asked.task].settings.from_arguments(given)


def study_name(asked: AblationSettings) -> str:
    """The same for more variants or seeds of the same settings and data: the grid may grow."""
    base = TASKS[asked.task].settings.from_arguments(asked.base())
    aside = {"seed", "name", "device"}
    return f"ablation-{asked.task}-{short_hash(sorted(base.model_dump(exclude=aside).items()))}"


def ablate(asked: AblationSettings) -> dict[str, list[Run]]:
    """Trains what is missing of the grid, together with other workers; returns the runs by variant.

    Raises:
        RunError: cells that failed, with the reason of the first.
    """
    grid = plan_grid(asked)
    study = open_study(study_name(asked), asked.storage)
    enqueue(study, grid)

    def do(trial: "Trial") -> float:
        from optuna import TrialPruned

        cell = cell_of(trial)
        if not cell.variant:
            raise TrialPruned  # another worker took the last one
        settings = settings_of(cell, asked)
        run = train(asked.task, settings, load(asked.task, settings))
        trial.set_user_attr("run", run.folder.name)
        accuracy = float(answers_of(run).right.mean())
        print(f"{cell}: {accuracy:.3f} ({run.folder.name})", flush=True)
        return accuracy

    work(study, do)
    return finished_cells(study, grid)


def enqueue(study: "Study", grid: Grid) -> None:
    """One ticket for each cell that is neither finished nor in another worker's hands."""
    with held(study.study_name):
        there = {cell_of(t) for t in tickets(study, "WAITING", "RUNNING")}
        there |= runs_by_cell(study).keys()
        for cell in grid:
            if cell not in there:
                study.enqueue_trial({}, user_attrs=cell._asdict(), skip_if_exists=False)


def cell_of(ticket: "Trial | FrozenTrial") -> Cell:
    return Cell(ticket.user_attrs.get("variant", ""), ticket.user_attrs.get("seed", -1))


def runs_by_cell(study: "Study") -> dict[Cell, Run]:
    """The finished run of each cell; one whose folder is gone is not finished."""
    found = {cell_of(t): t.user_attrs.get("run", "") for t in tickets(study, "COMPLETE")}
    runs = {cell: Run(runs_folder() / name) for cell, name in found.items() if name}
    return {cell: run for cell, run in runs.items() if run.finished}


def finished_cells(study: "Study", grid: Grid) -> dict[str, list[Run]]:
    """The runs of a grid by variant, seeds in their order."""
    runs = runs_by_cell(study)
    lacking = [cell for cell in grid if cell not in runs]
    if lacking:
        raise RunError(
            f"{len(lacking)} of {len(grid)} cells are not finished:"
            f" {some([str(cell) for cell in lacking])}; {why_not(study, lacking)}"
        )
    by_variant: dict[str, list[Run]] = {}
    for cell in grid:
        by_variant.setdefault(cell.variant, []).append(runs[cell])
    refuse_other_data(by_variant)
    return by_variant


def why_not(study: "Study", lacking: list[Cell]) -> str:
    """Why cells have no finished run here, as far as the study knows."""
    last = {cell_of(ticket): ticket for ticket in tickets(study, "COMPLETE", "FAIL")}
    ends = [last[cell] for cell in lacking if cell in last]
    reasons = [ticket.user_attrs[FAILED] for ticket in ends if FAILED in ticket.user_attrs]
    if reasons:
        return reasons[0]
    if any(ticket.state.name == "COMPLETE" for ticket in ends):
        return (
            f"their runs were made and are not in {runs_folder()}: give all hosts one"
            " IMIGUE_LAB_HOME on a shared disk, and run it again"
        )
    return "run it again to go on"


def refuse_other_data(runs: dict[str, list[Run]]) -> None:
    """Cells of one seed must have learned from the same data, which may have changed meanwhile."""
    for name, own in runs.items():
        for run, full in zip(own, runs[FULL], strict=True):
            if run.settings()["data"] != full.settings()["data"]:
                raise RunError(
                    f"{name}: {run.folder} learned from other data than {full.folder.name};"
                    " delete the older one and run again"
                )


def ablation_table(runs: dict[str, list[Run]], split: str = "test") -> pd.DataFrame:
    """Each variant against the full model, see `compare`."""
    return compare(runs, FULL, split)
