"""Opens the data that a notebook or command names: a root on disk, or the made-up set."""

from pathlib import Path

from imigue_lab.data.layout import Index, read_index
from imigue_lab.data.synthetic.tree import ensure_synthetic


def open_data(data: str, labels: str = "", store: str = "") -> Index:
    """The index of a root; ``"synthetic"`` is the made-up set, written first where absent."""
    return read_index(find_root(data, store), labels)


def find_root(data: str, store: str = "") -> Path:
    """The folder alone, unread: a faulty tree has one too."""
    return ensure_synthetic(store=store) if data == "synthetic" else Path(data)
