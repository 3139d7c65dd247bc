"""The gesture loader: its share of a training epoch, and its memory with ten times as many clips.

python -m benchmarks.clips        about a minute on two cores

The model has the size of ST-GCN (ten graph and temporal convolutions, 64 to 256 channels).
"""

import itertools
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from imigue_lab.data.clips import ClipDataset, KeypointFiles, collate
from imigue_lab.data.samplers import BucketSampler
from imigue_lab.data.skeletons.graphs import spatial
from imigue_lab.data.skeletons.keypoints import LAYOUTS, subset

VIDEOS, FRAMES, BATCH = 36, 4000, 32
JOINTS = subset("imigue22", "light_hand35")


def some_clips(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Clips with lengths as in iMiGUE: a median of 1.5 s, a few of many seconds."""
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


class Block(nn.Module):
    """A graph convolution over three subsets of neighbours, then a convolution over nine frames."""

    def __init__(self, graph: Tensor, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.register_buffer("graph", graph)
        self.mix = nn.Conv2d(channels_in, 3 * channels, 1)
        self.over_time = nn.Conv2d(channels, channels, (9, 1), (stride, 1), (4, 0))
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(x).unflatten(1, (3, -1))
        x = torch.einsum("bkctv,kvw->bctw", x, self.graph)
        x = self.over_time(self.norms[0](x).relu())
        return self.norms[1](x).relu()


def st_gcn_sized() -> nn.Sequential:
    graph = torch.tensor(spatial(LAYOUTS["imigue22"]), dtype=torch.float32)
    widths = [3, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256]
    blocks = [
        Block(graph, a, b, 2 if number in (4, 7) else 1)
        for number, (a, b) in enumerate(itertools.pairwise(widths))
    ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 32))


def loading_share(clips: pd.DataFrame, keypoints: KeypointFiles) -> float:
    """The loader's share of the time of a few training steps."""
    model, loading = st_gcn_sized(), 0.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    dataset = ClipDataset(clips, keypoints, joints=JOINTS)
    begin = time.perf_counter()
    for numbers in list(BucketSampler(dataset.lengths, BATCH, seed=0))[:6]:
        start = time.perf_counter()
        batch = collate([dataset[number] for number in numbers])
        loading += time.perf_counter() - start
        optimizer.zero_grad()
        logits = model(batch.skeleton[:, 0].permute(0, 3, 1, 2))
        nn.functional.cross_entropy(logits, batch.label).backward()
        optimizer.step()
    return loading / (time.perf_counter() - begin)


def epoch(clips: pd.DataFrame, keypoints: KeypointFiles) -> tuple[float, float]:
    """Seconds of one epoch, and its peak of Python's memory in MiB, measured separately."""

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
        share = loading_share(some_clips(1_800, rng), KeypointFiles(paths))
        print(
            f"outside the model, ST-GCN's size, batch {BATCH}: {share:.1%} of an epoch (limit 10)"
        )


if __name__ == "__main__":
    main()
