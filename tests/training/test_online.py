"""Gestures planted in long synthetic interviews are found in time, by the run that 09 makes."""

import pytest

from imigue_lab.data.segments import by_frame
from imigue_lab.inference.demo import demo_gesture
from imigue_lab.inference.segments import compare_online, find_threshold, score_interviews
from imigue_lab.inference.windows import AnalyseSettings


@pytest.fixture(scope="module")
def run():
    """The notebook's test finds it."""
    return demo_gesture(AnalyseSettings())


@pytest.fixture(scope="module")
def found(run):
    return score_interviews(run, "test", AnalyseSettings(), limit=4)


def test_planted_gestures_are_found_by_a_threshold_chosen_on_validation(run, found):
    threshold = find_threshold(run, AnalyseSettings())
    model, constant = compare_online(found, threshold).itertuples()
    assert model.interviews == constant.interviews == 4
    assert model.f1 >= 0.6
    assert constant.f1 < 0.2


def test_frames_of_planted_gestures_are_surer_than_the_quiet_between(found):
    inside, outside = [], []
    for video, windows in found.windows.items():
        sure = by_frame(windows).max(axis=1)
        in_gesture = sure != sure
        for row in found.true[video].itertuples():
            in_gesture[row.start : row.end + 1] = True
        inside += sure[in_gesture].tolist()
        outside += sure[~in_gesture].tolist()
    assert sum(inside) / len(inside) > 1.3 * sum(outside) / len(outside)
