"""The paper's two models, and the networks that they are compared with or built on.

Here are the choices that settings name, so that the help of a command lists them without torch.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, get_args

EmotionFusion = Literal["interfusion", "late", "concat", "context_only", "face_only"]
Gate = Literal["shared", "cross", "convex"]
GestureFusion = Literal["late", "concat", "cross_attention", "cmtf"]
Criterion = Literal["semantic", "spatial", "contextual"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
Reads = Literal["predicted", "all"]
LossOn = Literal["averaged", "weighted", "each"]


def import_builder(place: str) -> Callable[..., Any]:
    """A function of this package as "module:function", imported only when a network is built."""
    module, name = place.split(":")
    return getattr(import_module(f"{__name__}.{module}"), name)
