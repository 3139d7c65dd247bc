"""Optimisers, and what they do to which weights."""

from torch import nn
from torch.optim import SGD, AdamW, Optimizer


def build_optimizer(name: str, model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
    """`adamw`, or `sgd` with Nesterov momentum 0.9, the usual choice for graph networks."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if name == "sgd":
        return SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    return AdamW(parameters, lr=lr, weight_decay=weight_decay)
