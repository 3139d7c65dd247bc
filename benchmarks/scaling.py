"""Speed of the emotion model with a second process, bf16, accumulation and determinism.

python -m benchmarks.scaling [width] [depth]        about 3 minutes on two cores

One process with one thread against one with two threads and two with one thread each, interleaved;
the global batch is always 8 interviews of 120 windows.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROUNDS, EPOCHS = 3, 2
SETUPS = {
    "one process, one thread": (1, 1, ""),
    "one process, two threads": (1, 2, ""),
    "two processes, one thread each": (2, 1, ""),
    "one thread, bf16": (1, 1, "--precision bf16"),
    "one thread, accumulate 4": (1, 1, "--accumulate 4"),
    "one thread, deterministic": (1, 1, "--deterministic true"),
}
INTERVIEWS, WINDOWS = 40, 120


def write_interviews(root: Path) -> None:
    """A data set of features: half lost, half won, all of one length."""
    rng = np.random.default_rng(0)
    rows = ["video_id,split,outcome,subject"]
    for number in range(INTERVIEWS):
        split = "train" if number < INTERVIEWS - 4 else ("validation", "test")[number % 4 // 2]
        rows.append(f"v{number:02d},{split},{('win', 'lose')[number % 2]},s{number}")
        for stream, width in (("context", 768), ("face", 512)):
            (root / stream).mkdir(parents=True, exist_ok=True)
            features = rng.normal(size=(WINDOWS, width)).astype("float32")
            np.save(root / stream / f"v{number:02d}.npy", features)
    (root / "videos.csv").write_text("\n".join(rows))


def seconds_of(
    root: Path, home: Path, name: str, setup: tuple[int, int, str], arguments: str
) -> float:
    """Of one training according to its provenance, without the start of Python."""
    processes, threads, extra = setup
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    command = [sys.executable, "-m", *(torchrun if processes > 1 else []), "imigue_lab"]
    sources = f"--data {root} --context {root}/context --face {root}/face --name {name}"
    subprocess.run(
        [*command, *f"train emotion {sources} {arguments} {extra}".split()],
        env=os.environ | {"IMIGUE_LAB_HOME": str(home), "OMP_NUM_THREADS": str(threads)},
        check=True,
        capture_output=True,
    )
    return json.loads((home / "runs" / name / "provenance.json").read_text())["seconds"]


def main(width: int = 128, depth: int = 2) -> None:
    arguments = f"--width {width} --depth {depth} --epochs {EPOCHS} --max-windows 0 --device cpu"
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "interviews", Path(folder) / "home"
        write_interviews(root)
        seconds: dict[str, list[float]] = {name: [] for name in SETUPS}
        for round_ in range(ROUNDS):
            for number, (name, setup) in enumerate(SETUPS.items()):
                started = time.perf_counter()
                seconds[name].append(seconds_of(root, home, f"{number}-{round_}", setup, arguments))
                print(
                    f"{name}: {time.perf_counter() - started:.0f} s including the start", flush=True
                )
        first = min(seconds["one process, one thread"])
        for name, own in seconds.items():
            print(f"{name}: {min(own):.1f} s, {first / min(own):.2f} times as fast")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
