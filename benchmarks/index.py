"""Time to index a data set of iMiGUE's size, with a cold and with a warm cache.

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
    """Generates the data, then indexes them in new processes, first without the cache."""
    from imigue_lab.data.synthetic.story import FULL_VIDEOS, SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    root = folder / layout
    start = time.perf_counter()
    make_data(root, SyntheticSpec(videos=FULL_VIDEOS, size="full", layout=layout))
    results = [f"generated in {time.perf_counter() - start:.0f} s"]
    for cached in (folder / "probes").glob("*.json"):
        cached.unlink()
    for state, limit in LIMITS.items():
        command = [sys.executable, "-m", "benchmarks.index", str(root)]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        total = time.perf_counter() - start
        warning = "" if total < limit else ", TOO SLOW"
        results.append(
            f"{state} {float(done.stdout):.2f} s, {total:.1f} s with the start of Python"
            f" (limit {limit}{warning})"
        )
    print(f"index of {layout}: {'; '.join(results)}")


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
