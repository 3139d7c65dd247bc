"""The signals of synthetic interviews, by a probe that is independent of our models.

The probe is logistic regression on the embedded variables themselves.
"""

from collections import Counter

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from imigue_lab.data.synthetic.story import (
    FPS,
    LASTING,
    MOMENT_PAIR,
    MOVERS,
    PLACE_PAIR,
    QUARTERS,
    SyntheticSpec,
    plan,
)


@pytest.fixture(scope="module")
def many():
    return plan(SyntheticSpec(videos=2400))


def probe(variables, target):
    return cross_val_score(LogisticRegression(C=10, max_iter=2000), variables, target, cv=5).mean()


def test_the_outcome_shows_in_face_and_posture_together(many):
    outcome = np.array([i.outcome for i in many])
    seen = np.array([(i.expression, i.posture) for i in many])
    face, posture, both = (probe(v, outcome) for v in (seen[:, :1], seen[:, 1:], seen))
    assert 0.64 < face < 0.74
    assert 0.64 < posture < 0.74
    assert both > 0.93


def test_without_a_signal_face_and_posture_do_not_predict_the_outcome():
    interviews = plan(SyntheticSpec(videos=2400, signal="none"))
    outcome = np.array([i.outcome for i in interviews])
    seen = np.array([(i.expression, i.posture) for i in interviews])
    assert probe(seen, outcome) < 0.58  # the majority-class baseline is 0.556


def one_hot(values, count):
    return np.eye(count)[np.asarray(values)]


def pair_variables(interviews, pair):
    gestures = [g for i in interviews for g in i.gestures if g.label in pair]
    joint, mark_joint = (
        one_hot([getattr(g, name) for g in gestures], len(MOVERS))
        for name in ("joint", "mark_joint")
    )
    moment, mark_moment = (
        one_hot([getattr(g, name) for g in gestures], QUARTERS)
        for name in ("moment", "mark_moment")
    )
    alone = np.concatenate([joint, mark_joint, moment, mark_moment], axis=1)
    places = (joint[:, :, None] * mark_joint[:, None]).reshape(len(gestures), -1)
    moments = (moment[:, :, None] * mark_moment[:, None]).reshape(len(gestures), -1)
    products = np.concatenate([alone, places, moments], axis=1)
    return alone, products, np.array([g.label == pair[0] for g in gestures])


@pytest.mark.parametrize("pair", [PLACE_PAIR, MOMENT_PAIR], ids=["place", "moment"])
def test_a_pair_is_distinguished_by_correspondence_alone(many, pair):
    alone, products, first = pair_variables(many, pair)
    assert 0.44 < probe(alone, first) < 0.56
    assert probe(products, first) > 0.9


@pytest.mark.parametrize("pair", [PLACE_PAIR, MOMENT_PAIR], ids=["place", "moment"])
@pytest.mark.parametrize("side", [("joint", "moment"), ("mark_joint", "mark_moment")])
def test_pose_and_picture_have_the_same_marginals_within_a_pair(many, pair, side):
    gestures = [g for i in many for g in i.gestures if g.label in pair]
    shares = []
    for label in pair:
        cells = Counter(tuple(getattr(g, s) for s in side) for g in gestures if g.label == label)
        shares.append(np.array([cells[j, m] for j in range(8) for m in range(4)]) / cells.total())
    assert np.abs(shares[0] - 1 / 32).max() < 0.02
    assert np.abs(shares[1] - 1 / 32).max() < 0.02


def test_without_a_signal_the_class_is_independent_of_what_is_visible():
    interviews = plan(SyntheticSpec(videos=1200, signal="none"))
    gestures = [g for i in interviews for g in i.gestures]
    seen = np.concatenate(
        [one_hot([g.pattern for g in gestures], 6), one_hot([g.hue for g in gestures], 6)], axis=1
    )
    labels = np.array([g.label for g in gestures])
    assert probe(seen, labels) < 0.12  # twelve classes


def test_subjects_belong_to_one_split_unless_the_leak_is_requested():
    def shared(spec):
        sides = {split: {i.subject for i in plan(spec) if i.split == split} for split in SPLITS}
        return (sides["train"] & sides["test"]) | (sides["train"] & sides["validation"])

    SPLITS = ("train", "validation", "test")  # noqa: N806
    assert not shared(SyntheticSpec(videos=24))
    assert shared(SyntheticSpec(videos=24, leak_subject=True)) == {"s01"}


def test_every_split_has_both_outcomes_unless_the_fault_is_requested():
    def wins(spec):
        return {i.outcome for i in plan(spec) if i.split == "validation"}

    assert wins(SyntheticSpec(videos=24)) == {0, 1}
    assert wins(SyntheticSpec(videos=24, all_win_validation=True)) == {1}


def test_in_long_interviews_a_class_is_one_joint_moved_in_one_way():
    interviews = plan(SyntheticSpec(videos=60, size="long"))
    ways = {(g.label, g.joint, g.pattern) for i in interviews for g in i.gestures}
    assert len(ways) == len({way[1:] for way in ways}) == len(LASTING)
    assert {way[0] for way in ways} == set(LASTING)
    mixed = [
        g for i in plan(SyntheticSpec(videos=60, size="long", signal="none")) for g in i.gestures
    ]
    assert len({(g.label, g.joint, g.pattern) for g in mixed}) == len(LASTING) ** 2


def test_in_long_interviews_gestures_and_the_pauses_between_them_last_a_second_or_more():
    interviews = plan(SyntheticSpec(videos=60, size="long"))
    for interview in interviews:
        spans = np.array([(g.start, g.end) for g in interview.gestures])
        assert 30 * FPS <= interview.frames < 40 * FPS and len(spans) >= 5
        assert ((spans[:, 1] - spans[:, 0] + 1) > FPS).all() and spans[-1, 1] < interview.frames
        assert (spans[1:, 0] - spans[:-1, 1] >= FPS).all() and spans[0, 0] >= FPS


def test_dense_interviews_have_short_long_and_overlapping_gestures_of_all_classes():
    interviews = plan(SyntheticSpec(videos=52, size="dense"))
    gestures = [g for i in interviews for g in i.gestures]
    seconds = np.array([g.end + 1 - g.start for g in gestures]) / FPS
    assert 0.15 < seconds.min() < 0.3
    assert 7 < seconds.max() <= 8
    assert {g.label for g in gestures} == set(range(32))
    assert len({(g.joint, g.pattern, g.label) for g in gestures}) == 32
    pairs = [p for i in interviews for p in zip(i.gestures, i.gestures[1:], strict=False)]
    assert all(b.start > a.start and b.joint != a.joint for a, b in pairs)
    assert 0.2 < np.mean([b.start <= a.end for a, b in pairs]) < 0.5
    assert all(g.end < i.frames for i in interviews for g in (*i.gestures, *i.distractors))
    assert min(len(i.distractors) for i in interviews) >= 7
    known = {g.pattern for g in gestures}
    assert not known & {d.pattern for i in interviews for d in i.distractors}
