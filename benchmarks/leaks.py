"""What a leaked pose encoder does to a search: the same trials, scored with and without the leak.

    python -m benchmarks.leaks [trials [signal]]        5 minutes on one idle core

Ten trials of gestures over two folds of subjects. `per fold` trains the pose encoder on the
training clips of the fold; `leaked` gives every fold one that was trained on all clips but the
test split's, with the check of `training.leaks` switched off. `none` is noise without a signal,
where a score above chance is a leak and nothing else.
"""

import logging
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from benchmarks.null_runs import excess
from imigue_lab.data.index import Index
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import nest
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.studies.search import SPACES, first_values, fold_settings
from imigue_lab.studies.trials import SearchSettings
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.gestures import pose_encoder
from imigue_lab.training.tasks import load_folds, quiet, train_quietly

FOLDS = 2
SMALL = "frames:8 epochs:6 warmup:2 ramp:1 width:24 heads:4 bank:10"
ENCODER_EPOCHS = 40  # enough to memorise the clips, as an encoder of iMiGUE does in 60


def encoders_of(index: Index, data: str, name: str) -> dict[str, str]:
    """Runs of both streams, trained on the train split of an index."""
    clips = load_gesture_data(index)
    given: dict[str, Any] = {"data": data, "frames": 8, "epochs": ENCODER_EPOCHS}
    given |= {"patience": ENCODER_EPOCHS}
    for stream in ("joint", "bone"):
        own = given | {"stream": stream, "name": f"{name}-{stream}"}
        with quiet():
            train_baseline(BaselineSettings.from_arguments(own), clips)
    return {f"{stream}_run": f"{name}-{stream}" for stream in ("joint", "bone")}


def all_but_test(whole: Index) -> Index:
    """The clips of train and validation as train; validation is a copy of a part of them."""
    videos = whole.videos[whole.videos.split != "test"]
    few = set(videos.video_id[videos.split == "validation"])
    clips = whole.clips[whole.clips.video_id.isin(videos.video_id)]
    own = clips.assign(split="train")
    copies = own[own.video_id.isin(few)].assign(split="validation")
    copies = copies.assign(clip_id=copies.clip_id + ".copy")
    return Index(whole.root, whole.layout, videos, pd.concat([own, copies], ignore_index=True))


def scores(settings: SearchSettings, folds: list[Any], encoders: list[dict[str, str]]) -> list:
    """Out-of-fold top-1 minus chance of every trial, the mean over folds."""
    rows = []
    for number in range(settings.trials):
        values = first_values(number, settings)
        found = []
        for data, runs in zip(folds, encoders, strict=True):
            own = fold_settings(settings, values).model_copy(update=runs)
            found.append(excess(train_quietly("gesture", own, data)))
        rows.append(sum(found) / len(found))
    return rows


def main(trials: str = "10", signal: str = "joint") -> None:
    logging.getLogger("optuna").setLevel(logging.ERROR)
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMIGUE_LAB_HOME"] = f"{folder}/workspace"
        root = Path(folder) / "tree"
        make_data(root, SyntheticSpec(videos=60, signal=signal, pictures=False))
        given = {"task": "gesture", "data": str(root), "trials": int(trials), "given": SMALL}
        settings = SearchSettings.from_arguments(given)
        whole = open_data(str(root))
        nested = [nest(whole, "label", fold, 0) for fold in range(FOLDS)]
        leaked = encoders_of(all_but_test(whole), str(root), "leaked")
        own = [encoders_of(index, str(root), f"fold-{n}") for n, index in enumerate(nested)]
        for name, encoders in (("per fold", own), ("leaked", [leaked] * FOLDS)):
            check = patch.object(pose_encoder, "refuse_leak", lambda *_: None)
            with check if name == "leaked" else nullcontext():
                folds = [
                    load_folds("gesture", fold_settings(settings, {}).model_copy(update=e), [i])[0]
                    for e, i in zip(encoders, nested, strict=True)
                ]
                with patch("imigue_lab.training.gestures.train.refuse_leaked"):
                    rows[name] = scores(settings, folds, encoders)
        trials_of = [first_values(number, settings) for number in range(settings.trials)]
    table = pd.DataFrame(trials_of)[list(SPACES["gesture"])].assign(**rows)
    print(table.to_string(float_format="{:.3g}".format))
    leaky, own = table.leaked, table["per fold"]
    gain = leaky - own
    print(
        f"signal {signal}, {trials} trials, {FOLDS} folds: top-1 minus chance {leaky.mean():.3f}"
        f" leaked, {own.mean():.3f} per fold; {gain.mean():+.3f} +- {gain.sem():.3f}; rank"
        f" correlation {leaky.corr(own, method='spearman'):.2f}; best {leaky.max():.3f} (trial"
        f" {leaky.idxmax()}) leaked, {own.max():.3f} (trial {own.idxmax()}) per fold"
    )
    assert gain.mean() > 2 * gain.sem()


if __name__ == "__main__":
    main(*sys.argv[1:])
