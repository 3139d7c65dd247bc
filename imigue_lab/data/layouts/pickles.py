"""One annotation pickle of pyskl or mmaction2 as a data root: a plain tree in the workspace.

    {split: {name: [ids]}, annotations: [{frame_dir, total_frames, label, keypoint (M, T, V, C)
     [, keypoint_score (M, T, V)]}]}, or the list of annotations alone

Each annotation becomes a video with one clip; without a split, all are in train. A
``keypoints.json`` beside the pickle declares the layout where its joints fit several known ones.
NTU's names give the subject.

A pickle names functions to call. Nothing in it is executed: those that make NumPy arrays are
answered by own functions (`ALLOWED`), any other is refused by its name.
"""

import json
import pickle
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imigue_lab.data.index import Survey
from imigue_lab.data.keypoint_files.tables import layout_of_file
from imigue_lab.data.layouts.plain import read_plain
from imigue_lab.data.skeletons.geometry import Skeleton
from imigue_lab.data.skeletons.keypoints import FILE, Layout, declared_layout, to_declaration
from imigue_lab.data.workspace import short_hash, workspace, write_array, write_atomically
from imigue_lab.errors import WEIGHTS, DataError, bounded, some, unreadable

NTU = re.compile(r"S\d{3}C\d{3}P(\d{3})R\d{3}A\d{3}")
MOST, ARRAY = 10**9, np.ndarray | None  # frames, or labels; of scores
SPLITS = {"train": "train", "val": "validation", "test": "test"}  # the end of a name: its split


def read_pickle_root(path: Path) -> Survey:
    """Surveys one pickle, which is converted first unless it has been.

    Raises DataError for a pickle of another form.
    """
    state, declared = path.stat(), declared_layout(path.parent)
    digest = short_hash(path, state.st_size, state.st_mtime_ns, declared)
    root = workspace() / "pickles" / f"{path.stem}-{digest}"
    if not (root / "videos.csv").exists():  # written last
        convert_pickle(path, root, declared)
    return read_plain(root)


def convert_pickle(path: Path, root: Path, declared: Layout | None) -> None:
    """Writes a plain tree of the annotations."""
    content = read_pickle(path)
    whole = content if isinstance(content, dict) else {"annotations": content}
    annotations, named = whole.get("annotations"), whole.get("split", {})
    named = named if isinstance(named, dict) else {0: named}
    lists = all(isinstance(ids, Iterable) for ids in named.values())
    texts = lists and all(isinstance(i, str) for own, ids in named.items() for i in (own, *ids))
    if not isinstance(annotations, list) or not annotations or not texts:
        raise DataError(f"{path}: expected annotations of pyskl, got none; see docs/data.md")
    splits = choose_splits(named)
    videos, clips, layouts = dict[str, list[str]](), [], set()
    for number, annotation in enumerate(annotations):
        name, points, axes = read_annotation(annotation, f"{path}: annotation {number}")
        video, subject = re.sub(r"[^\w.-]", "_", name), NTU.search(name)
        if video in videos:
            raise DataError(f"{path}: expected one annotation for each id, got {name} twice")
        if splits and name not in splits:
            continue
        write_array(root / "keypoints" / f"{video}.npy", points)
        videos[video] = [video, splits.get(name, "train"), subject[1] if subject else ""]
        clips.append([f"{video}_0", video, 0, points.shape[1] - 1, int(annotation["label"])])
        layouts.add((points.shape[-2], axes))
    if len(layouts) != 1 or len(videos) < len(splits):
        lost = f"{max(len(splits) - len(videos), 0)} ids without, {len(layouts)} layouts"
        raise DataError(f"{path}: expected an annotation for each id, in one layout, got {lost}")
    (joints, axes), shaped = layouts.pop(), path.with_suffix(".npy")
    layout = layout_of_file(shaped, (1, joints, 3), declared, axes=axes)
    write_atomically(root / FILE, json.dumps(to_declaration(layout)))
    for file, header, rows in (
        ("clips.csv", "clip_id,video_id,start,end,class", clips),
        ("videos.csv", "video_id,split,subject", [*videos.values()]),  # written last
    ):
        table = pd.DataFrame(rows, columns=header.split(","))
        write_atomically(root / file, table.to_csv(index=False))


def read_annotation(annotation: Any, where: str) -> tuple[str, Skeleton, int]:
    """The name of an annotation, its keypoints with scores, or in space, and their axes."""
    own: dict[str, Any] = annotation if isinstance(annotation, dict) else {}
    name, label = own.get("frame_dir", own.get("filename")), own.get("label")
    arrays = (own.get(key) for key in ("keypoint", "keypoint_score"))
    # nothing but arrays: lists that refer to one another would be endless
    points, scores = (a if isinstance(a, np.ndarray) else np.asarray(0.0) for a in arrays)
    axes = 3 if points.shape[-1:] == (3,) and not scores.shape else 2
    if points.ndim == 4 and points.shape[-1] == 2:
        shown = (points != 0).any(axis=-1)
        scores = scores if scores.shape == shown.shape else shown
        points = np.concatenate([points, scores[..., None]], axis=-1)
    fits = points.ndim == 4 and points.shape[-1] == 3 and points.dtype.kind == "f" and points.size
    fits = fits and "raw_file" not in own and isinstance(own.get("keypoint_score"), ARRAY)
    frames = own.get("total_frames", points.shape[1] if fits else 0)
    numbered = all(isinstance(n, int | np.integer) and -MOST < n < MOST for n in (label, frames))
    if not (fits and isinstance(name, str) and name and numbered and frames == points.shape[1]):
        found = "arrays outside" if "raw_file" in own else f"{text_of(name)}, {points.shape}"
        raise DataError(
            f"{where}: expected frame_dir, a number as label, and keypoint (persons, total_frames,"
            f" joints, 2 or 3), got {found}, label {text_of(label)}, {text_of(frames)} frames;"
            " write the pickle again"
        )
    return name, points.astype(np.float32), axes


def text_of(value: Any) -> str:
    """A text or number; the type of anything else, whose text may be endless."""
    small = not isinstance(value, int) or -MOST < value < MOST
    plain = isinstance(value, str | int | float | np.integer | None)
    return f"{value!r:.40}" if small and plain else f"a {type(value).__name__}"


def choose_splits(named: dict[str, Any]) -> dict[str, str]:
    """The split of each id, by the first protocol: xsub of xsub_train, xsub_val, xview_train."""
    protocols: dict[str, dict[str, str]] = {}
    for name, ids in named.items():
        for ending, split in SPLITS.items():
            if ending in name.lower():
                start = name.lower().partition(ending)[0].rstrip("_")
                protocols.setdefault(start, {}).update(dict.fromkeys(ids, split))
    if len(protocols) > 1:
        first, *others = protocols
        print(f"note: the splits are those of {first}; not used: {some(others)}")
    return next(iter(protocols.values()), {})


def read_pickle(path: Path) -> Any:
    """Dicts, lists, texts, numbers and arrays of numbers.

    Raises DataError for a file that contains anything else, is damaged or too large.
    """
    try:
        with bounded(path, WEIGHTS).open("rb") as file:
            return Plain(file, encoding="latin1").load()
    except Exception as error:  # damaged pickles raise any exception
        what = "expected a pickle of lists, dicts and arrays, got one that cannot be read"
        todo = "store the keypoints as .npy, see docs/data.md"
        raise unreadable(path, what, error, todo) from None


class Plain(pickle._Unpickler):  # that of C fills the memory for a reference of 5 bytes
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
