"""What does the memory change? Synthetic clips, one pose encoder per seed for all rows.

Rows: no memory; the memory read or not, with the prototype loss (alpha 1) or without (alpha 0), the
output layer of its attention starting at 0 or with Xavier weights; and the bank's logits of all
classes (`reads=all`). The kept epoch of every row is chosen among the same epochs, those after the
memory's warm-up. The default fusion is concat, because it is fast. `switch` is validation top-1 at
the first epoch that reads, minus the one before.

python -m benchmarks.memory_effect [seeds] [videos] [fusion]        about 25 minutes on one thread
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pandas as pd
from scipy.stats import ttest_rel
from torch import nn

from benchmarks.gesture_table import pose_runs
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.models.gesture import GestureModel, build_gesture
from imigue_lab.results.score_tables import changed_decisions
from imigue_lab.training.gestures import train
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import load_gesture_tokens
from imigue_lab.training.runs import Run

EPOCHS, WARMUP, RAMP = 14, 4, 3


class Row(NamedTuple):
    settings: dict[str, Any]
    reads: bool = True
    xavier: bool = False


NONE, UNREAD = "no memory", "alpha 1, unread"
ROWS = {
    NONE: Row({"memory": False}),
    UNREAD: Row({"alpha": 1.0}, reads=False),
    "alpha 0, predicted": Row({"alpha": 0.0}),
    "alpha 0, predicted, Xavier": Row({"alpha": 0.0}, xavier=True),
    "alpha 0, all": Row({"alpha": 0.0, "reads": "all"}),
    "alpha 1, predicted": Row({"alpha": 1.0}),
    "alpha 1, predicted, Xavier": Row({"alpha": 1.0}, xavier=True),
    "alpha 1, all": Row({"alpha": 1.0, "reads": "all"}),
}
PAIRS = [  # the second is subtracted
    *((row, NONE) for row in ROWS if row != NONE),
    *((row, UNREAD) for row in ROWS if row.startswith("alpha 1") and row != UNREAD),
    ("alpha 0, predicted", "alpha 0, predicted, Xavier"),
    ("alpha 1, predicted", "alpha 1, predicted, Xavier"),
    ("alpha 1, all", "alpha 1, predicted"),
]


@contextmanager
def as_in(row: Row) -> Iterator[None]:
    """Trains as the row says; every row chooses among the epochs after warm-up."""

    def build(**arguments: Any) -> GestureModel:
        model = build_gesture(**arguments)
        if model.memory is not None and row.xavier:
            nn.init.xavier_uniform_(model.memory.out.weight)
        if model.memory is not None and not row.reads:
            model.memory.warmup = 10_000
        return model

    settled = property(lambda settings: settings.warmup)
    patched = patch.object(GestureSettings, "settled", settled)
    with patch.object(train, "build_gesture", build), patched:
        yield


def scores(run: Run) -> dict[str, float]:
    predictions, top1 = run.predictions(), run.metrics().validation_top1
    test = predictions[predictions.split == "test"]
    changes = changed_decisions(predictions).set_index("split").loc["test"]
    return {
        "accuracy": float((test.predicted == test.label).mean()),
        "unrefined": float((test.unrefined == test.label).mean()),
        "switch": top1[WARMUP] - top1[WARMUP - 1],
        **changes.drop("n").astype(float),
    }


def of_seed(seed: int, videos: int, fusion: str) -> dict[str, dict[str, float]]:
    """Scores of every row on one synthetic set."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMIGUE_LAB_HOME"] = folder
        root = Path(folder) / f"gestures-{seed}"
        make_data(root, SyntheticSpec(videos=videos, seed=seed, pictures=False))
        given = {"data": str(root), "seed": seed, "epochs": EPOCHS, "patience": EPOCHS}
        given |= {"fusion": fusion, "warmup": WARMUP, "ramp": RAMP}
        given |= pose_runs(given)
        data, found = load_gesture_tokens(GestureSettings.from_arguments(given)), {}
        for number, (name, row) in enumerate(ROWS.items()):
            settings = GestureSettings.from_arguments(
                {**given, **row.settings, "name": str(number)}
            )
            with as_in(row):
                found[name] = scores(train.train_gesture(settings, data))
        clips = data.summary().clips
        print(f"seed {seed}: {clips.train} clips of train, {clips.test} of test", end=", ")
        return found


def main(seeds: int = 7, videos: int = 500, fusion: str = "concat") -> None:
    found = {}
    for seed in range(seeds):
        start = time.perf_counter()
        found[seed] = of_seed(seed, videos, fusion)
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
        print(pd.DataFrame(found[seed]).T.round(4).to_string(), flush=True)
    means = pd.DataFrame(
        {row: pd.DataFrame({s: found[s][row] for s in found}).mean(axis=1) for row in ROWS}
    )
    print(f"\nmeans over {seeds} seeds\n{means.T.round(4).to_string()}")
    for row, other in PAIRS if seeds > 1 else ():
        ours, theirs = ([found[seed][name]["accuracy"] for seed in found] for name in (row, other))
        test = ttest_rel(ours, theirs)
        low, high = test.confidence_interval()
        gain = sum(ours) / seeds - sum(theirs) / seeds
        print(f"{row} - {other}: {gain:+.4f} [{low:+.4f}, {high:+.4f}], p {test.pvalue:.2g}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])
