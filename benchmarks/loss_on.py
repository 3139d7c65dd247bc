"""On which logits should the gesture model be trained? Noisy synthetic clips, seeds 0 to 7.

Each seed: new clips and one pose encoder; Gaussian noise is added to the tokens of both modalities
until late fusion is off its ceiling of 0.833; then every fusion with every `loss_on`. Each model is
scored by its decision C, by the plain average of its heads' logits, and by each head.

python -m benchmarks.loss_on [seeds] [videos] [epochs] [noise]        3 minutes a seed
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.gesture_table import prepared
from imigue_lab.models.gesture_loss import LossOn
from imigue_lab.results.compare import percent
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import GestureTokens
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.statistics import interval_of_mean, sign_flip_p

FUSIONS = ("late", "concat", "cmtf")
LOSSES: tuple[LossOn, ...] = get_args(LossOn)
DECISIONS = ("model", "average of heads", "pose head", "rgb head")
NOISE = 1.0  # standard deviations of a token's own values


def with_noise(data: GestureTokens, noise: float, seed: int) -> GestureTokens:
    """The same clips, with noise in every channel of every token."""
    generator = torch.Generator().manual_seed(seed)

    def noisy(clips: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        spread = noise * torch.cat([tokens.flatten() for tokens in clips.values()]).float().std()
        for clip_id, tokens in clips.items():
            added = spread * torch.randn(tokens.shape, generator=generator)
            yield clip_id, (tokens + added).to(tokens.dtype)

    tokens = {clip_id: pose.tokens for clip_id, pose in data.poses.items()}
    poses = {i: data.poses[i]._replace(tokens=own) for i, own in noisy(tokens)}
    return replace(data, rgb=dict(noisy(data.rgb)), poses=poses)


def scores_of_seed(seed: int, videos: int, epochs: int, noise: float) -> list[dict[str, object]]:
    """Test accuracy of each fusion, loss and decision."""
    rows = []
    with prepared(seed, videos, epochs=epochs, patience=epochs) as (common, data):
        data = with_noise(data, noise, seed)
        for fusion in FUSIONS:
            for loss_on in LOSSES:
                start = time.perf_counter()
                settings = {**common, "fusion": fusion, "loss_on": loss_on}
                run = train_gesture(GestureSettings.from_arguments(settings), data)
                scores = run.scores()
                own = scores[scores.split == "test"].set_index("predictor").top1
                row = {"seed": seed, "fusion": fusion, "loss_on": loss_on, **own[[*DECISIONS]]}
                rows.append(row)
                print(row, f"{time.perf_counter() - start:.0f} s", flush=True)
    return rows
