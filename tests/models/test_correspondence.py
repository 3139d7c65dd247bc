"""CMTF learns which joint goes with which patch, and when; late fusion cannot."""

import pytest

from benchmarks.correspondence import Scene, accuracy_within_pairs, build, fit

SMALL = Scene(steps=4, side=2, joints=4)


@pytest.mark.parametrize("seed", [0, 1])
def test_cmtf_separates_the_classes_of_a_pair_and_late_fusion_does_not(seed):
    accuracy = {}
    for fusion, steps in (("cmtf", 200), ("late", 60)):
        model = build(SMALL, fusion, seed)
        fit(model, SMALL, steps)
        accuracy[fusion] = accuracy_within_pairs(model, SMALL)
    assert accuracy["cmtf"] > accuracy["late"] + 0.4
    assert abs(accuracy["late"] - 0.5) < 0.07
