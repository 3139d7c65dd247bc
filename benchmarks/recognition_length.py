"""A recogniser on short and long videos of joints: seconds, and memory above that of the start.

python -m benchmarks.recognition_length        5,000 and 30,000 frames, about a minute on one core

Untrained weights of the default size; the pyramid starts from confident points, so that it has
thousands of candidates of every class to suppress, more than after training. Every case is a
process of its own. Fails above a minute or 256 MiB a video; features and outputs of each frame are
kept, so memory grows by a few kilobytes a frame, not with the network's depth.
"""

import multiprocessing
import sys
import time

import numpy as np
import torch

from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.models.recognition import BUILDERS, Pyramid
from imigue_lab.training.recognition.data import pose_features
from imigue_lab.training.recognition.train import candidates
from imigue_lab.training.session import MIB, Device, peak_memory

LENGTHS = (5_000, 30_000)  # frames
CLASSES, LIMIT_S, LIMIT_MIB = 32, 60.0, 256.0


def measure(name: str, frames: int) -> tuple[float, float, int]:
    """Seconds, mebibytes above the start, and the number of candidates of one video."""
    torch.manual_seed(0)
    layout = LAYOUTS["imigue22"]
    model = BUILDERS[name](dim=5 * 22, classes=CLASSES).eval()
    if isinstance(model, Pyramid):
        torch.nn.init.constant_(model.classify[-1].get_parameter("bias"), 3.0)
    device = Device(torch.device("cpu"))
    points = np.random.default_rng(0).uniform(1, 2, (1, frames, 22, 3)).astype(np.float32)
    warm = {"warm": pose_features(points[:, :64], layout)}
    candidates(device, model, warm.__getitem__, {"warm": 64}, model.options[0])
    before, start = peak_memory(), time.perf_counter()
    own = {"long": pose_features(points, layout)}
    found = candidates(device, model, own.__getitem__, {"long": frames}, model.options[0])
    return time.perf_counter() - start, (peak_memory() - before) / MIB, len(found)


def main() -> None:
    failed = []
    for name in BUILDERS:
        for frames in LENGTHS:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                took, memory, found = pool.apply(measure, (name, frames))
            shown = f"{name}: {frames} frames in {took:.1f} s, {memory:.0f} MiB"
            print(f"{shown}, {found} candidates", flush=True)
            failed += [shown] * (took > LIMIT_S or memory > LIMIT_MIB)
    if failed:
        sys.exit(f"above {LIMIT_S:.0f} s or {LIMIT_MIB:.0f} MiB: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
