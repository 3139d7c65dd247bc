"""Optimisers and schedules match their names."""

import pytest
from torch import nn

from imigue_lab.training.loop import build_optimizer, build_scheduler


def rates(name, epochs, watched=1.0, patience=4):
    optimizer = build_optimizer("sgd", nn.Linear(1, 1), lr=1.0, weight_decay=0.0)
    scheduler = build_scheduler(name, optimizer, epochs, patience)
    seen = []
    for _ in range(epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([watched] if name == "plateau" else []))
    return seen


def test_cosine_falls_from_all_to_next_to_nothing():
    seen = rates("cosine", 8)
    assert seen[0] == 1 and seen[4] == pytest.approx(0.5) and seen[-1] < 0.05


def test_steps_leave_a_tenth_after_the_named_epochs():
    assert rates("steps:2:5", 7) == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_a_plateau_halves_after_half_the_patience():
    assert rates("plateau", 6) == pytest.approx([1, 1, 1, 1, 0.5, 0.5])


def test_no_schedule_is_none_and_optimizers_are_as_named():
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    sgd = build_optimizer("sgd", model, 0.1, 5e-4)
    group = sgd.param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 5e-4)
    assert len(group["params"]) == 1
    assert type(build_optimizer("adamw", model, 0.1, 0.0)).__name__ == "AdamW"
    assert build_scheduler("none", sgd, 5, 5) is None
