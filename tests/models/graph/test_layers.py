"""Layers of graph networks: folded norms, the input norm, the maximum over time."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.models.graph.layers import (
    JointNorm,
    NormedConvolution,
    norm_side_by_side,
    normed_convolution,
)
from imigue_lab.models.graph.temporal import Maximum


def trained_norm(width):
    """A norm with random statistics, weight and bias."""
    norm = nn.BatchNorm2d(width)
    for part in (norm.running_mean, norm.weight, norm.bias):
        nn.init.normal_(part)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return norm


@pytest.mark.parametrize("bias", [True, False])
def test_in_evaluation_the_norm_is_folded_into_the_convolution(bias):
    torch.manual_seed(0)
    conv, norm, x = nn.Conv2d(5, 7, 1, bias=bias), trained_norm(7).eval(), torch.randn(3, 5, 4, 6)
    assert_close(normed_convolution(x, conv, norm), norm(conv(x)))
    before = norm.running_mean.clone()
    normed_convolution(x, conv, norm)
    assert_close(norm.running_mean, before, rtol=0, atol=0)


def test_in_training_the_statistics_move():
    torch.manual_seed(0)
    part = NormedConvolution(5, 7).train()
    part(torch.randn(3, 5, 4, 6))
    assert part[1].num_batches_tracked == 1 and part[1].running_mean.abs().sum() > 0


def test_where_nothing_changes_a_skip_hands_on_what_it_gets():
    x = torch.randn(3, 5, 4, 6)
    assert NormedConvolution(5, 5)(x) is x
    assert len(NormedConvolution(5, 5, stride=2)) == 2


def test_concatenated_norms_equal_separate_ones():
    torch.manual_seed(0)
    norms, alone = ([trained_norm(width) for width in (2, 3)] for _ in range(2))
    for norm, other in zip(norms, alone, strict=True):
        other.load_state_dict(norm.state_dict())
    x = torch.randn(3, 5, 4, 6)
    together = norm_side_by_side(x, norms)
    apart = torch.cat([n(part) for n, part in zip(alone, x.split([2, 3], 1), strict=True)], 1)
    assert_close(together, apart)
    for norm, other in zip(norms, alone, strict=True):
        assert_close(norm.state_dict(), other.state_dict())
        assert norm.num_batches_tracked == 1


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
def test_without_missing_joints_it_is_a_batch_norm(skeleton, mask_missing):
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


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 7, 8])
def test_the_maximum_over_frames_is_equal_with_and_without_gradients(frames, stride):
    x = torch.randn(2, 6, 5, frames).contiguous(memory_format=torch.channels_last)[:, 2:]
    maximum = Maximum(stride)
    pooled = maximum(x)
    with torch.no_grad():
        compared = maximum(x)
    by_hand = [x[..., max(t - 1, 0) : t + 2].amax(dim=-1) for t in range(0, frames, stride)]
    assert torch.equal(pooled, torch.stack(by_hand, dim=-1))
    assert torch.equal(compared, pooled)
