"""The emotion model at the paper's size: time and memory of a step, and the loader's share.

python -m benchmarks.emotion_step        about 3 minutes on two cores, 12 GB
"""

import subprocess
import sys
import time

import torch

from imigue_lab.data.datasets import Batch
from imigue_lab.models.emotion import FocalLoss, build_emotion
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.session import peak_memory

WINDOWS = (120, 550)


def paper_step(windows: int, steps: int = 2) -> None:
    """Prints seconds a training step of the preset `paper`, and the peak memory of the process."""
    settings = EmotionSettings.from_arguments({"preset": "paper"})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_emotion(
        width=settings.width,
        depth=settings.depth,
        heads=settings.heads,
        dropout=settings.dropout,
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr)
    loss = FocalLoss(settings.gamma).to(device)
    batch = random_batch(settings.batch_size, windows).to(device)
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss(model(**batch.inputs()).logit, batch.outcome).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = peak_memory() / 2**30
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    print(
        f"paper preset on {device}, batch {settings.batch_size}, T = {windows}:"
        f" {min(seconds):.2f} s a step, peak {peak:.1f} GiB, {parameters:.1f} M parameters"
    )


def random_batch(interviews: int, windows: int) -> Batch:
    valid = torch.ones(interviews, windows, dtype=torch.bool)
    return Batch(
        torch.randn(interviews, windows, 768),
        torch.randn(interviews, windows, 512),
        valid,
        valid.clone(),
        torch.arange(windows).repeat(interviews, 1),
        torch.arange(interviews) % 2,
        [str(number) for number in range(interviews)],
    )


def loading_share() -> None:
    """Prints the loader's share of an epoch: 64 interviews of 546 windows, the default model."""
    import numpy as np
    import pandas as pd

    from imigue_lab.data.datasets import (
        EmotionFeatures,
        InterviewDataset,
        collate,
    )
    from imigue_lab.data.samplers import BucketSampler

    ids = [f"{number:04d}" for number in range(64)]
    lengths = np.random.default_rng(0).integers(400, 692, size=64)
    features = EmotionFeatures(
        {v: torch.randn(int(n), 768).half() for v, n in zip(ids, lengths, strict=True)},
        {v: torch.randn(int(n), 512).half() for v, n in zip(ids, lengths, strict=True)},
        digest="",
    )
    videos = pd.DataFrame({"video_id": ids, "outcome": [0, 1] * 32})
    dataset = InterviewDataset(features, videos, max_windows=256)
    sampler = BucketSampler(dataset.lengths, 8, 0)
    start = time.perf_counter()
    batches = [collate([dataset[n] for n in numbers]) for numbers in sampler]
    loading = time.perf_counter() - start
    defaults = EmotionSettings()
    model = build_emotion(width=defaults.width, depth=defaults.depth, heads=defaults.heads)
    optimizer, loss = torch.optim.AdamW(model.parameters()), FocalLoss(0.5)
    start = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad()
        loss(model(**batch.inputs()).logit, batch.outcome).backward()
        optimizer.step()
    training = time.perf_counter() - start
    share = loading / (loading + training)
    print(f"data loading, default size, 256 windows: {share:.1%} of an epoch")


def main() -> None:
    if len(sys.argv) > 1:
        paper_step(int(sys.argv[1]))
        return
    for windows in WINDOWS:  # one process each, so that memory peaks are separate
        subprocess.run([sys.executable, "-m", "benchmarks.emotion_step", str(windows)], check=True)
    loading_share()


if __name__ == "__main__":
    main()
