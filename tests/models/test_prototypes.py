"""Prototypes: cosines, the margin and α's ramp."""

import math

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.memory import Prototypes, alpha_at, angular_cross_entropy


def test_prototypes_give_cosines():
    prototypes = Prototypes(2, 2)
    prototypes.vectors.data = torch.tensor([[0.0, 3.0], [1.0, 1.0]])
    cosine = prototypes(torch.tensor([[5.0, 0.0]]))
    assert_close(cosine, torch.tensor([[0.0, 1 / 2**0.5]]))


def test_the_cross_entropy_is_over_cosines_divided_by_a_tenth():
    cosine = torch.tensor([[0.3, 0.1, -0.2]])
    by_hand = math.log(math.exp(3) + math.exp(1) + math.exp(-2)) - 1
    assert_close(angular_cross_entropy(cosine, torch.tensor([1])), torch.tensor([by_hand]))


def test_the_margin_widens_the_angle_of_the_true_class():
    cosine = torch.tensor([[0.5, 0.1]])  # 60 degrees
    wide = angular_cross_entropy(cosine, torch.tensor([0]), margin=math.pi / 6)
    assert_close(wide, angular_cross_entropy(torch.tensor([[0.0, 0.1]]), torch.tensor([0])))
    far = angular_cross_entropy(torch.tensor([[-0.99, 0.1]]), torch.tensor([0]), margin=1.0)
    assert_close(far, angular_cross_entropy(torch.tensor([[-1.0, 0.1]]), torch.tensor([0])))


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_classes_without_entries_have_no_logit_and_no_nan(margin):
    cosine = torch.tensor([[0.3, 0.1, 0.0], [0.3, 0.1, 0.0], [0.2, 0.2, 0.2]], requires_grad=True)
    empty = torch.tensor([[False, False, True], [False, False, True], [True] * 3])
    known = cosine.masked_fill(empty, -torch.inf)
    loss = angular_cross_entropy(known, torch.tensor([0, 2, 1]), margin)
    two = angular_cross_entropy(cosine[:1, :2], torch.tensor([0]), margin)
    assert_close(loss, torch.tensor([two.item(), 0, 0]))
    loss.sum().backward()
    assert torch.isfinite(cosine.grad).all()
    assert (cosine.grad[1:] == 0).all()
    assert (cosine.grad[0, :2] != 0).all()


def test_alpha_is_a_linear_ramp_after_warm_up():
    ramp = [alpha_at(epoch, alpha=2.0, warmup=3, ramp=4) for epoch in range(9)]
    assert ramp == [0, 0, 0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert [alpha_at(epoch, 1.0, 2, 0) for epoch in range(4)] == [0, 0, 1, 1]
