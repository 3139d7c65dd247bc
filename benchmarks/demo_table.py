"""The settings of `make demo` on five synthetic sets, beside logistic regression and one stream.

python -m benchmarks.demo_table        about 15 minutes on two cores the first time

Sets and features stay in `demo_table/` of the workspace: a second call trains only what is new.
Settings are chosen by `--split validation --given "lr:3e-4 width:16"`, never on test.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.workspace import workspace
from imigue_lab.features.catalogue import build_streams
from imigue_lab.features.extraction import plan_extraction, run_extraction
from imigue_lab.models.emotion import Standardise
from imigue_lab.results.compare import compare, in_words, show_comparison
from imigue_lab.studies.trials import read_given
from imigue_lab.training.emotion.data import EmotionData, load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.statistics import interval_of_mean

FUSIONS = {"both": "interfusion", "context only": "context_only", "face only": "face_only"}
STRENGTHS = np.logspace(-5, 1, 13)  # inverse penalties of logistic regression


def prepare(seed: int, encoders: str) -> str:
    """The root of a set with its features, written where absent."""
    root = workspace() / "demo_table" / str(seed)
    if not (root / "synthetic.json").exists():
        make_data(root, SyntheticSpec(seed=seed))
    streams = build_streams(encoders, torch.device("cpu"))
    report = run_extraction(plan_extraction(read_index(root), streams))
    assert not report.failed, report
    return str(root)


def pooled(data: EmotionData) -> dict[str, np.ndarray]:
    """The mean over windows of both standardised streams, by id; 0 for a stream without any."""
    train, means = data.split.part("train").video_id, []
    for stream in (data.features.context, data.features.face):
        rows = {video: x[(x != 0).any(dim=1)].float() for video, x in stream.items()}
        windows = torch.cat([rows[video] for video in train])
        standardise = Standardise(windows.shape[1])
        standardise.set(windows)
        means.append({v: standardise(x).sum(dim=0) / max(len(x), 1) for v, x in rows.items()})
    context, face = means
    return {video: torch.cat([context[video], face[video]]).numpy() for video in context}


def logistic(data: EmotionData, split: str) -> pd.DataFrame:
    """Whether logistic regression on `pooled` is correct, and the subject, by interview.

    The penalty is chosen by five subject folds of train.
    """
    train, scored, inputs = data.split.part("train"), data.split.part(split), pooled(data)
    folds = list(GroupKFold(5).split(train, groups=train.subject))
    model = GridSearchCV(
        LogisticRegression(class_weight="balanced", max_iter=2000),
        {"C": STRENGTHS},
        scoring="neg_log_loss",
        cv=folds,
    ).fit([inputs[v] for v in train.video_id], train.outcome.astype(int))
    predicted = model.predict([inputs[v] for v in scored.video_id])
    return scored[["subject"]].assign(correct=predicted == scored.outcome.astype(int))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="sets, from seed 0 on")
    parser.add_argument("--split", default="test", choices=["validation", "test"])
    parser.add_argument("--given", default="", help="other settings than those of the demo")
    options = parser.parse_args()
    runs: dict[str, list] = {name: [] for name in FUSIONS}
    linear = []
    for seed in range(options.seeds):
        given = {"preset": "demo", "seed": seed} | read_given(options.given)
        wanted = EmotionSettings.from_arguments(given)
        given["data"] = prepare(seed, f"{wanted.context},{wanted.face}")
        for name, fusion in FUSIONS.items():
            settings = EmotionSettings.from_arguments(given | {"fusion": fusion})
            data = load_emotion_data(settings)
            runs[name].append(train_emotion(settings, data))
        linear.append(logistic(data, options.split).assign(seed=seed))
    every = pd.concat(linear)
    each = {
        n: [compare({n: [r]}, split=options.split).iloc[0] for r in own] for n, own in runs.items()
    }
    rows = pd.DataFrame({n: [row.score for row in own] for n, own in each.items()})
    rows["logistic regression"] = every.groupby("seed").correct.mean()
    rows["majority"] = [row.majority for row in each["both"]]
    print(rows.rename_axis("seed").round(3).to_string())
    table = compare(runs, split=options.split)
    print(show_comparison(table).to_string(index=False), *in_words(table), sep="\n")
    clusters = every.seed.astype(str) + every.subject
    low, high = interval_of_mean(every.correct.to_numpy(float), clusters, run=every.seed)
    print(f"logistic regression: accuracy {every.correct.mean():.3f} ({low:.3f} to {high:.3f})")
    if options.split == "test":
        assert table.low[0] > table.majority[0]
        assert (rows.both > rows.majority).all()


if __name__ == "__main__":
    main()
