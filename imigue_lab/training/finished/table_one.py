"""Table 1 over finished runs: the published number of each method, and ours beside it, labelled.

Source of the published numbers: Martirosyan et al., MiGA@IJCAI 2025, Table 1, test of iMiGUE.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from imigue_lab.errors import RunError
from imigue_lab.models.baselines.table import ROWS, TABLE
from imigue_lab.training.runs import Run, finished_runs

TASKS = ("baseline", "gesture", "fusion")
PUBLISHED = {
    "whose": "published",
    "data": "iMiGUE, test",
    "source": "Martirosyan et al. 2025, Table 1",
}
PAPER = "CMTF with memory"
PAPER_SCORE = 62.87
COLUMNS = [
    *("method", "reads", "whose", "top-1 %", "95 % interval", "n", "videos", "constant %"),
    *("data", "source"),
]


def table_one(runs: Sequence[Run] | None = None, split: str = "test") -> pd.DataFrame:
    """A row for each published number, and below it one for each run of that method.

    Columns: method, reads (its modality), whose (published or ours), top-1 in percent, its interval
    over draws of whole videos, n clips and videos, what the largest class alone would score, on
    which data, and the source: who published it, or our run. Published numbers come with neither n
    nor interval.

    Args:
        runs: finished ones of gestures; all in the workspace by default.
        split: `test` or `validation`, of our runs.

    Raises:
        RunError: a run is of another task.
    """
    runs = finished_runs(*TASKS) if runs is None else runs
    ours = [(method_of(run), row_of(run, split)) for run in runs]
    rows: list[dict[str, Any]] = []
    for baseline in TABLE:
        if baseline.published is not None:
            rows.append(printed(baseline.name, baseline.modality, baseline.published))
        rows += [row for method, row in ours if method == baseline.name]
    rows.append(printed(PAPER, "RGB and skeleton", PAPER_SCORE))
    rows += [row for method, row in ours if method not in ROWS]
    return pd.DataFrame(rows, columns=COLUMNS)


def printed(method: str, modality: str, score: float) -> dict[str, Any]:
    return {"method": method, "reads": modality, "top-1 %": score, **PUBLISHED}


def method_of(run: Run) -> str:
    """The row of Table 1 that a run belongs to, or its task."""
    kept = run.settings()
    if kept["task"] not in TASKS:
        raise RunError(f"{run.folder.name}: is of the {kept['task']} track; Table 1 is of gestures")
    return kept["settings"]["model"] if kept["task"] == "baseline" else kept["task"]


def row_of(run: Run, split: str) -> dict[str, Any]:
    """What a run scored; dashes where it has no labelled clip of that part."""
    row = {
        "method": describe(run),
        "reads": modality_of(run),
        "whose": "ours",
        "data": f"{data_of(run)}, {split}",
        "source": run.folder.name,
    }
    scores = run.scores()
    own = scores[scores.split == split] if len(scores) else scores
    if own.empty:
        return row
    is_model = own.answer == "model"
    model, constant = own[is_model].iloc[0], own[~is_model].iloc[0]
    low, high = model.top1_interval
    return row | {
        "top-1 %": 100 * model.top1,
        "95 % interval": f"{100 * low:.1f} to {100 * high:.1f}",
        "n": int(model.n),
        "videos": int(model.videos),
        "constant %": 100 * constant.top1,
    }


def describe(run: Run) -> str:
    """A run's method in words."""
    kept = run.settings()
    asked = kept["settings"]
    if kept["task"] == "baseline":
        size = "" if asked["size"] == "paper" else f", {asked['size']} size"
        return f"{asked['model']}, {asked['stream']}{size}"
    if kept["task"] == "fusion":
        return f"fusion ({asked['weights']}) of {asked['runs'].replace(',', ', ')}"
    memory = "with" if asked["memory"] else "without"
    return f"{asked['fusion'].replace('_', ' ')} {memory} memory, width {asked['width']}"


def modality_of(run: Run) -> str:
    kept = run.settings()
    if kept["task"] == "baseline":
        model = ROWS.get(kept["settings"]["model"])
        return model.modality if model else "not known here"  # a run may outlive its network
    return "RGB and skeleton" if kept["task"] == "gesture" else "scores"


def data_of(run: Run) -> str:
    """The data a run is of; made-up ones are said to be so."""
    if run.made_up:
        return "made up"
    fold = run.settings()["settings"].get("fold", -1)
    where = Path(run.provenance()["where"]["data"]).name
    return where if fold < 0 else f"{where}, fold {fold}"


def show_table(table: pd.DataFrame) -> pd.DataFrame:
    """As people read it: two digits as published, a dash for what there is not."""
    shown = table.astype(object)
    for column in ("top-1 %", "constant %", "n", "videos"):
        form = "{:.2f}" if "%" in column else "{:.0f}"
        shown[column] = [form.format(v) if pd.notna(v) else None for v in table[column]]
    return shown.where(shown.notna(), "–")
