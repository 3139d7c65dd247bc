"""The index of a tree of iMiGUE's size, from nothing remembered and from a warm cache.

python -m benchmarks.index        about 2 minutes on two cores, 0.4 GB of disk while it runs

The synthetic videos are small (32 x 24, some 400 frames); of real ones, too, only headers are read.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAYOUTS = ("miga2024", "miga2026", "full", "plain")
LIMITS = {"cold": 60, "warm": 5}  # seconds


def read_once(root: Path) -> float:
    """Seconds of `read_index` in this process."""
    from imigue_lab.data.layouts.recognise import read_index

    start = time.perf_counter()
    index = read_index(root)
    seconds = time.perf_counter() - start
    assert (len(index.videos), len(index.clips)) == (359, 18_232)
    return seconds


def measure(layout: str, folder: Path) -> None:
    """Makes the tree, then reads it in fresh processes: first without what was remembered."""
    from imigue_lab.data.synthetic.story import FULL_VIDEOS, SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    root = folder / layout
    start = time.perf_counter()
    make_data(root, SyntheticSpec(videos=FULL_VIDEOS, size="full", layout=layout))
    told = [f"made in {time.perf_counter() - start:.0f} s"]
    for memory in (folder / "probes").glob("*.json"):
        memory.unlink()
    for state, limit in LIMITS.items():
        words = [sys.executable, "-m", "benchmarks.index", str(root)]
        start = time.perf_counter()
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        whole = time.perf_counter() - start
        verdict = "" if whole < limit else ", TOO SLOW"
        told.append(
            f"{state} {float(done.stdout):.2f} s, {whole:.1f} s with the start of Python"
            f" (limit {limit}{verdict})"
        )
    print(f"index of {layout}: {'; '.join(told)}")


def main() -> None:
    if len(sys.argv) > 1:
        print(read_once(Path(sys.argv[1])))
        return
    with tempfile.TemporaryDirectory(prefix="imigue-lab-") as folder:
        os.environ["IMIGUE_LAB_HOME"] = folder
        for layout in LAYOUTS:
            measure(layout, Path(folder))


if __name__ == "__main__":
    main()
