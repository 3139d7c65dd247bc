"""Kills one extraction 20 times at random; the store must equal that of an uninterrupted run.

python -m benchmarks.kill_extraction [ENCODERS]        about 4 minutes on two cores, 10 of keypoints

ENCODERS are those of `extract`, by default tiny. Those that need fetched weights, such as
keypoints,face-blendshapes, are left out where these are absent.

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
from imigue_lab.data.workspace import workspace
from imigue_lab.errors import LabError
from imigue_lab.features import CATALOGUE, parse_names
from imigue_lab.features.shipped import Network

KILLS = 20


def start(root: Path, store: Path, encoders: str) -> subprocess.Popen:
    arguments = ["extract", "--data", str(root), "--store", str(store), "--encoders", encoders]
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


def missing(encoders: str) -> str:
    """Why the weights that they need cannot be used; empty if they can."""
    try:
        if any(CATALOGUE[name].size == "shipped" for name in parse_names(encoders)):
            Network("pose_detector"), Network("expression")
    except LabError as error:
        return str(error)
    return ""


def main(encoders: str = "tiny") -> None:
    if why := missing(encoders):
        print(f"{encoders}: left out: {why}")
        return
    weights, rng = workspace() / "weights", random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed, root = (Path(folder) / name for name in ("whole", "killed", "interviews"))
        os.environ["IMIGUE_LAB_HOME"] = str(Path(folder) / "home")
        if weights.is_dir():
            workspace().mkdir()
            (workspace() / "weights").symlink_to(weights)
        make_data(root, SyntheticSpec(videos=48 if encoders == "tiny" else KILLS + 4))
        assert start(root, whole, encoders).wait() == 0
        counts = []
        for _ in range(KILLS):
            process, before = start(root, killed, encoders), len(items_of(killed))
            while len(items_of(killed)) == before and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.3))
            assert process.poll() is None, "it ended before it was killed: generate more interviews"
            process.kill()
            process.wait()
            counts.append(len(items_of(killed)))
        assert start(root, killed, encoders).wait() == 0
        print(f"items in the store after each kill: {counts}")
        assert items_of(killed) == items_of(whole)
        same = [read(killed / item) == read(whole / item) for item in items_of(whole)]
        print(f"{sum(same)} of {len(same)} items are bit-identical")
        assert all(same)


if __name__ == "__main__":
    main(*sys.argv[1:])
