"""The threshold of frames, and gestures detected in long synthetic interviews."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.segments import as_segments, by_frame
from imigue_lab.inference.demo import demo_gesture
from imigue_lab.inference.segments import (
    choose_threshold,
    find_threshold,
    joined,
    score_interviews,
    segments_of,
)
from imigue_lab.inference.windows import AnalyseSettings
from imigue_lab.training.recognition.scores import (
    best_constant,
    constant_windows,
    score_segments,
)


def segments(*rows):
    """(label, start, end, confidence), in frames of a tenth of a second."""
    return as_segments(pd.DataFrame(rows, columns=["label", "start", "end", "confidence"]), TIMES)


TIMES = np.arange(101) / 10


TRUE = segments((1, 0, 9, None), (2, 20, 29, None), (1, 40, 59, None))


def test_the_threshold_separates_gestures_from_the_rest_on_validation():
    spans = [(0, 9), (10, 19), (20, 29), (30, 39), (40, 59), (60, 69)]
    windows = pd.DataFrame(spans, columns=["start", "end"])
    windows["p0"] = [0.1, 0.1, 0.1, 0.6, 0.0, 0.0]
    windows["p1"] = [0.71, 0.5, 0.1, 0.2, 0.9, 0.1]
    windows["p2"] = [0.1, 0.4, 0.74, 0.2, 0.1, 0.52]
    true = joined({"v": TRUE})
    threshold, f1 = choose_threshold({"v": windows}, true, {"v": TIMES})
    assert 0.6 < threshold <= 0.71
    assert f1 == 1


@pytest.fixture(scope="module")
def run():
    """Reused by the test of the notebook."""
    return demo_gesture(AnalyseSettings())


@pytest.fixture(scope="module")
def found(run):
    return score_interviews(run, "test", AnalyseSettings(), limit=4)


def test_simulated_gestures_are_detected_with_a_threshold_tuned_on_validation(run, found):
    threshold = find_threshold(run, AnalyseSettings())["threshold"]
    frames = {video: len(own) - 1 for video, own in found.times.items()}
    predictors = {
        "model": segments_of(found.windows, found.times, threshold),
        "constant": constant_windows(frames, *best_constant(found.true, frames)),
    }
    model, constant = score_segments(predictors, found.true, found.videos).itertuples()
    assert len(found.videos) == 4 and model.n == constant.n == len(found.true) > 20
    assert model.f1_50 >= 0.6
    assert 0 < constant.f1_50 < 0.2


def test_frames_within_gestures_are_more_confident_than_those_between(found):
    inside, outside = [], []
    for video, windows in found.windows.items():
        confidence = by_frame(windows).max(axis=1)
        in_gesture = confidence != confidence
        for row in found.true[found.true.video_id == video].itertuples():
            in_gesture[row.start : row.end + 1] = True
        inside += confidence[in_gesture].tolist()
        outside += confidence[~in_gesture].tolist()
    assert sum(inside) / len(inside) > 1.3 * sum(outside) / len(outside)
