"""Progress bars; of a task in steps one at a time, such as `3 of 9, faces`."""

from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

TITLES: ContextVar[tuple[str, ...]] = ContextVar("titles", default=())  # of this and later steps


def progress(*values: Any, desc: str = "", **options: Any) -> tqdm:
    """A bar of tqdm; within a step it has its title, and disappears when it is full."""
    title = TITLES.get()[:1]
    return tqdm(*values, desc=" ".join([*title, desc]), leave=not title, **options)
