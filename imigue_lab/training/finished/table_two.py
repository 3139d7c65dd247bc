"""Table 2: what fusion and memory are worth, as published and as an ablation here found.

Source of the published numbers: Martirosyan et al., MiGA@IJCAI 2025, Table 2, test of iMiGUE.
"""

from typing import Any

import pandas as pd

from imigue_lab.training.finished.compare import compare, percent
from imigue_lab.training.finished.table_one import data_of
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import wilson_interval

PUBLISHED = "published: Martirosyan et al. 2025, Table 2, test of iMiGUE"
CLIPS = 4562  # of that test
ROWS = {
    "late": ("late fusion", 58.81),
    "no-memory": ("CMTF without memory", 62.23),
    "full": ("CMTF with memory", 62.87),
}


def table_two(runs: dict[str, list[Run]] | None = None, split: str = "test") -> pd.DataFrame:
    """The published number of each row, and ours below it where an ablation has it.

    Columns: method, top-1 %, 95 % interval, right, n, whose. Published numbers come without an
    interval: theirs is Wilson's, as if clips were independent, so the true one is wider; `right` is
    worked back from the share. Ours is a bootstrap over videos.

    Args:
        runs: of an ablation of gestures, by variant.
    """
    ours = compare(runs, split=split).set_index("variant") if runs else pd.DataFrame()
    rows: list[dict[str, Any]] = []
    for variant, (method, published) in ROWS.items():
        right = round(published / 100 * CLIPS)
        low, high = wilson_interval(right, CLIPS)
        rows.append(
            {
                "method": method,
                "top-1 %": f"{published:.2f}",
                "95 % interval": f"{100 * low:.1f} to {100 * high:.1f}, if clips were independent",
                "right": right,
                "n": CLIPS,
                "whose": PUBLISHED,
            }
        )
        if runs and variant in ours.index:
            rows.append(row_of(method, ours.loc[variant], runs[variant], split))
    return pd.DataFrame(rows)


def row_of(method: str, found: pd.Series, runs: list[Run], split: str) -> dict[str, Any]:
    seeds = f"{len(runs)} seeds" if len(runs) > 1 else runs[0].folder.name
    return {
        "method": method,
        "top-1 %": percent(found.accuracy, float("nan"), float("nan"), found.sd),
        "95 % interval": f"{100 * found.low:.1f} to {100 * found.high:.1f}",
        "right": round(found.accuracy * found.n),
        "n": int(found.n),
        "whose": f"ours: {seeds}, {split} of {data_of(runs[0])}",
    }
