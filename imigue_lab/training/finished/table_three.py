"""Table 3: the leaderboard of the emotion track, with the intervals that it was printed without.

The challenge names neither the number of test interviews nor their outcomes. The paper says 100, 50
of each; every printed score is a whole number of 104, and of 100 none is. So each score stands
here under both.

Source of the published numbers: Martirosyan et al., MiGA@IJCAI 2025, Table 3.
"""

from typing import Any

import pandas as pd

from imigue_lab.training.finished.compare import compare, percent
from imigue_lab.training.finished.table_one import data_of
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import wilson_interval

PUBLISHED = "published: Martirosyan et al. 2025, Table 3"
BOARD = (
    ("backpacker", 0.69230),
    ("ISPCAST (the paper)", 0.63461),
    ("haozhe bu", 0.63461),
    ("gkdx2", 0.62500),
    ("KeXu2233", 0.60576),
    ("baseline", 0.39423),
)
CONSTANT = {104: 63, 100: 50}  # right answers of the better constant, see docs/paper_gaps.md
PRINTED = 1e-5  # scores are cut after the fifth digit


def table_three(runs: list[Run] | None = None, split: str = "test") -> pd.DataFrame:
    """The published scores under 104 and under 100 interviews, the constant answer, and ours.

    Columns: who, score, interviews, right (of them; "~" where the score is no whole number of
    these), 95 % interval, over constant (interviews more than the better constant answer), whose.
    Published intervals are Wilson's, as if interviews were independent; ours draw subjects.

    Args:
        runs: of one emotion model, one or more seeds.
    """
    rows: list[dict[str, Any]] = []
    for n, constant in CONSTANT.items():
        for who, score in BOARD:
            right = round(score * n)
            fits = 0 <= right / n - score < PRINTED
            rows.append(row_of(who, score, n, right, constant, "" if fits else "~", PUBLISHED))
        whose = "worked back from the scores" if n == 104 else "the paper's 50 of each"
        rows.append(
            row_of("better constant answer", constant / n, n, constant, constant, "", whose)
        )
    if runs:
        rows.append(our_row(runs, split))
    return pd.DataFrame(rows)


def row_of(
    who: str, score: float, n: int, right: int, constant: int, sign: str, whose: str
) -> dict[str, Any]:
    low, high = wilson_interval(right, n)
    return {
        "who": who,
        "score": f"{score:.5f}",
        "interviews": n,
        "right": f"{sign}{right}",
        "95 % interval": f"{low:.3f} to {high:.3f}",
        "over constant": f"{right - constant:+d}",
        "whose": whose,
    }


def our_row(runs: list[Run], split: str) -> dict[str, Any]:
    found = compare({"ours": runs}, split=split).iloc[0]
    scores = runs[0].scores()
    constant = scores[(scores.split == split) & (scores.answer != "model")].right.max()
    return {
        "who": f"{len(runs)} seeds" if len(runs) > 1 else runs[0].folder.name,
        "score": percent(found.accuracy, float("nan"), float("nan"), found.sd) + " %",
        "interviews": int(found.n),
        "right": f"{found.accuracy * found.n:.1f}",
        "95 % interval": f"{found.low:.3f} to {found.high:.3f}",
        "over constant": f"{found.accuracy * found.n - constant:+.1f}",
        "whose": f"ours: {split} of {data_of(runs[0])}",
    }
