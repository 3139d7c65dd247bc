"""The focal loss: its textbook form, its limits, and gradients at extreme logits."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.emotion import FocalLoss, balanced_class_weights

LOGIT = torch.tensor([-2.0, -0.3, 0.0, 0.7, 3.0, 1.0])
OUTCOME = torch.tensor([0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_it_is_the_textbook_form(gamma):
    p_y = torch.where(OUTCOME == 1, LOGIT.sigmoid(), 1 - LOGIT.sigmoid())
    weight = torch.tensor([0.8, 1.25])[OUTCOME]
    expected = (weight * (1 - p_y) ** gamma * -p_y.log()).mean()
    assert_close(FocalLoss(gamma, (0.8, 1.25))(LOGIT, OUTCOME), expected)


def test_gamma_zero_is_binary_cross_entropy():
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGIT, OUTCOME.float())
    assert_close(FocalLoss(0.0)(LOGIT, OUTCOME), expected)


@pytest.mark.parametrize("gamma", [0.5, 0.75, 1.0, 1.5])
@pytest.mark.parametrize("logit", [-100.0, 100.0, 0.0])
@pytest.mark.parametrize("outcome", [0, 1])
def test_gradients_are_finite_at_any_logit(gamma, logit, outcome):
    z = torch.tensor([logit], requires_grad=True)
    loss = FocalLoss(gamma)(z, torch.tensor([outcome]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
    wrong = logit * (2 * outcome - 1) < 0
    assert (abs(z.grad.item()) > 0.9) == wrong or logit == 0.0


def test_weights_make_both_classes_count_the_same():
    w_lose, w_win = balanced_class_weights(losses=30, wins=90)
    assert 30 * w_lose == 90 * w_win == 60
