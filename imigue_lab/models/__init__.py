"""The paper's two models, and the networks that they are compared with or built on."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def import_builder(place: str) -> Callable[..., Any]:
    """A function of this package as "module:function", imported only when a network is built."""
    module, name = place.split(":")
    return getattr(import_module(f"{__name__}.{module}"), name)
