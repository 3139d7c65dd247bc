"""Balanced sampling with and without correction of the prior, at iMiGUE's class counts.

python -m benchmarks.prior [seeds]        20 seeds in about three minutes on one thread

Features are Gaussian around a mean for each of the 32 classes; the test split has the frequencies
of the training split. First the optimal decision, which knows the means, at the training
frequencies and at those of the sampler; then a perceptron of one hidden layer trained on draws of
`BalancedSampler`. Class means are the mean of the classes' recalls over those in the test split.
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imigue_lab.data.checks.tables import OFFICIAL, OFFICIAL_TRAIN
from imigue_lab.data.samplers import BalancedSampler, log_prior

CLASSES, DIM = len(OFFICIAL_TRAIN), 16
LABELS = [label for label, count in enumerate(OFFICIAL_TRAIN) for _ in range(count)]
DISTANCES = (0.4, 0.5, 0.6)  # std of a coordinate of the class means; noise has 1
EPOCHS, BATCH = 12, 64
WAYS = (("balance 0", 0.0, False), ("balance .5", 0.5, False), ("balance .5 corrected", 0.5, True))


def draw(labels: Tensor, means: Tensor, generator: torch.Generator) -> Tensor:
    return means[labels] + torch.randn(len(labels), DIM, generator=generator)


def make_split(
    distance: float, seed: int, size: int
) -> tuple[Tensor, Tensor, Tensor, torch.Generator]:
    """Class means, and features and labels of a test split."""
    generator = torch.Generator().manual_seed(seed)
    means = distance * torch.randn(CLASSES, DIM, generator=generator)
    frequencies = torch.tensor(OFFICIAL_TRAIN, dtype=torch.float)
    labels = torch.multinomial(frequencies, size, replacement=True, generator=generator)
    return means, draw(labels, means, generator), labels, generator


def offset_of(balance: float) -> Tensor:
    return torch.tensor(log_prior(LABELS, balance, CLASSES), dtype=torch.float)


def scores(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Top-1 and mean class accuracy."""
    right = (logits.argmax(dim=1) == labels).float()
    recalls = [right[labels == label].mean().item() for label in labels.unique()]
    return right.mean().item(), float(np.mean(recalls))


def optimal(distance: float, seed: int) -> list[tuple[float, float]]:
    """Of the exact posterior at the training frequencies, and at the sampler's."""
    means, x, labels, _ = make_split(distance, seed, 20_000)
    natural = -(torch.cdist(x, means) ** 2) / 2 + torch.tensor(OFFICIAL_TRAIN).log()
    return [scores(logits, labels) for logits in (natural, natural - offset_of(0.5))]


def trained(distance: float, seed: int) -> list[tuple[float, float]]:
    """Of a perceptron for each of `WAYS`; the corrected one is the second with other logits."""
    means, x, labels, generator = make_split(distance, seed, OFFICIAL["test"].clips)
    own = torch.tensor(LABELS)
    features = draw(own, means, generator)
    logits = {balance: fit(features, own, balance, seed)(x) for balance in (0.0, 0.5)}
    return [
        scores(logits[balance] + corrected * offset_of(balance), labels)
        for _, balance, corrected in WAYS
    ]


def fit(features: Tensor, labels: Tensor, balance: float, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(DIM, 64), nn.GELU(), nn.Dropout(0.2), nn.Linear(64, CLASSES))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    sampler = BalancedSampler([1] * len(labels), labels.tolist(), BATCH, seed, balance)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for sampler.epoch in range(EPOCHS):
        for numbers in sampler:
            optimizer.zero_grad()
            F.cross_entropy(model(features[numbers]), labels[numbers]).backward()
            optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def main(seeds: int = 20) -> None:
    for title, names, run in (
        ("optimal decision", ("training frequencies", "sampler's frequencies"), optimal),
        ("perceptron", tuple(name for name, *_ in WAYS), trained),
    ):
        print(f"{title}, {seeds} seeds: top-1 and mean class accuracy in percent (std of top-1)")
        for distance in DISTANCES:
            found = 100 * np.array([run(distance, seed) for seed in range(seeds)])
            for name, own in zip(names, found.swapaxes(0, 1), strict=True):
                top1, classes = own.mean(axis=0)
                spread = own[:, 0].std(ddof=1) if seeds > 1 else 0.0
                print(f"  means {distance}: {name:22} {top1:.1f} ({spread:.1f})  {classes:.1f}")
            uncorrected, corrected = (1, 2) if run is trained else (1, 0)
            gain = (found[:, corrected, 0] - found[:, uncorrected, 0]).mean()
            print(f"  means {distance}: gain of the correction {gain:+.1f} points of top-1")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
