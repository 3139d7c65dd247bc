"""Cache of parsed keypoint files: float32 arrays in the workspace.

    <workspace>/keypoints/<file name>-<hash of path and parser>-<hash of size and change time>.npy

iMiGUE's spreadsheets of 21 MB are slow to read; their arrays are memory-mapped. The parser is an
argument; it must be a module-level function, since worker processes look it up by name.

Letters in shapes: T frames, V joints.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from glob import escape
from pathlib import Path
from threading import Thread

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.keypoint_files.formats import file_of
from imigue_lab.data.workspace import progress, short_hash, workspace, write_array
from imigue_lab.errors import DataError, LabError, unreadable

PARALLEL_FROM = 64_000_000  # bytes of files; fewer are parsed before other processes have started
VERSION = 2  # increase when a parser returns something else for the same file
# x, y in pixels, confidence; 0 where missing; or x, y, z in space
Keypoints = Float32[np.ndarray, "*persons T V 3"]
Parser = Callable[[Path], Keypoints]


def read_keypoints(source: Path, parse: Parser) -> Keypoints:
    """The keypoints of one file or folder, read-only; parsed first if not in the cache, and each
    time if the cache cannot be written to.

    Raises DataError for an absent file, or as the parser does.
    """
    cached = array_path(source, parse)
    if not cached.exists():
        try:
            convert_one(source, parse)
        except DataError:
            raise
        except LabError:
            return parse(source)
    return np.load(cached, mmap_mode="r", allow_pickle=False)


def convert(sources: Sequence[Path], parse: Parser, jobs: int = 0) -> None:
    """Parses those of `sources` that are new or have changed; a killed run keeps finished files.

    `jobs` are processes; 0 is one per available core, but a single one below `PARALLEL_FROM`.
    Raises DataError if the parser rejects a file; the others are converted first.
    """
    new = [source for source in sources if not array_path(source, parse).exists()]
    total = sum(size for source in new for _, size, _ in state_of(source))
    jobs = min(jobs or (cores() if total > PARALLEL_FROM else 1), len(new))
    run = partial(attempt, parse=parse)
    with ExitStack() as stack:
        results: Iterable[list[str]] = map(run, new)
        if jobs > 1:
            start = multiprocessing.get_context("spawn")  # forking a threaded process may hang
            pool = ProcessPoolExecutor(jobs, start, end_with_parent)
            stack.callback(pool.shutdown, cancel_futures=True)
            results = pool.map(run, new)
        bar = progress(results, total=len(new), desc="keypoints", unit="file", disable=not new)
        failed = [message for messages in bar for message in messages]
    if failed:
        more = f" ({len(failed) - 1} more files failed)" if len(failed) > 1 else ""
        raise DataError(f"{sorted(failed)[0]}{more}")


def cores() -> int:
    """Cores that this process may use, where the system reports them; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def end_with_parent() -> None:
    """Ends a worker process when its parent is killed; otherwise it would wait forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def attempt(source: Path, parse: Parser) -> list[str]:
    """Converts one file; returns the parser's error message, if any."""
    try:
        convert_one(source, parse)
    except DataError as error:
        return [str(error)]
    return []


def convert_one(source: Path, parse: Parser) -> None:
    """Parses and stores one file, and removes arrays of its earlier states."""
    target = array_path(source, parse)  # if the file changes while it is parsed, this is stale
    write_array(target, parse(source))
    for old in target.parent.glob(f"{escape(target.stem.rpartition('-')[0])}-*.npy"):
        if old != target:
            old.unlink(missing_ok=True)


def array_path(source: Path, parse: Parser) -> Path:
    """The path of the array of a source in its current state, whether it exists or not."""
    try:
        state = state_of(source)
    except OSError as error:
        raise unreadable(source, "no such keypoints", error, "see docs/data.md") from error
    parser = f"{parse.__module__}.{parse.__qualname__}"
    name = f"{source.stem}-{short_hash(source.absolute(), parser)}-{short_hash(VERSION, state)}"
    return workspace() / "keypoints" / f"{name}.npy"


def state_of(source: Path) -> list[tuple[str, int, int]]:
    """Name, size and change time of a file, or of each file in a folder."""
    files = sorted(source.iterdir()) if source.is_dir() else [file_of(source)]
    states = [(file.name, file.stat()) for file in files]
    return [(name, status.st_size, status.st_mtime_ns) for name, status in states]
