"""The feature store: one safetensors file an item and encoder, atomic, keyed by what made it.

    <store>/<data name>-<hash of its root>/<encoder>-<fingerprint>/<id>.safetensors

A user's own features need no store: a folder of `<id>.npy`, each (T, any width), a row of zeros
standing for a missing window.
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
from imigue_lab.data.workspace import short_hash, workspace, write_atomically
from imigue_lab.errors import DataError, some

Features = dict[str, np.ndarray]
STALE_S = 86_400  # a file that has been written for a day is written no more


@dataclass(frozen=True)
class Encoding:
    """What made a set of features.

    Attributes:
        encoder: a name people type, such as `mvit-context`.
        recipe: everything that decides the numbers: model, weights, preprocessing.
        note: shown above whatever is drawn from them, such as "synthetic" or "untrained weights".
    """

    encoder: str
    recipe: str
    note: str = ""

    @property
    def fingerprint(self) -> str:
        return short_hash(self.encoder, self.recipe, self.note)

    @property
    def name(self) -> str:
        return f"{self.encoder}-{self.fingerprint}"


@dataclass(frozen=True)
class EncoderStore:
    """The items of one encoder over one data root."""

    folder: Path
    encoding: Encoding

    def path(self, item: str) -> Path:
        return self.folder / f"{item}.safetensors"

    def write(
        self, item: str, features: Features, source: Path, facts: Mapping[str, object] | None = None
    ) -> None:
        """Writes one item whole or not at all, with the size and time of the file it came from.

        Args:
            facts: what else the manifest is to say of it.
        """
        stamp = {"item": item, "fingerprint": self.encoding.fingerprint, "source": source.name}
        stamp |= stamp_of(source) | {name: str(value) for name, value in (facts or {}).items()}
        write_atomically(self.path(item), save(features, metadata=stamp))
        self.note(item).unlink(missing_ok=True)

    def note(self, item: str) -> Path:
        return self.folder / f"{item}.failed.txt"

    def fail(self, item: str, why: str) -> None:
        """Notes in the store why an item could not be made; a later `write` takes it back."""
        write_atomically(self.note(item), why)

    def manifest(self) -> pd.DataFrame:
        """A row an item, by id: `made` or `failed`, its source, what it holds, and why it failed.

        Read from the items themselves, so it is right whatever was killed in between.
        """
        made = [
            {"item": path.name.removesuffix(".safetensors"), "state": "made"}
            | self.facts(path.name.removesuffix(".safetensors"))
            for path in self.folder.glob("[!.]*.safetensors")
        ]
        failed = []
        for path in self.folder.glob("[!.]*.failed.txt"):
            with suppress(FileNotFoundError):  # another process has made it by now
                item = path.name.removesuffix(".failed.txt")
                failed.append({"item": item, "state": "failed", "why": path.read_text()})
        rows = sorted([*made, *failed], key=lambda row: row["item"])
        columns = dict.fromkeys(["item", "state", "source", "source_size", "source_time"])
        columns |= dict.fromkeys(sorted({name for row in rows for name in row} - {"why"}))
        return pd.DataFrame(rows, columns=[*columns, "why"])

    def is_fresh(self, item: str, source: Path) -> bool:
        """Whether the item is there, made by this encoder from the source as it is now."""
        if not self.path(item).exists():
            return False
        expected = {"fingerprint": self.encoding.fingerprint, **stamp_of(source)}
        return expected.items() <= self.facts(item).items()

    def read(self, item: str) -> Features:
        """The arrays of one item.

        Raises:
            DataError: not there, half written by something else, or made by another encoder.
        """
        with self._open(item) as file:
            made_by = (file.metadata() or {}).get("fingerprint")
            if made_by != self.encoding.fingerprint:
                raise DataError(
                    f"{self.path(item)}: made by another encoder ({made_by}, the store is"
                    f" {self.encoding.name}); delete the file and extract it again"
                )
            return {name: file.get_tensor(name) for name in file.keys()}

    def facts(self, item: str) -> dict[str, str]:
        """What is noted of an item beside its arrays, which are not read."""
        with self._open(item) as file:
            return file.metadata() or {}

    @contextmanager
    def _open(self, item: str) -> Iterator[safe_open]:
        path = self.path(item)
        if not path.exists():
            raise DataError(f"{path}: no such features; extract {item}, or take it out of the data")
        try:
            with safe_open(path, framework="numpy") as file:
                yield file
        except SafetensorError as error:
            raise DataError(f"{path}: damaged ({error}); delete it and extract it again") from error


def stamp_of(source: Path) -> dict[str, str]:
    """Size in bytes and change time in nanoseconds, as the text that safetensors stores."""
    status = source.stat()
    return {"source_size": str(status.st_size), "source_time": str(status.st_mtime_ns)}


def store_folder(store: str, index: Index) -> Path:
    """The store of one data root; empty `store` is `<workspace>/features`."""
    base = Path(store).expanduser().resolve() if store else workspace() / "features"
    return base / index.key


def create_store(store: str, index: Index, encoding: Encoding) -> EncoderStore:
    """Opens the place of an encoder's features for writing; what a kill left there goes."""
    folder = store_folder(store, index) / encoding.name
    for unfinished in folder.glob(".writing-*"):
        if time.time() - unfinished.stat().st_mtime > STALE_S:  # no other process writes it
            unfinished.unlink(missing_ok=True)
    write_atomically(folder / "encoding.json", json.dumps(vars(encoding), indent=2))
    return EncoderStore(folder, encoding)


def find_store(store: str, index: Index, encoder: str) -> EncoderStore:
    """Opens features by the encoder's name, with its fingerprint where several stand side by side.

    Raises:
        DataError: there are none, or several; the sentence names those that are there.
    """
    base = store_folder(store, index)
    here = [EncoderStore(file.parent, read_encoding(file)) for file in base.glob("*/encoding.json")]
    matches = [s for s in here if encoder in (s.encoding.encoder, s.encoding.name)]
    if not matches:
        names = some(sorted(s.encoding.name for s in here)) or "none at all"
        raise DataError(
            f"{base}: no features named {encoder!r} (there: {names}); extract them,"
            " or give a folder of <id>.npy"
        )
    if len(matches) > 1:
        raise DataError(
            f"{base}: several features are named {encoder!r}; say which of"
            f" {', '.join(sorted(s.encoding.name for s in matches))}"
        )
    return matches[0]


def read_encoding(file: Path) -> Encoding:
    """Reads `encoding.json`, and refuses a folder whose name says something else."""
    encoding = Encoding(**json.loads(file.read_text()))
    if file.parent.name != encoding.name:
        raise DataError(
            f"{file}: describes {encoding.name} in a folder named {file.parent.name};"
            " it was made by another encoder: rename or delete the folder"
        )
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
            raise DataError(f"{path}: no such file; add it, or take {item} out of videos.csv")
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise DataError(f"{path}: not a readable .npy file ({error}); save it again") from error
        return {"features": array}


def open_features(name: str, store: str, index: Index) -> EncoderStore | OwnFeatures:
    """Opens features by an encoder's name in the store, or by the path of a user's folder."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return OwnFeatures(folder.resolve(), Encoding("own", folder.resolve().name))
    return find_store(store, index, name)
