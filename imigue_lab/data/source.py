"""Opens the data that a notebook or command names: a root on disk, or the made-up set."""

from imigue_lab.data.layout import Index, read_index
from imigue_lab.data.synthetic.tree import ensure_synthetic


def open_data(data: str, labels: str = "", store: str = "") -> Index:
    """The index of a root; ``"synthetic"`` is the made-up set, written first where absent."""
    root = ensure_synthetic(store=store) if data == "synthetic" else data
    return read_index(root, labels)
