"""Annotation pickles of pyskl and mmaction2, read without executing anything in them.

A pickle names functions to call. Only those that make NumPy arrays are answered, by own functions;
any other is refused by its name.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imigue_lab.errors import unreadable

LARGEST = 16_000_000_000  # bytes of a file


def read_pickle(path: Path) -> Any:
    """Dicts, lists, texts, numbers and arrays of numbers.

    Raises DataError for a file that contains anything else, is damaged or too large.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise pickle.UnpicklingError(f"it is larger than {LARGEST / 1e9:g} GB")
        with path.open("rb") as file:
            return Plain(file, encoding="latin1").load()
    except Exception as error:  # damaged pickles raise any exception
        what = "expected a pickle of lists, dicts and arrays, got one that cannot be read"
        todo = "store the keypoints as .npy, see docs/data.md"
        raise unreadable(path, what, error, todo) from None


class Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        own = module.replace("numpy._core", "numpy.core")
        if (own, name) in ALLOWED:
            return ALLOWED[own, name]
        raise pickle.UnpicklingError(f"it calls {module}.{name}, and nothing in it is executed")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to other files, as those of torch do")


def dtype(*arguments: Any) -> np.dtype:
    found = np.dtype(*arguments)
    if found.hasobject:
        raise pickle.UnpicklingError("it has arrays of objects")
    return found


def reconstruct(*_: Any) -> np.ndarray:
    """An empty array, whose shape, dtype and content pickle then sets."""
    return np.ndarray((0,), np.uint8)


def scalar(kind: np.dtype, content: bytes) -> Any:
    return np.frombuffer(content, kind)[0]


def from_buffer(content: Any, kind: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(content, kind).reshape(shape, order="F" if order == "F" else "C")


def encode(text: str, encoding: str) -> bytes:
    """Protocols 0 to 2 store bytes as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Callable[..., Any] | object] = {
    ("numpy", "ndarray"): object(),  # an argument of `reconstruct`; cannot be called
    ("numpy", "dtype"): dtype,
    ("numpy.core.multiarray", "_reconstruct"): reconstruct,
    ("numpy.core.multiarray", "scalar"): scalar,
    ("numpy.core.numeric", "_frombuffer"): from_buffer,
    ("_codecs", "encode"): encode,
}
