"""Do both modalities together recognise what neither does alone? Synthetic clips, seeds 0 to 7.

Each seed: new clips, one pose encoder for all rows, then each fusion, each modality alone (the
tokens of the other are removed) and CMTF without memory. `pairs`: within the pairs of classes that
differ only in where or when the mark coincides with the tremor, the share of clips in which the
correct class is the more probable; chance is 0.5, and no modality alone can be better.

python -m benchmarks.gesture_table [seeds] [videos] [epochs]        8 to 10 minutes a seed
"""

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ttest_rel

from imigue_lab.data.synthetic.story import MOMENT_PAIR, PLACE_PAIR, SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.results.compare import compare, show_comparison
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import GestureTokens, load_gesture_tokens
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.runs import Run

ROWS: dict[str, dict[str, object]] = {
    "cmtf": {},
    "cmtf, no memory": {"memory": False},
    "late": {"fusion": "late"},
    "rgb only": {"fusion": "late"},
    "pose only": {"fusion": "late"},
}
VIDEOS = 2000  # 4,700 clips of train, a third of iMiGUE's; with 1,200 a model overfits
POSE_EPOCHS = 6
BASELINES = ("late", "rgb only", "pose only", "cmtf, no memory")


def trained(seed: int, rows: Iterable[str], videos: int, **given: object) -> dict[str, Run]:
    """The run of each row on one synthetic set; finished runs are read."""
    with prepared(seed, videos, **given) as (common, data):
        return {
            row: train_gesture(
                GestureSettings.from_arguments({**common, **ROWS[row]}), visible_to(row, data)
            )
            for row in rows
        }


@contextmanager
def prepared(
    seed: int, videos: int, **given: object
) -> Iterator[tuple[dict[str, object], GestureTokens]]:
    """The arguments common to all models of one synthetic set, and its data, while these exist."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / f"gestures-{seed}"
        make_data(root, SyntheticSpec(videos=videos, seed=seed, pictures=False))
        common = {"data": str(root), "seed": seed, **given}
        common |= pose_runs(common)
        yield common, load_gesture_tokens(GestureSettings.from_arguments(common))


def pose_runs(common: dict[str, object]) -> dict[str, object]:
    """The pose encoder of all rows, as the names of its two runs."""
    runs = {}
    for stream in ("joint", "bone"):
        frames = GestureSettings.from_arguments(common).frames
        given = {"data": common["data"], "seed": common["seed"], "frames": frames}
        settings = {
            **given,
            "stream": stream,
            "epochs": POSE_EPOCHS,
            "name": f"{stream}-{time.time_ns()}",
        }
        run = train_baseline(BaselineSettings.from_arguments(settings))
        runs[f"{stream}_run"] = run.folder.name
    return runs


def visible_to(row: str, data: GestureTokens) -> GestureTokens:
    """The same clips, without the tokens of one modality for a row of the other modality alone."""
    if row == "pose only":
        blank = {clip_id: rgb[:0] for clip_id, rgb in data.rgb.items()}
        return replace(data, rgb=blank)
    if row == "rgb only":
        unseen = {i: p._replace(seen=p.seen & False) for i, p in data.poses.items()}
        return replace(data, poses=unseen)
    return data


def score(run: Run) -> dict[str, float]:
    """Accuracy over all classes, and within each pair, on test."""
    predictions, within = run.predictions(), {}
    predictions = predictions[predictions.split == "test"]
    for name, pair in (("place", PLACE_PAIR), ("moment", MOMENT_PAIR)):
        own = predictions[predictions.label.isin(pair)]
        probability = own[[f"p{c}" for c in pair]].to_numpy()
        within[name] = probability.argmax(axis=1) == (own.label == pair[1]).to_numpy()
    return {
        "accuracy": float((predictions.predicted == predictions.label).mean()),
        "pairs": float(np.concatenate(list(within.values())).mean()),
        **{name: float(correct.mean()) for name, correct in within.items()},
    }


def paired(ours: pd.Series, theirs: pd.Series) -> str:
    """The mean difference over seeds with its 95 % interval."""
    test = ttest_rel(ours, theirs)
    low, high = test.confidence_interval()
    gain = f"{(ours - theirs).mean():+.3f} [{low:+.3f}, {high:+.3f}]"
    return f"{gain}, paired t {test.statistic:.2f}, p {test.pvalue:.2g}"


def main(seeds: int = 8, videos: int = VIDEOS, epochs: int = 7) -> None:
    runs: dict[str, list[Run]] = {row: [] for row in ROWS}
    found: dict[int, dict[str, dict[str, float]]] = {}
    for seed in range(seeds):
        start = time.perf_counter()
        own = trained(seed, ROWS, videos, epochs=epochs, patience=epochs, warmup=4, ramp=5)
        found[seed] = {row: score(run) for row, run in own.items()}
        for row, run in own.items():
            runs[row].append(run)
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    for metric in ("accuracy", "pairs", "place", "moment"):
        table = pd.DataFrame({s: {row: v[metric] for row, v in found[s].items()} for s in found}).T
        print(f"\n{metric} on test\n{table.round(3).to_string()}")
        print(f"mean {table.mean().round(3).to_dict()}")
        for baseline in BASELINES if seeds > 1 else ():
            print(f"cmtf - {baseline}: {paired(table.cmtf, table[baseline])}")
    print("\npaired over the videos of all seeds, against cmtf")
    print(show_comparison(compare(runs, "cmtf")).to_string(index=False))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
