"""Writes a made-up iMiGUE in any of the layouts, and made-up features into the store.

<root>/made_up.json says what it was made with; the rest is as the layout has it (`forms.py`).
"""

import json
import shutil
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from imigue_lab.data.index import Index
from imigue_lab.data.layout import read_index
from imigue_lab.data.synthetic.clip_features import write_clip_features
from imigue_lab.data.synthetic.features import write_features
from imigue_lab.data.synthetic.forms import WRITERS, write_tables
from imigue_lab.data.synthetic.recording import record
from imigue_lab.data.synthetic.story import VERSION, MadeUp, plan
from imigue_lab.data.workspace import workspace, write_atomically
from imigue_lab.errors import DataError


def make_data(root: Path | str, spec: MadeUp, store: str = "") -> Index:
    """Writes the tree at `root`, which must be new or empty, and the features into the store.

    Raises:
        DataError: something lies at `root` already.
    """
    root = Path(root).expanduser().resolve()
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: is not empty; name a new folder, or delete what lies there")
    unfinished = root.with_name(f".making-{root.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    interviews = plan(spec)
    for interview in tqdm(interviews, desc="made-up interviews", unit="video"):
        WRITERS[spec.layout](unfinished, record(interview, spec), spec)
    write_tables(unfinished, interviews, spec)
    made_with = {"note": "nothing here was filmed", "version": VERSION, **vars(spec)}
    write_atomically(unfinished / "made_up.json", json.dumps(made_with, indent=2))
    if root.exists():
        root.rmdir()
    unfinished.rename(root)
    index = read_index(root)
    write_all_features(index, spec, store)
    return index


def write_all_features(index: Index, spec: MadeUp, store: str) -> None:
    """Those of interviews and those of clips, where they are absent."""
    write_features(index, spec, store)
    write_clip_features(index, spec, store)


def ensure_synthetic(spec: MadeUp | None = None, store: str = "") -> Path:
    """The root of a made-up set in the workspace; it and its features are made where absent."""
    spec = spec or MadeUp()
    root = workspace() / "data" / f"synthetic-{spec.key}"
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_suffix(".lock")):
        if root.exists():
            write_all_features(read_index(root), spec, store)
        else:
            make_data(root, spec, store)
    return root
