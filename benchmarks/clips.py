"""The gesture loader: time a clip, and memory at ten times as many clips.

python -m benchmarks.clips        about 20 seconds on two cores
"""

import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd

from imigue_lab.data.clips import ClipDataset, KeypointFiles, collate
from imigue_lab.data.keypoints import subset
from imigue_lab.data.samplers import BucketSampler

VIDEOS, FRAMES, BATCH = 36, 4000, 32
JOINTS = subset("imigue22", "light_hand35")


def some_clips(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Clips as long as iMiGUE's: a median of 1.5 s, a few of many seconds."""
    length = np.clip(rng.lognormal(np.log(38), 0.9, count), 5, 1500).astype(int)
    start = rng.integers(0, FRAMES - length)
    video = rng.integers(VIDEOS, size=count)
    return pd.DataFrame(
        {
            "clip_id": [f"{v:04d}_{row}" for row, v in enumerate(video)],
            "video_id": [f"{v:04d}" for v in video],
            "start": start,
            "end": start + length - 1,
            "label": pd.array(rng.integers(32, size=count), dtype="Int64"),
        }
    )


def epoch(clips: pd.DataFrame, keypoints: KeypointFiles) -> tuple[float, float]:
    """Seconds of one epoch, and its peak of Python's memory in MiB, measured apart."""

    def run() -> float:
        start = time.perf_counter()
        dataset = ClipDataset(clips, keypoints, joints=JOINTS)
        for numbers in BucketSampler(dataset.lengths, BATCH, seed=0):
            collate([dataset[number] for number in numbers])
        return time.perf_counter() - start

    seconds = run()
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return seconds, peak


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number in range(VIDEOS):
            path = paths[f"{number:04d}"] = Path(folder) / f"{number:04d}.npy"
            np.save(path, rng.uniform(0.1, 1, (FRAMES, 35, 3)).astype(np.float32))
        for count in (1_800, 18_000):
            seconds, peak = epoch(some_clips(count, rng), KeypointFiles(paths))
            each = 1e6 * seconds / count
            print(f"{count} clips: {seconds:.1f} s an epoch, {each:.0f} µs a clip, {peak:.1f} MiB")


if __name__ == "__main__":
    main()
