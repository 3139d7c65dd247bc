"""The online metric by hand, its threshold, and gestures detected in long synthetic interviews."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.segments import as_segments, by_frame
from imigue_lab.inference.demo import demo_gesture
from imigue_lab.inference.segments import (
    OnlineScore,
    choose_threshold,
    compare_online,
    constant_predictor,
    find_threshold,
    online_score,
    score_interviews,
)
from imigue_lab.inference.windows import AnalyseSettings


def segments(*rows):
    """(label, start, end, confidence), in frames of a tenth of a second."""
    return as_segments(pd.DataFrame(rows, columns=["label", "start", "end", "confidence"]), TIMES)


TIMES = np.arange(101) / 10


TRUE = segments((1, 0, 9, None), (2, 20, 29, None), (1, 40, 59, None))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (TRUE, (3, 3, 3)),
        (segments(), (0, 0, 3)),
        (segments((2, 0, 9, 0.9)), (0, 1, 3)),  # another class
        (segments((1, 0, 4, 0.9)), (1, 1, 3)),  # half of it: IoU 0.5
        (segments((1, 0, 3, 0.9)), (0, 1, 3)),  # 0.4
        (segments((1, 0, 19, 0.9)), (1, 1, 3)),  # twice as long: 0.5
        (segments((1, 0, 20, 0.9)), (0, 1, 3)),  # a little longer
        (segments((1, 0, 9, 0.9), (1, 0, 8, 0.8)), (1, 2, 3)),  # found once only
        (segments((1, 2, 11, 0.9), (1, 0, 9, 0.8)), (1, 2, 3)),  # 8/12, by the more confident one
        (segments((2, 21, 30, 0.5), (1, 42, 61, 0.5)), (2, 2, 3)),  # 9/11 and 18/22
    ],
)
def test_a_true_segment_is_matched_once_by_its_class_at_half_overlap(found, expected):
    assert online_score({"v": found}, {"v": TRUE}) == expected


def test_the_most_confident_detection_is_matched_to_the_segment_it_overlaps_most():
    true = segments((1, 0, 9, None), (1, 10, 19, None))
    found = segments((1, 4, 13, 0.9), (1, 9, 18, 0.8))
    assert online_score({"v": found}, {"v": true}, iou=0.4) == (2, 2, 2)  # 6/14, then 9/11


def test_precision_recall_and_f1_by_hand():
    score = OnlineScore(correct=2, found=5, true=3)
    assert (score.precision, score.recall, score.f1) == (0.4, 2 / 3, 0.5)
    assert OnlineScore(0, 0, 3).f1 == 0 and OnlineScore(0, 0, 0).f1 == 0


def test_counts_are_summed_over_videos_including_those_without_detections():
    score = online_score({"a": TRUE}, {"a": TRUE, "b": TRUE, "c": segments()})
    assert score == (3, 3, 6)
    assert score.f1 == pytest.approx(2 / 3)


def test_the_threshold_separates_gestures_from_the_rest_on_validation():
    spans = [(0, 9), (10, 19), (20, 29), (30, 39), (40, 59), (60, 69)]
    windows = pd.DataFrame(spans, columns=["start", "end"])
    windows["p0"] = [0.1, 0.1, 0.1, 0.6, 0.0, 0.0]
    windows["p1"] = [0.71, 0.5, 0.1, 0.2, 0.9, 0.1]
    windows["p2"] = [0.1, 0.4, 0.74, 0.2, 0.1, 0.52]
    threshold, score = choose_threshold({"v": windows}, {"v": TRUE}, {"v": TIMES})
    assert 0.6 < threshold <= 0.71
    assert score == (3, 3, 3)


def test_the_constant_predictor_covers_the_video_with_one_class():
    rows = [(0, 9, 3, 0.5), (5, 14, 3, 0.9), (10, 19, 3, 0.9), (0, 4, 3, 0.9)]
    windows = pd.DataFrame(rows, columns=["start", "end", "label", "confidence"])
    predicted = constant_predictor({"v": windows}, 2, {"v": TIMES})["v"]
    assert predicted[["label", "start", "end"]].to_numpy().tolist() == [[2, 0, 9], [2, 10, 19]]


@pytest.fixture(scope="module")
def run():
    """Reused by the test of the notebook."""
    return demo_gesture(AnalyseSettings())


@pytest.fixture(scope="module")
def found(run):
    return score_interviews(run, "test", AnalyseSettings(), limit=4)


def test_simulated_gestures_are_detected_with_a_threshold_tuned_on_validation(run, found):
    threshold = find_threshold(run, AnalyseSettings())
    model, constant = compare_online(found, threshold).itertuples()
    assert model.interviews == constant.interviews == 4
    assert model.f1 >= 0.6
    assert constant.f1 < 0.2


def test_frames_within_gestures_are_more_confident_than_those_between(found):
    inside, outside = [], []
    for video, windows in found.windows.items():
        confidence = by_frame(windows).max(axis=1)
        in_gesture = confidence != confidence
        for row in found.true[video].itertuples():
            in_gesture[row.start : row.end + 1] = True
        inside += confidence[in_gesture].tolist()
        outside += confidence[~in_gesture].tolist()
    assert sum(inside) / len(inside) > 1.3 * sum(outside) / len(outside)
