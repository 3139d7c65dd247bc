"""Kills one training 20 times at random; it must end with the results of an uninterrupted run.

python -m benchmarks.kill_training [emotion|gesture|motion|video|recognition|pyramid] [KILLS]

Emotion takes about 3 minutes on two cores, the others about 6.

Each kill happens up to half a second after the first epoch that the process has finished, so it
interrupts an epoch, the time between two, or the writing of one.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data

COMMANDS = {
    "emotion": "train emotion --epochs 200 --patience 200 --dropout 0.3 --scheduler plateau"
    " --max-windows 8",
    "gesture": "train gesture --epochs 60 --patience 60 --warmup 5 --ramp 20 --bank 8 --width 48"
    " --heads 6",
    "motion": "pretrain motion --epochs 60 --frames 8 --windows 0 --probe false --ema 0.9",
    "video": "pretrain video --epochs 60 --frames 8 --windows 0 --probe false --ema 0.9",
    "recognition": "train recognition --epochs 60 --patience 60 --ema 0.9",
    "pyramid": "train recognition --model pyramid --epochs 60 --patience 60 --ema 0.9",
}
VIDEOS = {"video": 8}  # interviews with pictures; of the others 60 without
COMPARED = (
    "metrics.csv",
    "scores.json",
    "predictions.parquet",
    "best.safetensors",
    "last.safetensors",
)


def start(task: str, workspace: Path, root: Path) -> subprocess.Popen:
    arguments = f"{COMMANDS[task]} --data {root} --name run"
    return subprocess.Popen(
        [sys.executable, "-m", "imigue_lab", *arguments.split()],
        env=os.environ | {"IMIGUE_LAB_HOME": str(workspace)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def epochs_of(workspace: Path) -> int:
    """Finished epochs on disk."""
    metrics = workspace / "runs" / "run" / "metrics.csv"
    return len(metrics.read_text().splitlines()) - 1 if metrics.exists() else 0


def main(task: str = "emotion", kills: str | int = 20) -> None:
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed, root = (Path(folder) / name for name in ("whole", "killed", "interviews"))
        os.environ["IMIGUE_LAB_HOME"] = str(whole)
        make_data(root, SyntheticSpec(videos=VIDEOS.get(task, 60), pictures=task in VIDEOS))
        (killed / "features").parent.mkdir()
        (killed / "features").symlink_to(whole / "features")
        assert start(task, whole, root).wait() == 0
        epochs = []
        for _ in range(int(kills)):
            process, before = start(task, killed, root), epochs_of(killed)
            while epochs_of(killed) == before and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.5))
            assert process.poll() is None, (
                "the training ended before it was killed; increase the epochs"
            )
            process.kill()
            process.wait()
            epochs.append(epochs_of(killed))
        assert start(task, killed, root).wait() == 0
        print(f"{task}: epochs on disk after each kill: {epochs}")
        for name in COMPARED:
            same = (whole / "runs/run" / name).read_bytes() == (
                killed / "runs/run" / name
            ).read_bytes()
            print(f"{name}: {'identical' if same else 'DIFFERS'}")
            assert same, name


if __name__ == "__main__":
    main(*sys.argv[1:])
