"""What follows the steps of a run: its learning rates, and the average of its weights."""

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
)
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from imigue_lab.training.ranks import running_statistics

SCHEDULERS = r"^(none|plateau|cosine|steps(:\d+)+)$"


def build_scheduler(
    name: str, optimizer: Optimizer, epochs: int, patience: int, steps: int
) -> LRScheduler | None:
    """Changes the learning rate: `plateau` after each epoch, the others after each step.

    Args:
        name: `none`, `cosine` to 0 over all steps, `plateau` (halves it when the monitored value
            has not improved for half the patience), or `steps:10:50` (a tenth after these epochs).
        steps: of an epoch.
    """
    if name == "cosine":
        return CosineAnnealingLR(optimizer, epochs * steps)
    if name == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=max(1, patience // 2))
    if name.startswith("steps:"):
        return MultiStepLR(
            optimizer, [steps * int(epoch) for epoch in name.split(":")[1:]], gamma=0.1
        )
    return None


def restart_plateau(scheduler: LRScheduler | None) -> None:
    """Forgets earlier epochs, in which parts of the model were inactive."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.best, scheduler.num_bad_epochs, scheduler.cooldown_counter = torch.inf, 0, 0


class Averaged(AveragedModel):
    """The moving average of a model's weights: ``w̄ <- d w̄ + (1 - d) w`` after each step.

    ``d = min(decay, n / (9 + n))`` after n earlier steps, so that the initial weights do not last.
    BatchNorm's statistics are averaged with the weights that they belong to. Other buffers, such as
    a memory bank, are copied.
    """

    def __init__(self, model: nn.Module, decay: float):
        super().__init__(model)
        self.decay = decay

    def update_parameters(self, model: nn.Module) -> None:
        n = int(self.n_averaged)
        decay = min(self.decay, n / (9 + n))
        self.multi_avg_fn = get_ema_multi_avg_fn(decay)
        before = [own.clone() for own in running_statistics(self.module)]
        super().update_parameters(model)
        for own, old in zip(running_statistics(self.module), before, strict=True):
            own.lerp_(old, decay)
