"""Kills one extraction 20 times at random; the store must equal that of an uninterrupted run.

python -m benchmarks.kill_extraction        about 4 minutes on two cores

Each kill follows up to 0.3 s after the first item that the process has finished, so that it
interrupts decoding, encoding, or the writing of an item.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors import safe_open

from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data

KILLS = 20


def start(root: Path, store: Path) -> subprocess.Popen:
    arguments = ["extract", "--data", str(root), "--store", str(store), "--encoders", "tiny"]
    return subprocess.Popen(
        [sys.executable, "-m", "imigue_lab", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def items_of(store: Path) -> list[Path]:
    return sorted(path.relative_to(store) for path in store.rglob("[!.]*.safetensors"))


def read(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}, file.metadata()


def main() -> None:
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed, root = (Path(folder) / name for name in ("whole", "killed", "interviews"))
        os.environ["IMIGUE_LAB_HOME"] = str(Path(folder) / "home")
        make_data(root, SyntheticSpec(videos=48))
        assert start(root, whole).wait() == 0
        counts = []
        for _ in range(KILLS):
            process, before = start(root, killed), len(items_of(killed))
            while len(items_of(killed)) == before and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.3))
            assert process.poll() is None, "it ended before it was killed: generate more interviews"
            process.kill()
            process.wait()
            counts.append(len(items_of(killed)))
        assert start(root, killed).wait() == 0
        print(f"items in the store after each kill: {counts}")
        assert items_of(killed) == items_of(whole)
        same = [read(killed / item) == read(whole / item) for item in items_of(whole)]
        print(f"{sum(same)} of {len(same)} items are bit-identical")
        assert all(same)


if __name__ == "__main__":
    main()
