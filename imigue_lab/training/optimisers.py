"""Optimisers and schedules by the names that settings use."""

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
)

SCHEDULERS = r"^(none|plateau|cosine|steps(:\d+)+)$"


def build_optimizer(name: str, model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
    """`adamw`, or `sgd` with Nesterov's momentum of 0.9, as graph networks are trained."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if name == "sgd":
        return SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    return AdamW(parameters, lr=lr, weight_decay=weight_decay)


def build_scheduler(
    name: str, optimizer: Optimizer, epochs: int, patience: int
) -> LRScheduler | None:
    """Moves the learning rate after each epoch.

    Args:
        name: `none`, `cosine` to 0 over all epochs, `plateau` (half of it when what is watched
            stands still for half the patience), or `steps:10:50` (a tenth after these epochs).
    """
    if name == "cosine":
        return CosineAnnealingLR(optimizer, epochs)
    if name == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=max(1, patience // 2))
    if name.startswith("steps:"):
        return MultiStepLR(optimizer, [int(epoch) for epoch in name.split(":")[1:]], gamma=0.1)
    return None
