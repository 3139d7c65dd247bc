"""Properties of many videos, read once and cached in the workspace: one JSON file a data root.

<workspace>/probes/<root name>-<hash>.json      path -> size, change time, properties
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from imigue_lab.data.index import Problem
from imigue_lab.data.videos.video import VideoInfo, probe
from imigue_lab.data.workspace import short_hash, workspace, write_atomically
from imigue_lab.errors import DataError, LabError

VERSION = 2  # increase when `probe` returns something else
FACTS = [field.name for field in fields(VideoInfo)]
THREADS = 8  # opening files is bound by the disk or network
Known = dict[str, tuple[list[int], list]]  # path -> [size in bytes, change time in ns], facts


def probe_all(paths: Sequence[Path], root: Path) -> tuple[dict[Path, VideoInfo], list[Problem]]:
    """Properties by path, and a problem for each file that cannot be opened.

    Only files that are new or have changed since the last call for `root` are read.
    """
    file = workspace() / "probes" / f"{root.name}-{short_hash(root)}.json"
    cached = read_cache(file)
    stamps = {path: stamp(path) for path in paths}
    fresh = (str(path) for path in paths if cached.get(str(path), [None])[0] == stamps[path])
    known = {path: cached[path] for path in fresh}
    problems = []
    new = [path for path in paths if str(path) not in known]
    with ThreadPoolExecutor(THREADS) as pool:
        for path, result in zip(new, pool.map(probe_or_error, new), strict=True):
            if isinstance(result, DataError):
                what, _, advice = str(result).removeprefix(f"{path}: ").rpartition("; ")
                problems.append(Problem("unreadable", path, None, what, advice))
            else:
                known[str(path)] = stamps[path], [getattr(result, name) for name in FACTS]
    if new:
        with suppress(LabError):  # where the workspace is read-only, they are read again
            content = {"version": VERSION, "facts": FACTS, "videos": known}
            write_atomically(file, json.dumps(content))
    found = {path: VideoInfo(*known[str(path)][1]) for path in paths if str(path) in known}
    return found, problems


def probe_or_error(path: Path) -> VideoInfo | DataError:
    try:
        return probe(path)
    except DataError as error:
        return error


def read_cache(file: Path) -> Known:
    """The cached properties; empty where the file is absent, damaged or of another version."""
    try:
        stored = json.loads(file.read_text())
        if (stored["version"], stored["facts"]) != (VERSION, FACTS):
            return {}
        return {path: (list(s), list(facts)) for path, (s, facts) in stored["videos"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def stamp(path: Path) -> list[int]:
    """Size in bytes and change time in nanoseconds; empty for a broken link."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
