"""Scores of segments by hand: both rules of matching, thresholds, precision, intervals."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.training.recognition.scores import (
    average_precision,
    best_constant,
    best_threshold,
    constant_windows,
    count_segments,
    curve,
    mean_average_precision,
    ratios,
    recovered,
    score_segments,
)


def segments(*rows, video="v"):
    """(label, start, end) of true ones, with a confidence of found ones."""
    columns = ["label", "start", "end", "confidence"]
    table = pd.DataFrame([(*row, 1.0)[:4] for row in rows], columns=columns)
    return table.astype({"start": int, "end": int, "label": int}).assign(video_id=video)


TRUE = segments((1, 0, 9), (2, 20, 29), (1, 40, 59))


def counts(found, true=TRUE, iou=0.5, rule="one-to-one", videos=("v",)):
    return tuple(count_segments(found, true, list(videos), iou, rule).sum())


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
    assert counts(found) == expected


def test_the_most_confident_detection_is_matched_to_the_segment_it_overlaps_most():
    true = segments((1, 0, 9), (1, 10, 19))
    found = segments((1, 4, 13, 0.9), (1, 9, 18, 0.8))
    assert counts(found, true, iou=0.4) == (2, 2, 2)  # 6/14, then 9/11


def test_by_the_organisers_rule_one_found_segment_serves_several_true_ones():
    true = segments((1, 0, 10), (1, 10, 20))
    found = segments((1, 0, 20, 0.9))
    assert counts(found, true, 0.4) == (1, 1, 2)
    assert counts(found, true, 0.4, "organisers") == (2, 1, 2)
    assert counts(found, true, 0.5, "organisers") == (0, 1, 2)  # 10/20 is not more than the limit
    assert ratios(2, 1, 2)["f1"] == 4 / 3  # so this rule can exceed 1


def test_by_the_organisers_rule_the_last_frame_does_not_count_in_a_length():
    assert counts(segments((1, 0, 5, 1.0)), segments((1, 0, 9)), 0.59) == (1, 1, 1)  # 6/10
    assert counts(segments((1, 0, 5, 1.0)), segments((1, 0, 9)), 0.59, "organisers") == (0, 1, 1)
    assert counts(segments((1, 3, 3, 1.0)), segments((1, 3, 3)), 0.5, "organisers") == (0, 1, 1)


@pytest.mark.parametrize("rule", ["one-to-one", "organisers"])
def test_segments_at_both_ends_of_a_video_match_and_empty_tables_count_nothing(rule):
    true = segments((0, 0, 4), (0, 95, 99))
    assert counts(true, true, 0.5, rule) == (2, 2, 2)
    assert counts(segments(), true, 0.5, rule) == (0, 0, 2)
    assert counts(true, segments(), 0.5, rule) == (0, 2, 0)
    assert counts(segments(), segments(), 0.5, rule) == (0, 0, 0)


def test_counts_are_summed_over_videos_and_foreign_videos_are_refused():
    both = pd.concat([TRUE, TRUE.assign(video_id="b")])
    assert counts(TRUE, both, videos=("v", "b", "c")) == (3, 3, 6)
    assert ratios(3, 3, 6)["f1"] == pytest.approx(2 / 3)
    assert ratios(0, 0, 0)["f1"] == 0
    with pytest.raises(AssertionError, match="not scored"):
        counts(both)


def test_the_threshold_has_the_best_f1():
    found = segments((1, 0, 9, 0.9), (3, 0, 9, 0.7), (2, 20, 29, 0.6), (1, 40, 49, 0.5))
    found = pd.concat([found, segments((4, 0, 9, 0.3), (5, 0, 9, 0.3))])
    own = curve(found, TRUE)
    assert own.threshold.tolist() == [0.9, 0.7, 0.6, 0.5, 0.3]
    assert own.correct.tolist() == [1, 1, 2, 3, 3]
    assert own.found.tolist() == [1, 2, 3, 4, 6]
    assert best_threshold(found, TRUE) == (0.5, 6 / 7)
    for threshold in own.threshold:  # the same as matching what reaches the threshold
        kept = found[found.confidence >= threshold]
        assert counts(kept)[0] == own.set_index("threshold").correct[threshold]
    assert best_threshold(segments(), TRUE) == (1.0, 0.0)


def test_a_segment_is_recovered_at_the_confidence_of_its_match():
    found = segments((1, 0, 9, 0.4), (1, 0, 9, 0.9), (2, 20, 26, 0.3))
    assert recovered(found, TRUE, 0.5).tolist() == [0.9, 0.3, -np.inf]


def test_average_precision_by_hand():
    true = segments((1, 0, 9), (1, 20, 29), (1, 40, 49))
    found = segments((1, 0, 9, 0.9), (1, 60, 69, 0.8), (1, 20, 29, 0.7), (1, 80, 89, 0.6))
    assert average_precision(found, true, 0.5) == pytest.approx((1 + 2 / 3) / 3)
    found = segments((1, 0, 4, 0.9))  # an overlap of exactly one half
    assert average_precision(found, true, 0.5) == 0
    assert average_precision(found, true, 0.4) == pytest.approx(1 / 3)
    two = pd.concat([true, segments((2, 0, 9))])
    assert mean_average_precision(found, two, [0.4]) == pytest.approx(1 / 6)


def test_intervals_are_of_subjects_and_references_stand_beside_the_score():
    names = [f"v{n}" for n in range(12)]
    videos = pd.DataFrame({"video_id": names, "subject": [f"s{n // 2}" for n in range(12)]})
    true = pd.concat([segments((1, 0, 9), (2, 20, 29), video=name) for name in names])
    found = pd.concat([segments((1, 0, 9, 0.9), video=name) for name in names[:8]])
    table = score_segments({"model": found, "nothing found": found.iloc[:0]}, true, videos)
    model, nothing = table.itertuples()
    assert (model.n, model.clusters, model.unit) == (24, 6, "subjects")
    assert (model.correct, model.found, model.true) == (8, 8, 24)
    assert model.f1_50 == model.f1_10 == pytest.approx(0.5)
    low, high = model.f1_50_interval
    assert 0 < low < 0.5 < high <= 2 / 3
    assert nothing.f1_50 == 0


def test_the_constant_predictor_covers_each_video_with_the_class_that_scores_most():
    found = constant_windows({"v": 25}, 2, 10)
    assert found[["label", "start", "end"]].to_numpy().tolist() == [
        [2, 0, 9],
        [2, 10, 19],
        [2, 20, 24],
    ]
    assert best_constant(TRUE, {"v": 60}) == (1, 15)  # two found of four
    assert best_constant(segments((1, 0, 9), (1, 10, 19), (2, 20, 29)), {"v": 60}) == (1, 10)
