"""Steps of Table 1's graph networks, as ratios to the transcription of 2s-AGCN, in one run.

python -m benchmarks.baseline_step        about 3 minutes on two cores

N = 8 clips of one person, 64 frames of 25 joints, two threads, float32. The published codes' own
ratios, measured the same way, stand beside ours. That outputs are equal is what the tests hold.
"""

import time

import torch

from benchmarks.agcn_step import CLASSES, networks, step_of
from imigue_lab.models.baselines.build import build_baseline

ROUNDS = 6
PUBLISHED = {  # time of a training and an evaluation step, of the published codes
    "st-gcn": (0.87, 0.85),
    "st-gcn++": (0.96, 0.95),
    "aagcn": (1.14, 1.07),
    "ctr-gcn": (1.05, 1.03),
    "dg-stgcn": (1.08, 1.01),
}


def main() -> None:
    torch.set_num_threads(2)
    direct, _, skeletons = networks()
    published = skeletons.permute(0, 4, 2, 3, 1).contiguous()  # (N, C, T, V, M)
    ours = {name: build_baseline(name, CLASSES, "ntu25", mask_missing=False) for name in PUBLISHED}
    for column, train in enumerate((True, False)):
        steps = {"direct": step_of(direct, published, train, half=False)}
        for name, model in ours.items():
            steps[name] = step_of(model, skeletons, train, half=False)
        for step in steps.values():
            step()
        best = dict.fromkeys(steps, float("inf"))
        for _ in range(ROUNDS):  # in turn, so that other work on the machine meets all alike
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                best[name] = min(best[name], time.perf_counter() - start)
        for name in ours:
            print(
                f"{'train' if train else 'eval ':5} {name:9} {1000 * best[name]:5.0f} ms,"
                f" {best[name] / best['direct']:.2f} of the transcription's time;"
                f" the published code's own {PUBLISHED[name][column]:.2f}"
            )


if __name__ == "__main__":
    main()
