"""What the containers of many videos say, asked once: a JSON file a data root in the workspace.

<workspace>/probes/<root name>-<hash>.json      path -> size, change time, what the file says
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

from imigue_lab.data.index import Problem
from imigue_lab.data.videos.video import VideoInfo, probe
from imigue_lab.data.workspace import short_hash, workspace, write_atomically
from imigue_lab.errors import DataError

VERSION = 1  # raise it when `probe` answers otherwise
FACTS = [field.name for field in fields(VideoInfo)]
THREADS = 8  # opening a file waits for the disk, more so over a network
Known = dict[str, tuple[list[int], list]]  # path -> [size in bytes, change time in ns], facts


def probe_all(paths: Sequence[Path], root: Path) -> tuple[dict[Path, VideoInfo], list[Problem]]:
    """Probes every file whose size or change time is not the one remembered for `root`.

    Returns:
        path -> what the container says; a problem for each file that cannot be opened.
    """
    file = workspace() / "probes" / f"{root.name}-{short_hash(root)}.json"
    before = recall(file)
    stamps = {path: stamp(path) for path in paths}
    now: Known = {
        str(path): before[str(path)]
        for path in paths
        if str(path) in before and before[str(path)][0] == stamps[path]
    }
    problems = []
    asked = [path for path in paths if str(path) not in now]
    with ThreadPoolExecutor(THREADS) as pool:
        for path, answer in zip(asked, pool.map(probe_or_problem, asked), strict=True):
            if isinstance(answer, Problem):
                problems.append(answer)
            else:
                now[str(path)] = stamps[path], [getattr(answer, name) for name in FACTS]
    if asked:
        write_atomically(file, json.dumps({"version": VERSION, "facts": FACTS, "videos": now}))
    return {path: VideoInfo(*now[str(path)][1]) for path in paths if str(path) in now}, problems


def probe_or_problem(path: Path) -> VideoInfo | Problem:
    try:
        return probe(path)
    except DataError as error:
        what, _, advice = str(error).removeprefix(f"{path}: ").rpartition("; ")
        return Problem("unreadable", path, None, what, advice)


def recall(file: Path) -> Known:
    """What was remembered; nothing where the file is absent, damaged or of another version."""
    try:
        stored = json.loads(file.read_text())
        if (stored["version"], stored["facts"]) != (VERSION, FACTS):
            return {}
        return {
            path: (list(known), list(facts)) for path, (known, facts) in stored["videos"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def stamp(path: Path) -> list[int]:
    """Size in bytes and change time in nanoseconds; nothing for a broken link."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
