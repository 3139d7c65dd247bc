"""The ensemble of docs/recipes.md, tiny: six streams and their folds, fused, by product commands.

Synthetic clips, in which some classes differ in the pose and others in the pictures. Each stream is
trained on the official split and on five subject folds, on whose scores the weights are fitted. The
fused score on test is to be above that of every stream.

python -m benchmarks.ensemble [videos]        about 10 minutes on one core
"""

import os
import sys
import tempfile
import time
from contextlib import redirect_stderr
from pathlib import Path

from imigue_lab.app import main as imigue_lab
from imigue_lab.data.splits import FOLDS
from imigue_lab.results.fuse import fusion_table
from imigue_lab.training.runs import find_run

VIDEOS = 90
STREAMS = {
    "ctr-gcn-joint": "--model ctr-gcn --epochs 8",
    "ctr-gcn-bone": "--model ctr-gcn --stream bone --epochs 8",
    "poseconv3d-joint": "--model poseconv3d --epochs 6",
    "poseconv3d-limb": "--model poseconv3d --stream bone --epochs 6",
    "rgbpose-conv3d": "--model rgbpose-conv3d --epochs 4",
    "tsm-rgb": "--model tsm --epochs 4",
}


def train(name: str, data: Path, fold: int) -> None:
    """`imigue-lab train baseline ...` of one stream and split."""
    words = ["train", "baseline", "--data", str(data), *STREAMS[name].split()]
    named = ["--name", name] if fold < 0 else ["--fold", str(fold)]
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        imigue_lab([*words, *named])


def main(videos: int = VIDEOS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMIGUE_LAB_HOME"] = f"{folder}/workspace"
        data, start = Path(folder) / "interviews", time.perf_counter()
        imigue_lab(["make-data", str(data), "--videos", str(videos)])
        for name in STREAMS:
            for fold in range(-1, FOLDS):
                train(name, data, fold)
            print(f"{name} and its folds: {time.perf_counter() - start:.0f} s", flush=True)
        imigue_lab(["fuse", *STREAMS, "--weights", "folds", "--temperature", "--name", "ensemble"])
        table = fusion_table(find_run("ensemble"))
        best = table[table.split == "test"].sort_values("top1").iloc[-1]
    fused = best.top1 + best.fusion_gains
    low, high = best.fusion_gains_interval
    print(
        f"test: fused {fused:.3f}, best stream {best.run} {best.top1:.3f}, gain"
        f" {best.fusion_gains:+.3f} [{low:+.3f}, {high:+.3f}] on {best.n} clips"
    )
    assert best.fusion_gains > 0, "the fusion is no better than its best stream"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
