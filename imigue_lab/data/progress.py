"""Progress bars; of a task in steps one at a time, such as `3 of 9, faces`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

TITLES: ContextVar[tuple[str, ...]] = ContextVar("titles", default=())  # of this and later steps


def progress(*values: Any, desc: str = "", **options: Any) -> tqdm:
    """A bar of tqdm; within a step it has its title, and disappears when it is full."""
    title = TITLES.get()[:1]
    words = ": ".join([*title, *[desc] * bool(desc)])
    return tqdm(*values, desc=words or None, leave=not title, **options)


@contextmanager
def steps(*names: str) -> Iterator[None]:
    """Numbers the steps in a block or function; `next_step` begins the following one."""
    before = TITLES.set(tuple(f"{n} of {len(names)}, {name}" for n, name in enumerate(names, 1)))
    try:
        yield
    finally:
        TITLES.reset(before)


def next_step() -> None:
    TITLES.set(TITLES.get()[1:])
