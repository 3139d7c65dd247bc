"""On which logits should the gesture model be trained? Noisy synthetic clips, seeds 0 to 7.

Each seed: new clips and one pose encoder; Gaussian noise is added to the tokens of both modalities
until late fusion is off its ceiling of 0.833; then every fusion with every `loss_on`. Each model is
scored by its decision C, by the plain average of its heads' logits, and by each head.

python -m benchmarks.loss_on [seeds] [videos] [epochs] [noise]        3 minutes a seed
"""

import sys
import time
from dataclasses import replace
from itertools import product
from typing import get_args

import pandas as pd
import torch
from torch import Tensor

from benchmarks.gesture_table import paired, prepared
from imigue_lab.models.gesture_loss import LossOn
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import GestureTokens
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.tasks import quiet

FUSIONS = ("late", "concat", "cmtf")
LOSSES: tuple[LossOn, ...] = get_args(LossOn)
DECISIONS = ("model", "average of heads", "pose head", "rgb head")
VIDEOS, EPOCHS = 600, 6  # about 1,400 clips of train and 960 of test a seed
NOISE = 1.5  # standard deviations of all tokens' values


def with_noise(data: GestureTokens, noise: float, seed: int) -> GestureTokens:
    """The same clips, each with one random vector added to all its tokens of a modality.

    Noise of single tokens has no effect on late fusion, which takes their mean.
    """
    generator = torch.Generator().manual_seed(seed)

    def noisy(clips: dict[str, Tensor]) -> dict[str, Tensor]:
        spread = noise * torch.cat([tokens.flatten() for tokens in clips.values()]).float().std()
        width = next(iter(clips.values())).shape[-1]
        added = spread * torch.randn(len(clips), width, generator=generator)
        return {i: (t + own).to(t.dtype) for (i, t), own in zip(clips.items(), added, strict=True)}

    pose = noisy({clip_id: pose.tokens for clip_id, pose in data.poses.items()})
    poses = {clip_id: data.poses[clip_id]._replace(tokens=own) for clip_id, own in pose.items()}
    return replace(data, rgb=noisy(data.rgb), poses=poses)


def scores_of_seed(seed: int, videos: int, epochs: int, noise: float) -> list[dict[str, object]]:
    """Test accuracy of each fusion, loss and decision; without memory, on which no loss differs."""
    rows = []
    with prepared(seed, videos, epochs=epochs, patience=epochs, memory=False) as (common, data):
        data = with_noise(data, noise, seed)
        for fusion, loss_on in product(FUSIONS, LOSSES):
            settings = {**common, "fusion": fusion, "loss_on": loss_on}
            scores = train_gesture(GestureSettings.from_arguments(settings), data).scores()
            own = scores[scores.split == "test"].set_index("predictor").top1
            rows.append({"seed": seed, "fusion": fusion, "loss_on": loss_on, **own[[*DECISIONS]]})
    return rows


def main(seeds: int = 8, videos: int = VIDEOS, epochs: int = EPOCHS, noise: float = NOISE) -> None:
    rows = []
    for seed in range(seeds):
        start = time.perf_counter()
        with quiet():
            rows += scores_of_seed(seed, videos, epochs, noise)
        print(pd.DataFrame(rows[-9:]).round(3).to_string(index=False, header=not seed))
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    table = pd.DataFrame(rows).set_index(["fusion", "loss_on", "seed"])
    print("\nmean accuracy on test")
    print(table.groupby(["fusion", "loss_on"], sort=False).mean().round(3).to_string())
    for fusion in FUSIONS if seeds > 1 else ():
        own = {loss_on: table.sort_index().loc[fusion, loss_on] for loss_on in LOSSES}
        print(f"\n{fusion}")
        for loss_on in LOSSES[1:]:
            gain = paired(own[loss_on].model, own["averaged"].model)
            print(f"{loss_on} - averaged, both scored by C: {gain}")
        for loss_on in LOSSES:
            gain = paired(own[loss_on].model, own[loss_on]["average of heads"])
            print(f"{loss_on}: C - average of heads: {gain}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), *map(float, sys.argv[4:]))
