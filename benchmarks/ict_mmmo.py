"""Real data: review videos with face and voice features, the emotion model of notebook 02.

    python -m benchmarks.ict_mmmo convert FEATURES.npz ROOT  videos.csv and two folders
    python -m benchmarks.ict_mmmo tune FEATURES.npz ROOT     a small grid; no test split in ROOT
    python -m benchmarks.ict_mmmo test ROOT                  five seeds a fusion, compared

340 videos, one label each, 20 steps of 36 face and of 74 voice features, an official split of 220,
40 and 80 (Wöllmer et al. 2013; copy of pliang279/MFN). Voice is used as `context`. Channels are
standardised by the training videos; a row of zeros is a missing step and remains zero.

`SETTINGS` was chosen by `tune` (mean validation AUC of three seeds), before the scores of the test
split were read.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd

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
        present = (values != 0).any(axis=2)
        known = values[split == "train"][present[split == "train"]]
        spread = known.std(axis=0)
        scaled = (values - known.mean(axis=0)) / np.where(spread > 0, spread, 1)
        scaled[~present] = 0
        (root / stream).mkdir(parents=True, exist_ok=True)
        for number in keep:
            np.save(root / stream / f"{ids[number]}.npy", scaled[number])
    outcome = np.where(arrays["y"].ravel() == 1, "win", "lose")
    table = pd.DataFrame({"video_id": ids, "split": split, "outcome": outcome}).iloc[keep]
    table.to_csv(root / "videos.csv", index=False)


def tune(features: Path, root: Path) -> None:
    """Prints a grid by mean validation AUC; the test split is not written."""
    from imigue_lab.training.emotion.settings import EmotionSettings
    from imigue_lab.training.emotion.train import train_emotion

    convert(features, root, with_test=False)
    grid = {"width": [32, 64], "depth": [1, 2], "dropout": [0.1, 0.3, 0.5], "lr": [1e-4, 5e-4]}
    rows = []
    for values in itertools.product(*grid.values()):
        cell = dict(zip(grid, values, strict=True))
        for fusion, seed in itertools.product(FUSIONS.values(), range(3)):
            given = sources(root) | cell | {"fusion": fusion, "seed": seed, "epochs": 60}
            scores = train_emotion(EmotionSettings.from_arguments(given)).scores()
            model = scores[(scores.split == "validation") & (scores.predictor == "model")].iloc[0]
            rows.append(cell | {"fusion": fusion, "auc": model.auc, "accuracy": model.accuracy})
    table = pd.DataFrame(rows).groupby([*grid, "fusion"])[["auc", "accuracy"]].mean().unstack()
    print(table.sort_values(("auc", "interfusion")).round(3).to_string())


def test(root: Path) -> None:
    """Test accuracy over five seeds, and differences over seeds and videos together."""
    from imigue_lab.results.compare import compare, show_comparison
    from imigue_lab.training.emotion.settings import EmotionSettings
    from imigue_lab.training.emotion.train import train_emotion

    rows = []
    runs: dict[str, list] = {label: [] for label in FUSIONS}
    for (label, fusion), seed in itertools.product(FUSIONS.items(), range(5)):
        name = f"ict-mmmo-{fusion}-{seed}"
        given = sources(root) | SETTINGS | {"fusion": fusion, "seed": seed, "name": name}
        run = train_emotion(EmotionSettings.from_arguments(given))
        runs[label].append(run)
        scores = run.scores()
        model = scores[(scores.split == "test") & (scores.predictor == "model")].iloc[0]
        rows.append({"streams": label, "seed": seed, "accuracy": model.accuracy, "auc": model.auc})
    table = pd.DataFrame(rows).groupby("streams")[["accuracy", "auc"]].agg(["mean", "std"])
    print((100 * table).round(1).to_string())
    print(show_comparison(compare(runs, "both streams", split="test")).to_string(index=False))
    print("published with the data, same split: BiGRU both 72.0 +- 3.9, majority 65.0")


def sources(root: Path) -> dict[str, object]:
    return {"data": str(root), "context": str(root / "voice"), "face": str(root / "face")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["convert", "tune", "test"])
    parser.add_argument("paths", nargs="+", type=lambda text: Path(text).resolve())
    options = parser.parse_args()
    {"convert": convert, "tune": tune, "test": test}[options.step](*options.paths)


if __name__ == "__main__":
    main()
