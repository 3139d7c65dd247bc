"""A norm that a convolution takes in, and norms side by side, give what each alone gives."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from imigue_lab.models.graph.layers import NormedConvolution, norm_side_by_side, normed_convolution


def trained_norm(width):
    """A norm whose statistics, weight and bias are all off their start."""
    norm = nn.BatchNorm2d(width)
    for part in (norm.running_mean, norm.weight, norm.bias):
        nn.init.normal_(part)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return norm


@pytest.mark.parametrize("bias", [True, False])
def test_in_evaluation_one_convolution_does_both(bias):
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


def test_norms_side_by_side_are_what_each_is_of_its_channels():
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
