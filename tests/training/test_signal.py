"""Training recovers the signal of synthetic interviews; `make soak` covers more seeds."""

import numpy as np
import pytest

from benchmarks.signals import FUSIONS
from benchmarks.signals import test_scores as scores_of


@pytest.mark.parametrize("seed", [0, 1])
def test_both_streams_together_outperform_the_better_one_alone(seed):
    auc = {name: scores["auc"] for name, scores in scores_of(seed, "joint", FUSIONS).items()}
    assert auc["both"] > max(auc["context"], auc["face"]) + 0.05


def test_no_signal_is_found_where_none_is_embedded():
    runs = [scores_of(seed, "none", {"both": "interfusion"})["both"]["auc"] for seed in range(6)]
    assert abs(np.mean(runs) - 0.5) < 3 * np.std(runs, ddof=1) / np.sqrt(6)
