"""Optimisers and schedules match their names."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from imigue_lab.data.samplers import BucketSampler
from imigue_lab.training.loop import (
    EpochBatches,
    Stopping,
    build_optimizer,
    build_scheduler,
    fit,
)
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_session
from imigue_lab.training.settings import TrainSettings


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


def trained(tmp_path, epochs=3, **changes):
    """Two steps an epoch of one weight that rises by lr times the gradient 3; its course."""
    settings = TrainSettings(**changes)
    tmp_path.mkdir(exist_ok=True)
    model, course = nn.Linear(1, 1, bias=False), []
    nn.init.zeros_(model.weight)
    batches = EpochBatches(
        BucketSampler([1] * 4, 2, 0), lambda own: torch.full((len(own), 1), -3.0)
    )
    with open_session(Run(tmp_path), settings, []) as session:
        fit(
            session,
            model,
            torch.optim.SGD(model.parameters(), lr=1.0),
            None,
            batches,
            lambda model, x: model(x).mean(),
            lambda model: {"validation_loss": 1.0},
            {},
            Stopping(epochs, epochs),
            after_step=lambda: course.append(model.weight.item()),
        )
    return course


def test_the_learning_rate_rises_linearly_over_the_steps_of_warm_up(tmp_path):
    rising = trained(tmp_path, lr_warmup=2)
    shares = [(b - a) / 3 for a, b in pairwise([0.0, *rising])]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert Run(tmp_path).metrics().lr.tolist() == [1, 1, 1]  # before the share


def test_the_gradients_norm_is_clipped(tmp_path):
    assert trained(tmp_path / "free", 1) == pytest.approx([3, 6])
    assert trained(tmp_path / "clipped", 1, clip_grad=0.5) == pytest.approx([0.5, 1.0])
    assert trained(tmp_path / "below", 1, clip_grad=5.0) == pytest.approx([3, 6])
