"""The gesture loader: its share of a training epoch, and its memory with ten times as many clips.
Then stored frames: clips of 16 random frames, cropped, resized to 224 px and mirrored, per second.

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
from imigue_lab.training.baselines.clips import How, Sampled
from imigue_lab.training.baselines.frames import write_frames
from imigue_lab.training.baselines.pictures import ClipPictures, PictureClips

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


def pictures(folder: Path, clips: int = 40, frames: int = 60) -> tuple[float, float]:
    """Clips a second on one core, and kilobytes a stored frame; waves, 455 x 256 pixels."""
    row, column = np.mgrid[:256, :455]
    rows = []
    for clip in range(clips):
        waves = [
            np.sin((row + clip) / 9 + number / 3) * np.cos(column / 7) for number in range(frames)
        ]
        shown = np.stack([127 + 120 * wave for wave in waves]).astype(np.uint8)
        rows.append((f"c{clip}", "train", 0, folder / f"{clip}.zip"))
        write_frames(rows[-1][3], np.repeat(shown[..., None], 3, axis=-1))
    size = sum(row[3].stat().st_size for row in rows) / clips / frames / 1000
    table = pd.DataFrame(rows, columns=["clip_id", "split", "label", "file"])
    how = How("mirror", sampled=Sampled(16, 0))
    own = PictureClips(ClipPictures(table, 256, []), "train", 16, 224, "mvitv2-s", how)
    start = time.process_time()
    for number in range(clips):
        own.draws(number)
    return clips / (time.process_time() - start), size


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
        rate, size = pictures(Path(folder))
        print(f"stored frames: {rate:.0f} clips of 16 a second and core, {size:.0f} kB a frame")


if __name__ == "__main__":
    main()
