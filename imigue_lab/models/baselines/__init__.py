"""The rivals of Table 1, one idea a file: `TABLE` says what there is, `build_baseline` makes it."""

from importlib import import_module
from typing import Any

HOMES = {"TABLE": "table", "Baseline": "table", "build_baseline": "build"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, and no network before."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
