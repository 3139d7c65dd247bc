"""Are scores on data without signal at chance level? 20 synthetic sets, every path on each.

    python -m benchmarks.null_runs [sets]        12 minutes on one core

Scores are of subjects that neither training nor early stopping used: the held-out fold of
`data.splits.nest`. Chance is 0.5 for balanced accuracy and AUC of emotion; for gestures it is the
accuracy that the same predictions have on average on shuffled labels.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import nest
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.results.open import finished_runs
from imigue_lab.studies.search import search
from imigue_lab.studies.trials import SearchSettings
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.emotion.data import load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import load_gesture_tokens
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.runs import Run
from imigue_lab.training.tasks import quiet

SETS, VIDEOS = 20, 60
GESTURE = {"frames": 8, "epochs": 4, "warmup": 1, "ramp": 1, "width": 24, "bank": 10}


def excess(run: Run) -> float:
    """Top-1 accuracy on test minus that of the same predictions on shuffled labels, on average."""
    table = run.predictions()
    table = table[(table.split == "test") & table.label.notna()]
    label, predicted = table.label.astype(int), table.predicted
    shares = [np.bincount(column, minlength=32) / len(table) for column in (label, predicted)]
    return float((label == predicted).mean() - shares[0] @ shares[1])


def emotion(root: Path, index: Index, seed: int, **given: object) -> dict[str, float]:
    """Balanced accuracy and AUC of a held-out fold, minus 0.5."""
    small = {"data": str(root), "seed": seed, "move_negatives": 0, "epochs": 10, "lr": 1e-3}
    settings = EmotionSettings.from_arguments(small | given)
    scores = train_emotion(settings, load_emotion_data(settings, index)).scores()
    model = scores[(scores.split == "test") & (scores.predictor == "model")].iloc[0]
    return {name: model[name] - 0.5 for name in ("balanced_accuracy", "auc")}


def baseline(root: Path, index: Index, seed: int) -> float:
    given = {"data": str(root), "seed": seed, "frames": 8, "epochs": 4}
    data = load_gesture_data(index)
    return excess(train_baseline(BaselineSettings.from_arguments(given), data))


def gesture(root: Path, index: Index, seed: int) -> float:
    """With pose encoders that are trained in the fold."""
    settings = GestureSettings.from_arguments({**GESTURE, "data": str(root), "seed": seed})
    return excess(train_gesture(settings, load_gesture_tokens(settings, index)))


def searched(root: Path, seed: int) -> float:
    """Mean value of two trials over two folds minus 0.5; the best of them would be optimistic."""
    given = {"data": str(root), "seed": seed, "trials": 2, "folds": 2, "given": "epochs:6 lr:1e-3"}
    study = search(SearchSettings.from_arguments(given | {"study": f"null-{seed}"}))
    return float(np.mean([trial.value for trial in study.trials]) - 0.5)


def searched_gestures(root: Path, seed: int) -> float:
    """The same of gestures, on average over the runs of two trials on two folds."""
    small = " ".join(f"{name}:{value}" for name, value in GESTURE.items() if name != "bank")
    given = {"task": "gesture", "data": str(root), "seed": seed, "trials": 2, "folds": 2}
    search(SearchSettings.from_arguments(given | {"given": small, "study": f"null-{seed}-clips"}))
    return float(np.mean([excess(run) for run in finished_runs("gesture")]))


def scores_of(seed: int) -> dict[str, float]:
    """Every path's score above chance on one set."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMIGUE_LAB_HOME"] = f"{folder}/workspace"
        root = Path(folder) / f"null-{seed}"
        spec = SyntheticSpec(videos=VIDEOS, seed=seed, signal="none", pictures=False)
        with quiet():
            make_data(root, spec)
            whole = open_data(str(root))
            interviews, clips = (nest(whole, by, 0, seed) for by in ("outcome", "label"))
            found = {f"emotion {k}": v for k, v in emotion(root, interviews, seed).items()}
            found["emotion search"] = searched(root, seed)
            found["gesture search"] = searched_gestures(root, seed)
            found["baseline top-1"] = baseline(root, clips, seed)
            found["gesture top-1"] = gesture(root, clips, seed)
        return found


def main(sets: str = str(SETS)) -> None:
    rows = []
    for seed in range(int(sets)):
        rows.append(scores_of(seed))
        print(seed, *(f"{name} {value:+.3f}" for name, value in rows[-1].items()), flush=True)
    table = pd.DataFrame(rows)
    away = table.mean() / table.sem()
    shown = pd.DataFrame({"above chance": table.mean(), "standard error": table.sem(), "z": away})
    print(f"{sets} sets of {VIDEOS} interviews without signal:", shown.round(4), sep="\n")
    assert (away.abs() < 3).all()


if __name__ == "__main__":
    main(*sys.argv[1:])
