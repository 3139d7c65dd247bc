"""The first norm: a plain batch norm of what was seen, zeros where nothing was."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.models.graph.layers import JointNorm


def norm(mask_missing=True, keypoints="imigue22", persons=1):
    return JointNorm(LAYOUTS[keypoints], persons, channels=3, mask_missing=mask_missing)


@pytest.fixture
def skeleton():
    """40 clips of 16 frames, far from 0; every joint is seen."""
    torch.manual_seed(0)
    places = torch.randn(40, 1, 16, 22, 3) * 3 + 5
    places[..., 2] = torch.rand(places.shape[:-1]) * 0.5 + 0.5
    return places


@pytest.mark.parametrize("mask_missing", [True, False])
def test_where_every_joint_is_seen_it_is_a_batch_norm(skeleton, mask_missing):
    plain, ours = nn.BatchNorm1d(66), norm(mask_missing)
    for module in (plain, ours):
        nn.init.constant_(module.bias, 0.3)
    frames = skeleton.flatten(0, 2).flatten(1)
    for train in (True, False):
        expected = plain.train(train)(frames)
        assert_close(ours.train(train)(skeleton).flatten(0, 2).flatten(1), expected)
    assert_close(ours.running_mean, plain.running_mean)
    assert_close(ours.running_var, plain.running_var)
    assert ours.num_batches_tracked == 1


def test_missing_joints_leave_the_statistics_alone_and_are_zero_afterwards(skeleton):
    skeleton[:20, :, :, 4] = 0
    skeleton[:, :, :, 7] = 0
    ours = norm()
    nn.init.constant_(ours.bias, 0.3)
    places = ours(skeleton)
    seen = skeleton[20:, 0, :, 4].flatten(0, 1)
    means, variances = ours.running_mean.view(22, 3), ours.running_var.view(22, 3)
    assert_close(means[4], 0.1 * seen.mean(dim=0))
    assert_close(variances[4], 0.9 + 0.1 * seen.var(dim=0))
    assert not means[7].any() and (variances[7] == 1).all()
    assert not places[:, :, :, 7].any() and not places[:20, :, :, 4].any()
    assert_close(places[20:, 0, :, 4].mean(dim=(0, 1)), torch.full((3,), 0.3), atol=1e-5, rtol=0)


def test_the_gradient_reaches_through_the_statistics(skeleton):
    skeleton = skeleton[:4].double().requires_grad_()
    ours = norm().double()
    assert torch.autograd.gradcheck(
        lambda x: ours(x)[..., 3:5, :].tanh(), (skeleton[:2, :, :2],), atol=1e-6
    )


def test_in_space_a_joint_at_the_origin_is_missing():
    ours = norm(keypoints="kinect20").eval()
    skeleton = torch.randn(2, 1, 5, 20, 3)
    skeleton[0, 0, 1, 3] = 0
    skeleton[0, 0, 1, 4, 2] = 0  # a depth of 0 is a place like any other
    nn.init.constant_(ours.bias, 0.3)
    places = ours(skeleton)
    assert not places[0, 0, 1, 3].any() and places[0, 0, 1, 4].all()


def test_absent_persons_are_filled_up_and_too_many_refused(skeleton):
    assert norm(persons=3).eval()(skeleton).shape == (40, 3, 16, 22, 3)
    with pytest.raises(ValueError, match=r"2 persons, .* this model takes up to 1 persons"):
        norm()(skeleton.repeat(1, 2, 1, 1, 1))
