"""Step time of the graph networks of Table 1, relative to the transcription of 2s-AGCN.

python -m benchmarks.baseline_step        about 3 minutes on two cores

N = 8 clips of one person, 64 frames of 25 joints, two threads. Ratios of the published code,
measured the same way in float32, are printed next to ours. Tests check that outputs are equal.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from benchmarks.agcn_step import CLASSES, has_bfloat16, networks, step_of
from benchmarks.steady import keep_freed_memory
from imigue_lab.models.baselines import build_baseline

ROUNDS = 20
PUBLISHED = {  # relative time of a training and an evaluation step of the published code
    "st-gcn": (0.87, 0.85),
    "st-gcn++": (0.96, 0.95),
    "aagcn": (1.14, 1.07),
    "ctr-gcn": (1.05, 1.03),
    "dg-stgcn": (1.08, 1.01),
}


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(2)
    direct, _, skeletons = networks()
    published = skeletons.permute(0, 4, 2, 3, 1).contiguous()  # (N, C, T, V, M)
    ours = {name: build_baseline(name, CLASSES, "ntu25", mask_missing=False) for name in PUBLISHED}
    for column, train in enumerate((True, False)):
        what = "train" if train else "eval "
        exact = {name: step_of(model, skeletons, train, half=False) for name, model in ours.items()}
        took = in_turn({"direct": step_of(direct, published, train, half=False), **exact})
        for name in ours:
            print(
                f"{what} {name:9} {1000 * median(took[name]):5.0f} ms,"
                f" {ratio(took, name, 'direct'):.2f} of the transcription's time;"
                f" published code {PUBLISHED[name][column]:.2f}"
            )
        if has_bfloat16():
            faster, off = [], []
            for name, model in ours.items():
                both = {
                    "exact": exact[name],
                    "half": step_of(model, skeletons, train, half=True),
                }
                faster.append(ratio(in_turn(both), "exact", "half"))
                off.append(deviation(both["half"](), both["exact"]()))
            print(
                f"{what} bfloat16 {min(faster):.2f} to {max(faster):.2f} times as fast as float32,"
                f" median {median(faster):.2f}; deviation at most {max(off):.1e} of the logits' std"
            )


def in_turn(steps: dict[str, Callable[[], Tensor]]) -> dict[str, list[float]]:
    """Seconds of every round; each step once a round, so that other load affects all equally."""
    for step in steps.values():
        step()
    took: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            took[name].append(time.perf_counter() - start)
    return took


def ratio(took: dict[str, list[float]], name: str, other: str) -> float:
    """Median over rounds of the ratio within a round: changes of the machine's speed cancel."""
    return median(a / b for a, b in zip(took[name], took[other], strict=True))


def deviation(logits: Tensor, exact: Tensor) -> float:
    return ((logits - exact).abs().max() / exact.std()).item()


if __name__ == "__main__":
    main()
