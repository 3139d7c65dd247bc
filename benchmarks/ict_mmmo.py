"""Real input: review videos with face and voice features through notebook 02.

    python -m benchmarks.ict_mmmo convert FEATURES.npz ROOT  videos.csv and two folders
    python -m benchmarks.ict_mmmo tune FEATURES.npz ROOT     a small grid; ROOT holds no test split
    python -m benchmarks.ict_mmmo test ROOT                  five seeds of each fusion by papermill

340 videos, one label each, 20 steps of 36 face and of 74 voice features, an official split of 220,
40 and 80 (Wöllmer et al. 2013; copy of pliang279/MFN). Voice takes the part of `context`. Channels
are standardised by the training videos; a row of zeros is a missing step and stays one.

`SETTINGS` was chosen by `tune` (mean validation AUC of three seeds), before the test was read.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "02_train_emotion.ipynb"
FUSIONS = {"both streams": "interfusion", "face alone": "face_only", "voice alone": "context_only"}
SETTINGS = {"width": 32, "depth": 1, "dropout": 0.5, "lr": 5e-4, "epochs": 60}


def convert(features: Path, root: Path, with_test: bool = True) -> None:
    """Writes `videos.csv` and one `<id>.npy` a video and stream."""
    arrays = np.load(features, allow_pickle=False)
    split = np.where(arrays["split"] == "valid", "validation", arrays["split"])
    keep = np.flatnonzero((split != "test") | with_test)
    ids = np.array([f"review{number:03d}" for number in range(len(split))])
    for stream, name in (("voice", "audio"), ("face", "video")):
        values = arrays[name].astype(np.float32)
        there = (values != 0).any(axis=2)
        known = values[split == "train"][there[split == "train"]]
        spread = known.std(axis=0)
        scaled = (values - known.mean(axis=0)) / np.where(spread > 0, spread, 1)
        scaled[~there] = 0
        (root / stream).mkdir(parents=True, exist_ok=True)
        for number in keep:
            np.save(root / stream / f"{ids[number]}.npy", scaled[number])
    outcome = np.where(arrays["y"].ravel() == 1, "win", "lose")
    table = pd.DataFrame({"video_id": ids, "split": split, "outcome": outcome}).iloc[keep]
    table.to_csv(root / "videos.csv", index=False)


def tune(features: Path, root: Path) -> None:
    """Prints a grid by mean validation AUC; the test split is not even written."""
    from imigue_lab.training.emotion.settings import EmotionSettings
    from imigue_lab.training.emotion.train import train_emotion

    convert(features, root, with_test=False)
    grid = {"width": [32, 64], "depth": [1, 2], "dropout": [0.1, 0.3, 0.5], "lr": [1e-4, 5e-4]}
    rows = []
    for values in itertools.product(*grid.values()):
        cell = dict(zip(grid, values, strict=True))
        for fusion, seed in itertools.product(FUSIONS.values(), range(3)):
            given = own(root) | cell | {"fusion": fusion, "seed": seed, "epochs": 60}
            scores = train_emotion(EmotionSettings.from_arguments(given)).scores()
            model = scores[(scores.split == "validation") & (scores.answer == "model")].iloc[0]
            rows.append(cell | {"fusion": fusion, "auc": model.auc, "accuracy": model.accuracy})
    table = pd.DataFrame(rows).groupby([*grid, "fusion"])[["auc", "accuracy"]].mean().unstack()
    print(table.sort_values(("auc", "interfusion")).round(3).to_string())


def test(root: Path) -> None:
    """Mean and spread of test accuracy over five seeds, through papermill."""
    from imigue_lab.training.runs import find_run

    rows = []
    for (label, fusion), seed in itertools.product(FUSIONS.items(), range(5)):
        name = f"ict-mmmo-{fusion}-{seed}"
        given = own(root) | SETTINGS | {"fusion": fusion, "seed": seed, "name": name}
        words = [word for pair in given.items() for word in ("-p", *map(str, pair))]
        with tempfile.TemporaryDirectory() as folder:
            out = str(Path(folder) / "out.ipynb")
            command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(NOTEBOOK), out]
            subprocess.run([*command, *words], check=True, capture_output=True)
        scores = find_run(name).scores()
        model = scores[(scores.split == "test") & (scores.answer == "model")].iloc[0]
        rows.append({"streams": label, "seed": seed, "accuracy": model.accuracy, "auc": model.auc})
    table = pd.DataFrame(rows).groupby("streams")[["accuracy", "auc"]].agg(["mean", "std"])
    print((100 * table).round(1).to_string())
    print("published beside the data, same split: BiGRU both 72.0 +- 3.9, majority 65.0")


def own(root: Path) -> dict[str, object]:
    return {"data": str(root), "context": str(root / "voice"), "face": str(root / "face")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["convert", "tune", "test"])
    parser.add_argument("paths", nargs="+", type=lambda text: Path(text).resolve())
    options = parser.parse_args()
    {"convert": convert, "tune": tune, "test": test}[options.step](*options.paths)


if __name__ == "__main__":
    main()
