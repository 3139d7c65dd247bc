"""Graphs: adjacency by hand for a few joints of coco17, and as published."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.skeletons.graphs import (
    edges,
    normalise_columns,
    random_start,
    spatial,
    stgcn_spatial,
)
from imigue_lab.data.skeletons.keypoints import LAYOUTS

COCO, NTU = LAYOUTS["coco17"], LAYOUTS["ntu25"]


def test_spatial_gives_a_joint_the_mean_of_its_children():
    itself, inward, outward = spatial(COCO)
    assert_array_equal(itself, np.eye(17))
    nose, shoulder = COCO.joints.index("nose"), COCO.joints.index("left_shoulder")
    assert inward[nose, shoulder] == 1
    assert outward[shoulder, nose] == 0.25  # two eyes and two shoulders
    assert inward.sum() == 16


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_incoming_weights_of_a_joint_sum_to_one(layout):
    for subset in spatial(layout):
        assert_allclose(subset.sum(axis=0)[subset.any(axis=0)], 1)
    assert_allclose(stgcn_spatial(layout).sum(axis=(0, 1)), 1)


def test_only_edges_at_the_root_are_split_in_two():
    _, close, further = stgcn_spatial(COCO)
    nose = COCO.joints.index("nose")
    ankle, knee = COCO.joints.index("left_ankle"), COCO.joints.index("left_knee")
    assert close[ankle, knee] > 0 and close[knee, ankle] > 0  # both infinitely far, so "close"
    rows = np.flatnonzero(further.any(axis=1))
    assert rows.tolist() == [nose, *range(1, 3), *range(5, 7)]


def test_hand_tips_of_ntu_are_children_of_the_hands_in_pyskl():
    differ = set(edges(NTU)) - set(edges(NTU, pyskl=True))
    assert differ == {(21, 22), (23, 24)}
    assert {(21, 7), (23, 11)} <= set(edges(NTU, pyskl=True))
    assert edges(COCO, pyskl=True) == edges(COCO)


def test_empty_columns_stay_zero():
    assert_array_equal(normalise_columns(np.array([[0.0, 3], [0, 1]])), [[0, 0.75], [0, 0.25]])


def test_a_random_start_depends_on_its_generator():
    first, again = (random_start(COCO, np.random.RandomState(1), subsets=2) for _ in range(2))
    assert_array_equal(first, again)
    assert first.shape == (2, 17, 17)
    assert abs(first.mean() - 0.04) < 0.005 and abs(first.std() - 0.02) < 0.002


PUBLISHED = {
    "aagcn_orig_ntu25": lambda: spatial(NTU),
    "agcn_orig_ntu25": lambda: spatial(NTU),
    "agcn_orig_twostream_ntu25": lambda: spatial(NTU),
    "ctrgcn_orig_ntu25": lambda: spatial(NTU),
    "stgcn_orig_ntu25": lambda: stgcn_spatial(NTU),
    "aagcn_pyskl_ntu25": lambda: spatial(NTU, pyskl=True),
    "ctrgcn_pyskl_ntu25": lambda: spatial(NTU, pyskl=True),
    "stgcnpp_ntu25": lambda: spatial(NTU, pyskl=True),
    "aagcn_pyskl_noatt_coco17": lambda: spatial(COCO),
    "stgcnpp_coco17": lambda: spatial(COCO),
    "stgcn_pyskl_coco17": lambda: stgcn_spatial(COCO),
    "dgstgcn_ntu25": lambda: random_start(NTU, np.random.RandomState(123)),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", PUBLISHED)
def test_graphs_equal_the_published_ones(shared, name):
    published = np.load(shared / "fixtures" / "skeleton" / f"{name}.npz")["graph_A"]
    assert_allclose(PUBLISHED[name](), published, rtol=0, atol=1e-12)
