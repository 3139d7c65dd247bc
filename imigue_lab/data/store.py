"""The feature store: one safetensors file per item and encoder, written atomically.

    <store>/<data name>-<hash of its root>/<encoder>-<fingerprint>/<id>.safetensors

A user's own features need no store: a folder of `<id>.npy`, each (T, any width), in which a row of
zeros is a missing window.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from imigue_lab.data.index import Index
from imigue_lab.data.workspace import map_array, short_hash, workspace, write_atomically
from imigue_lab.errors import DataError, some, unreadable

Features = dict[str, np.ndarray]
STALE_S = 86_400  # a temporary file older than a day belongs to no running process


@dataclass(frozen=True)
class Encoding:
    """How a set of features was computed."""

    encoder: str  # a name people type, such as `mvit-context`
    recipe: str  # everything that determines the numbers: model, weights, preprocessing
    note: str = ""  # shown above every figure of them, such as "synthetic" or "untrained weights"

    @property
    def fingerprint(self) -> str:
        return short_hash(self.encoder, self.recipe, self.note)

    @property
    def name(self) -> str:
        return f"{self.encoder}-{self.fingerprint}"


@dataclass(frozen=True)
class EncoderStore:
    """The items of one encoder for one data root."""

    folder: Path
    encoding: Encoding

    def path(self, item: str) -> Path:
        return self.folder / f"{item}.safetensors"

    def write(
        self, item: str, features: Features, source: Path, facts: Mapping[str, object] | None = None
    ) -> None:
        """Writes one item atomically, with the size and time of its source, and further facts."""
        stamp = {"item": item, "fingerprint": self.encoding.fingerprint, "source": source.name}
        stamp |= stamp_of(source) | {name: str(value) for name, value in (facts or {}).items()}
        whole = {name: np.ascontiguousarray(array) for name, array in features.items()}
        write_atomically(self.path(item), save(whole, metadata=stamp))  # it ignores strides
        self.note(item).unlink(missing_ok=True)

    def note(self, item: str) -> Path:
        return self.folder / f"{item}.failed.txt"

    def fail(self, item: str, why: str) -> None:
        """Records why an item could not be extracted; a later `write` removes the record."""
        write_atomically(self.note(item), why)

    def manifest(self) -> pd.DataFrame:
        """One row per item: `extracted` or `failed`, its source, its facts, and why it failed.

        Read from the items themselves, so it is correct after any interruption.
        """
        rows = []
        for path in self.folder.glob("[!.]*.safetensors"):
            item = path.name.removesuffix(".safetensors")
            rows.append({"item": item, "state": "extracted"} | self.facts(item))
        for path in self.folder.glob("[!.]*.failed.txt"):
            with suppress(FileNotFoundError):  # another process has extracted it since
                item = path.name.removesuffix(".failed.txt")
                rows.append({"item": item, "state": "failed", "why": path.read_text()})
        rows.sort(key=lambda row: row["item"])
        columns = dict.fromkeys(["item", "state", "source", "source_size", "source_time"])
        columns |= dict.fromkeys(sorted({name for row in rows for name in row} - {"why"}))
        return pd.DataFrame(rows, columns=[*columns, "why"])

    def is_fresh(self, item: str, source: Path, **facts: str) -> bool:
        """Whether the item exists, from this encoder and the current source, with these facts."""
        if not self.path(item).exists():
            return False
        expected = {"fingerprint": self.encoding.fingerprint, **stamp_of(source), **facts}
        return expected.items() <= self.facts(item).items()

    def read(self, item: str) -> Features:
        """The arrays of one item; DataError if it is missing, damaged, or of another encoder."""
        with self._open(item) as file:
            found = (file.metadata() or {}).get("fingerprint")
            if found != self.encoding.fingerprint:
                raise DataError(
                    f"{self.path(item)}: expected features of {self.encoding.name}, got those of"
                    f" another encoder ({found}); delete the file and extract it again"
                )
            return {name: file.get_tensor(name) for name in file.keys()}

    def facts(self, item: str) -> dict[str, str]:
        """The metadata of an item; its arrays are not read."""
        with self._open(item) as file:
            return file.metadata() or {}

    @contextmanager
    def _open(self, item: str) -> Iterator[safe_open]:
        path = self.path(item)
        if not path.exists():
            raise DataError(f"{path}: no such features; extract {item}, or remove it from the data")
        try:
            with safe_open(path, framework="numpy") as file:
                yield file
        except SafetensorError as error:
            raise unreadable(path, "damaged", error, "delete it and extract it again") from error


def stamp_of(source: Path) -> dict[str, str]:
    """Size in bytes and modification time in nanoseconds, as text for safetensors."""
    status = source.stat()
    return {"source_size": str(status.st_size), "source_time": str(status.st_mtime_ns)}


def store_folder(store: str, index: Index) -> Path:
    """The folder of one data root; an empty `store` is `<workspace>/features`."""
    base = Path(store).expanduser().resolve() if store else workspace() / "features"
    return base / index.key


def create_store(store: str, index: Index, encoding: Encoding) -> EncoderStore:
    """Opens an encoder's features for writing; leftovers of killed processes are deleted."""
    folder = store_folder(store, index) / encoding.name
    for unfinished in folder.glob(".writing-*"):
        if time.time() - unfinished.stat().st_mtime > STALE_S:
            unfinished.unlink(missing_ok=True)
    write_atomically(folder / "encoding.json", json.dumps(vars(encoding), indent=2))
    return EncoderStore(folder, encoding)


def find_store(store: str, index: Index, encoder: str) -> EncoderStore:
    """Opens features by the encoder's name, with its fingerprint where several share the name.

    Raises DataError if there are none, or several; the message names the available ones.
    """
    base = store_folder(store, index)
    encodings = {path.parent.name: read_encoding(path) for path in base.glob("*/encoding.json")}
    matches = sorted(name for name, e in encodings.items() if encoder in (e.encoder, name))
    if not matches:
        names = some(sorted(encodings)) or "none"
        raise DataError(
            f"{base}: no features named {encoder!r} (available: {names}); extract them,"
            " or name a folder of <id>.npy"
        )
    if len(matches) > 1:
        names = ", ".join(matches)
        raise DataError(f"{base}: several features are named {encoder!r}; choose one of {names}")
    return EncoderStore(base / matches[0], encodings[matches[0]])


def read_encoding(file: Path) -> Encoding:
    """Reads `encoding.json`, and refuses a folder with a different name."""
    encoding = Encoding(**json.loads(file.read_text()))
    if file.parent.name != encoding.name:
        what, todo = f"the encoder of the folder, {file.parent.name}", "rename or delete the folder"
        raise DataError.expected(file, what, f"another encoder, {encoding.name}", todo)
    return encoding


@dataclass(frozen=True)
class OwnFeatures:
    """A user's folder of `<id>.npy`."""

    folder: Path
    encoding: Encoding

    def path(self, item: str) -> Path:
        return self.folder / f"{item}.npy"

    def read(self, item: str) -> Features:
        path = self.path(item)
        if not path.exists():
            raise DataError(f"{path}: no such file; add it, or remove {item} from videos.csv")
        return {"features": np.array(map_array(path))}


def open_features(name: str, store: str, index: Index) -> EncoderStore | OwnFeatures:
    """Opens features by an encoder's name in the store, or by the path of a user's own folder."""
    folder = Path(name).expanduser().resolve()
    if folder.is_dir():
        return OwnFeatures(folder, Encoding("own", folder.name))
    return find_store(store, index, name)
