"""The ensemble of docs/recipes.md, tiny: six streams and their fusion, by product commands.

Synthetic clips, in which some classes differ in the pose and others in the pictures. The fused
score on test is to be above that of every stream; weights are equal, so nothing was chosen on it.

python -m benchmarks.ensemble [videos]        about 10 minutes on one core
"""

import os
import sys
import tempfile
import time
from contextlib import redirect_stderr
from pathlib import Path

from imigue_lab.app import main as imigue_lab
from imigue_lab.results.fuse import fusion_table
from imigue_lab.training.runs import find_run

VIDEOS = 150
STREAMS = {
    "joint": "--model ctr-gcn --frames 16 --epochs 16",
    "bone": "--model ctr-gcn --frames 16 --epochs 16 --stream bone",
    "heatmap-joint": "--model poseconv3d --frames 8 --epochs 12",
    "heatmap-limb": "--model poseconv3d --frames 8 --epochs 12 --stream bone",
    "rgb-joint": "--model rgbpose-conv3d --epochs 4",
    "rgb": "--model tsm --epochs 6",
}


def main(videos: int = VIDEOS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMIGUE_LAB_HOME"] = f"{folder}/workspace"
        data, start = f"{folder}/interviews", time.perf_counter()
        imigue_lab(["make-data", data, "--videos", str(videos)])
        for name, options in STREAMS.items():
            words = f"--data {data} {options} --batch-size 8 --patience 99 --name {name}"
            with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
                imigue_lab(["train", "baseline", *words.split()])
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        imigue_lab(["fuse", *STREAMS, "--name", "ensemble"])
        table = fusion_table(find_run("ensemble"))
    best = table[table.split == "test"].sort_values("top1").iloc[-1]
    low, high = best.fusion_gains_interval
    print(
        f"test: fused {best.top1 + best.fusion_gains:.3f}, best stream {best.run} {best.top1:.3f},"
        f" gain {best.fusion_gains:+.3f} [{low:+.3f}, {high:+.3f}] on {best.n} clips"
    )
    assert best.fusion_gains > 0, "the fusion is no better than its best stream"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
