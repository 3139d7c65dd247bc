"""Training recovers the signal of synthetic interviews; `make soak` covers more seeds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.signals import FUSIONS
from benchmarks.signals import test_scores as scores_of
from imigue_lab.data.splits import nest
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.training.emotion.data import load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion


@pytest.mark.parametrize("seed", [0, 1])
def test_both_streams_together_outperform_the_better_one_alone(seed):
    auc = {name: scores["auc"] for name, scores in scores_of(seed, "joint", FUSIONS).items()}
    assert auc["both"] > max(auc["context"], auc["face"]) + 0.05


@pytest.fixture(scope="module")
def null(tmp_path_factory):
    """An index without signal of 120 interviews, two of a subject."""
    root = tmp_path_factory.mktemp("null") / "tree"
    index = make_data(root, SyntheticSpec(videos=120, signal="none", pictures=False))
    people = index.videos.video_id.astype(int) // 2
    return replace(index, videos=index.videos.assign(subject=people.astype(str)))


def above_chance(index, seed, leak=0.0):
    """AUC minus 0.5 of five held-out folds; `leak` is the share of them that is in train too."""
    found = []
    for fold in range(5):
        given = {"data": str(index.root), "epochs": 6, "lr": 3e-3, "width": 16}
        settings = EmotionSettings.from_arguments(given | {"move_negatives": 0, "seed": seed})
        data = load_emotion_data(settings, nest(index, "outcome", fold, seed))
        videos = data.split.videos
        seen = data.split.part("test").sample(frac=leak, random_state=seed).assign(split="train")
        split = replace(data.split, videos=pd.concat([videos, seen], ignore_index=True))
        scores = train_emotion(settings, replace(data, split=split)).scores()
        found.append(scores.auc[(scores.split == "test") & (scores.predictor == "model")].iloc[0])
    return np.mean(found) - 0.5


def test_no_signal_is_found_where_none_is_embedded_and_a_leak_is(null):
    """Two partitions of 96 interviews: the mean's standard error is about 0.04."""
    clean, leaky = ([above_chance(null, seed, leak) for seed in (0, 1)] for leak in (0.0, 0.5))
    assert abs(np.mean(clean)) < 0.12
    assert np.mean(leaky) > np.mean(clean) + 0.12
