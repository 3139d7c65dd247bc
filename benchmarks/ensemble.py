"""The ensemble of docs/recipes.md, tiny: six streams and their fusion, by product commands.

Long synthetic interviews, in which each class is one joint moved in one way, visible in pose and
pictures. Keypoints of head and hands are missing in spells, as behind a table, where only pictures
show which of the classes it is; a tiny network of pictures is unsure of other clips. The fused
score on test is to be above that of every stream. Weights are searched on validation: those of
subject folds (`--weights folds`) would need 30 trainings more.

python -m benchmarks.ensemble [videos]        6 minutes of one core
"""

import os
import sys
import tempfile
import time
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np

from imigue_lab.app import main as imigue_lab
from imigue_lab.data.synthetic.recording import PLACE, TIPS
from imigue_lab.results.fuse import fusion_table
from imigue_lab.training.runs import find_run

VIDEOS = 60
SPELL = 50  # frames
HIDDEN = 0.4  # of the spells of each part
PARTS = [["nose"], *([wrist, *tips] for wrist, tips in TIPS.items())]
GRAPH = "--model ctr-gcn --frames 16 --epochs 12"
STREAMS = {
    "joint": GRAPH,
    "bone": f"{GRAPH} --stream bone",
    "joint-motion": f"{GRAPH} --stream joint_motion",
    "bone-motion": f"{GRAPH} --stream bone_motion",
    "rgb-joint": "--model rgbpose-conv3d --epochs 6",
    "rgb": "--model tsm --epochs 12",
}


def hide_parts(keypoints: Path) -> None:
    """Removes head and hands from the keypoint files of a plain root, each in spells of its own."""
    rng = np.random.default_rng(0)
    for path in sorted(keypoints.glob("*.npy")):
        points = np.load(path)
        for part in PARTS:
            spells = rng.random(len(points) // SPELL + 1) < HIDDEN
            hidden = spells.repeat(SPELL)[: len(points)]
            points[np.ix_(hidden, [PLACE[joint] for joint in part])] = 0
        np.save(path, points)


def main(videos: int = VIDEOS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMIGUE_LAB_HOME"] = f"{folder}/workspace"
        data, start = f"{folder}/interviews", time.perf_counter()
        how = "--size long --layout plain --videos"
        imigue_lab(["make-data", data, *how.split(), str(videos)])
        hide_parts(Path(data) / "keypoints")
        for name, options in STREAMS.items():
            words = f"--data {data} {options} --batch-size 8 --patience 99 --name {name}"
            with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
                imigue_lab(["train", "baseline", *words.split()])
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        imigue_lab(["fuse", *STREAMS, "--weights", "search", "--name", "ensemble"])
        table = fusion_table(find_run("ensemble"))
    best = table[table.split == "test"].sort_values("accuracy").iloc[-1]
    gain, (low, high) = best.fusion_gains, best.fusion_gains_interval
    print(
        f"test: fused {best.accuracy + gain:.3f}, best stream {best.run} {best.accuracy:.3f},"
        f" gain {gain:+.3f} [{low:+.3f}, {high:+.3f}] on {best.n} clips"
    )
    assert gain > 0, "the fusion is no better than its best stream"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
