"""Keypoint layouts: indices as in DATASET.md, bones that make one tree, mirror pairs."""

import pytest

from imigue_lab.data.keypoints import LAYOUTS, subset


def test_imigue22_takes_the_published_columns():
    assert subset("imigue22", "light_hand35") == [*range(8), 15, 16, 17, 18, *range(25, 35)]


def test_imigue22_has_the_published_bones_and_mirror_pairs():
    layout = LAYOUTS["imigue22"]
    arms = [(1, 0), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7)]
    head = [(0, 8), (8, 10), (0, 9), (9, 11)]
    fingers = [(4, tip) for tip in range(12, 17)] + [(7, tip) for tip in range(17, 22)]
    assert sorted(layout.bones) == sorted(arms + head + fingers)
    published = "2-5 3-6 4-7 8-9 10-11 12-17 13-18 14-19 15-20 16-21".split()
    assert sorted(layout.mirror) == sorted(tuple(map(int, p.split("-"))) for p in published)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_bones_reach_every_joint_once(layout):
    children = [child for _, child in layout.bones]
    assert sorted([*children, layout.joints.index("neck")]) == list(range(len(layout.joints)))
