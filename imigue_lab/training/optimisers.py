"""Optimisers, and what they do to which weights."""

from torch import nn
from torch.optim import SGD, AdamW, Optimizer


def build_optimizer(name: str, model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
    """`adamw`, `sgd` with Nesterov's momentum 0.9 as for graph networks, or a plain `momentum`."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if name == "adamw":
        return AdamW(parameters, lr=lr, weight_decay=weight_decay)
    how = {"momentum": 0.9, "nesterov": name == "sgd", "weight_decay": weight_decay}
    return SGD(parameters, lr=lr, **how)
