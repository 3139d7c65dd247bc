"""What a GPU computes and how fast: a table for docs/benchmarks.md.

Every network against its outputs on the CPU, in float32 and bf16; which tokens merge in bf16; an
epoch of each trainer and the time it waits for batches; extraction against its network alone;
torch.compile; and gradients under NCCL. Untrained weights, random inputs, synthetic data. Without
CUDA it says so and ends.

python -m benchmarks.gpu        under 8 minutes on one GPU
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.bf16 import POSE, RGB, compare_precisions, random_tokens
from benchmarks.emotion_step import random_batch
from benchmarks.extraction import WINDOWS, film, once, recorded
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.features.catalogue import build_streams
from imigue_lab.models.baselines import SIZES, TABLE, Masked, build_baseline
from imigue_lab.models.emotion import EmotionOutput, build_emotion
from imigue_lab.models.gesture import GestureOutput, build_gesture
from imigue_lab.training.baselines import heatmaps
from imigue_lab.training.baselines.pictures import SIDES
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.loop import EpochBatches, fit
from imigue_lab.training.ranks import ALONE, Piece, Ranks
from imigue_lab.training.tasks import TASKS, quiet

CLIPS, JOINTS, CLASSES = 2, 22, 32
NEAR = {"float32": 0.02, "bf16": 0.3}  # largest deviation of a logit, see `apart`
Row = tuple[str, str, str, str]  # what, the two figures, whether they are as expected


class Case(NamedTuple):
    """A network in eval mode and its inputs, on the CPU."""

    name: str
    model: nn.Module
    inputs: tuple[Any, ...]


def cases(size: str) -> Iterator[Case]:
    """Every row of Table 1, the emotion model and the gesture model; `small` or `paper`."""
    torch.manual_seed(0)
    for row in TABLE:
        given = {"model": row.name, "preset": size.replace("small", "")}
        frames = BaselineSettings.from_arguments(given).frames or 64
        side, pictures = SIDES[size], row.modality != "skeleton"
        maps = {"heatmaps": heatmaps.SIDES, "RGB and heatmaps": heatmaps.PAIRED_SIDES}.get(
            row.modality
        )
        options: dict[str, Any] = {}
        inputs = [(CLIPS, 3, frames, side, side)] if "RGB" in row.modality else []
        if row.name in ("mvitv2-s", *get_args(Masked)):
            options = {"clip": (frames, side, side)} if pictures else {"frames": frames}
        elif row.name in ("tsm", "dscnet"):
            stacked = frames * (9 if row.name == "dscnet" else 3)
            options, inputs = {"segments": frames}, [(CLIPS, stacked, side, side)]
        if maps:
            long = frames * (heatmaps.RATIO if inputs else 1)
            inputs.append((CLIPS, JOINTS, long, maps[size][0], maps[size][0]))
        elif row.name == "dscnet":
            inputs += [(CLIPS, 1, 3, frames, JOINTS)] * 2
        elif not pictures:
            inputs = [(CLIPS, 1, frames, JOINTS, 3)]
        model = build_baseline(row.name, CLASSES, **SIZES[row.name][size], **options)
        yield Case(row.name, model.eval(), tuple(torch.randn(own) for own in inputs))
    width = {"small": 32, "paper": 512}[size]
    sizes = {"small": {"width": 32, "depth": 1}, "paper": {"width": 512, "depth": 8}}[size]
    batch = random_batch(CLIPS, 120).inputs()
    emotion = InOrder(build_emotion(**sizes), list(batch)).eval()
    yield Case("emotion", emotion, tuple(batch.values()))
    gesture = build_gesture(width, width, width=width, heads=8, merge=0.0, memory=False).eval()
    tokens = random_tokens(CLIPS, RGB, width), random_tokens(CLIPS, POSE, width)
    yield Case("gesture", gesture, tokens)


class InOrder(nn.Module):
    """The emotion model with inputs by position."""

    def __init__(self, model: nn.Module, names: list[str]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> Any:
        return self.model(**dict(zip(self.names, inputs, strict=True)))


def logits(output: Any) -> Tensor:
    """The logits of any output, in float32 on the CPU; of a network with two both."""
    if isinstance(output, EmotionOutput):
        output = output.logit
    elif isinstance(output, GestureOutput):
        output = output.logits
    elif isinstance(output, tuple):
        output = torch.stack(output)
    return output.float().cpu()


def moved(inputs: tuple[Any, ...], device: torch.device) -> tuple[Any, ...]:
    return tuple(own.to(device) for own in inputs)


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def milliseconds(step: Callable[[], Any], device: torch.device, rounds: int = 5) -> float:
    """The median of a few rounds after one that does not count."""
    took = []
    for _ in range(rounds + 1):
        finish(device)
        start = time.perf_counter()
        step()
        finish(device)
        took.append(1000 * (time.perf_counter() - start))
    return float(np.median(took[1:]))


def apart(found: Tensor, exact: Tensor) -> float:
    """The largest deviation of a logit, in root mean squares of the logits."""
    return float((found - exact).abs().max() / exact.square().mean().sqrt())


@torch.no_grad()
def compare_network(case: Case, device: torch.device) -> Row:
    """Outputs and milliseconds of a forward pass of `CLIPS` clips."""
    exact = logits(case.model(*case.inputs))
    model, inputs = case.model.to(device), moved(case.inputs, device)
    figures, near = [], True
    for precision, limit in NEAR.items():
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            distance = apart(logits(model(*inputs)), exact)
            took = milliseconds(lambda: model(*inputs), device)
        figures.append(f"{distance:.1e} ({took:.1f} ms)")
        near &= distance < limit
    model.cpu()
    return f"{case.name}, deviation from the CPU", figures[0], figures[1], said(near)


def said(good: bool) -> str:
    return "yes" if good else "NO"


def merging(device: torch.device, width: int, heads: int) -> Row:
    found = [compare_precisions(width, heads, 4, seed, device=device) for seed in range(3)]
    least, most = min(own.overlap for own in found), max(own.deviation for own in found)
    figures = f"{least:.3f} of the tokens", f"logits off by {most:.2f} sd"
    return f"bf16 merging, width {width}", *figures, said(least > 0.9)


class Watched(EpochBatches):
    """Batches, and the seconds for which the trainer waited for them."""

    def __init__(self, batches: EpochBatches, device: torch.device):
        super().__init__(batches.sampler, batches.read, batches.dataset)
        self.batches, self.device, self.waited_s, self.whole_s = batches, device, 0.0, 0.0

    def steps(self, epoch: int, ranks: Ranks = ALONE) -> Iterator[list[Piece]]:
        start = before = time.perf_counter()
        for pieces in self.batches.steps(epoch, ranks):
            self.waited_s += time.perf_counter() - before
            yield pieces
            finish(self.device)
            before = time.perf_counter()
        self.whole_s += time.perf_counter() - start


def epoch_of(task: str, device: torch.device, **given: Any) -> Row:
    """An epoch of a trainer: items a second, and the share of the time that it waits."""
    seen: list[Watched] = []

    def watching(*given: Any, **named: Any) -> nn.Module:
        seen.append(Watched(given[4], device))
        return fit(*given[:4], seen[0], *given[5:], **named)

    found = TASKS[task]
    settings: Any = found.settings.from_arguments({**given, "epochs": 1, "device": device.type})
    with quiet():
        found.train(settings, found.load_data(settings), watching)
    (own,) = seen
    rate = len(own) * settings.batch_size / own.whole_s
    share = own.waited_s / own.whole_s
    which = [given[key] for key in ("model", "kind") if key in given]
    name = ", ".join([f"epoch of {task}", *which])
    return name, f"{rate:.0f} items/s", f"{100 * share:.0f} % waiting", said(share < 0.5)


def extraction(device: torch.device, encoder: str, folder: Path) -> Row:
    """Windows a second with decoding and writing, against the network on the same batches."""
    root = film(folder / "360p", 360, 16 * WINDOWS * 8)
    streams = build_streams(encoder, device)
    calls: list[tuple[Callable[..., Any], tuple]] = []
    network = streams[0].batches.network
    once(root, streams, folder / "warm")
    whole = once(root, streams, folder / "timed")
    streams[0].batches.network = recorded(network, calls)
    once(root, streams, folder / "recorded")
    alone = milliseconds(lambda: [own(*args) for own, args in calls], device, 2) / 1000
    windows = 8 * WINDOWS
    figures = f"{windows / whole:.1f} windows/s", f"{alone / whole:.2f} of it the network"
    return f"extraction, {encoder}", *figures, said(whole < 60)


@torch.no_grad()
def compiled(case: Case, device: torch.device, backend: str = "inductor") -> Row:
    """torch.compile: speed and outputs against the plain network."""
    model, inputs = case.model.to(device), moved(case.inputs, device)
    plain = logits(model(*inputs))
    torch.compiler.reset()
    fast = torch.compile(model, backend=backend)
    distance = apart(logits(fast(*inputs)), plain)
    took = [milliseconds(lambda own=own: own(*inputs), device) for own in (model, fast)]
    model.cpu()
    figures = f"{took[0] / took[1]:.2f} times as fast", f"deviates by {distance:.1e}"
    return f"torch.compile, {case.name}", *figures, said(distance < NEAR["float32"])


def one_process(device: torch.device) -> Row:
    """Gradients of a step alone and in a group of one process, NCCL on a GPU."""
    name = "nccl" if device.type == "cuda" else "gloo"
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29641"}
    torch.manual_seed(0)
    model = build_emotion(width=32, depth=2).to(device).eval()
    batch = random_batch(CLIPS, 16).to(device).inputs()
    dist.init_process_group(name, rank=0, world_size=1)
    try:
        gradients = []
        for own in (model, DistributedDataParallel(model)):
            model.zero_grad()
            own(**batch).logit.sum().backward()
            gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        pairs = list(zip(*gradients, strict=True))
        distance = max(float((a - b).abs().max()) for a, b in pairs)
    finally:
        dist.destroy_process_group()
    figures = f"{len(pairs)} gradients", f"differ by {distance:.1e}"
    return f"one process of {name}", *figures, said(distance < 1e-6)


def measure(device: torch.device, size: str, folder: Path) -> Iterator[Row]:
    """Every row, of the networks at `small` or `paper` size."""
    os.environ["IMIGUE_LAB_HOME"] = str(folder / "workspace")
    chosen = {}
    for case in cases(size):
        yield compare_network(case, device)
        chosen |= {case.name: case} if case.name in ("mvitv2-s", "ctr-gcn") else {}
    yield merging(device, 48, 6)
    yield from (compiled(case, device) for case in chosen.values())
    yield one_process(device)
    yield extraction(device, {"small": "context-tiny", "paper": "context-mvitv2s"}[size], folder)
    root = folder / "interviews"
    make_data(root, SyntheticSpec(videos=60 if size == "paper" else 16))
    yield epoch_of("emotion", device, data=str(root))
    yield epoch_of("baseline", device, data=str(root), model="ctr-gcn")
    yield epoch_of("baseline", device, data=str(root), model="tsm", size=size, batch_size=16)
    yield epoch_of("gesture", device, data=str(root))
    yield epoch_of("pretraining", device, data=str(root), kind="motion", size=size)


def main() -> None:
    if not torch.cuda.is_available():
        print("make gpu: no CUDA device was found, so there is nothing to measure")
        return
    device, start, failed = torch.device("cuda"), time.perf_counter(), 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}\n")
    print("| what | float32, or the first figure | bf16, or the second | as expected |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(device, "paper", Path(folder)):
            print(f"| {' | '.join(row)} |", flush=True)
            failed += row[-1] == "NO"
    print(f"\n{time.perf_counter() - start:.0f} s")
    sys.exit(f"{failed} rows are not as expected" if failed else 0)


if __name__ == "__main__":
    main()
