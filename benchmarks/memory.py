"""Cost of the memory in a training step: reading, refining and writing (paper section 2.5).

python -m benchmarks.memory        about a minute on two cores
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.steady import keep_freed_memory
from imigue_lab.models.gesture import build_gesture
from imigue_lab.models.gesture_loss import gesture_loss
from imigue_lab.models.tokens import Tokens
from imigue_lab.training.optimisers import parameter_groups

CLIPS, CLASSES = 8, 32
RGB, POSE = 8 * 7 * 7, 16 * 25  # tokens a clip
ROUNDS = 5


def random_tokens(tokens: int, width: int) -> Tokens:
    valid = torch.ones(CLIPS, tokens, dtype=torch.bool)
    values = torch.randn(CLIPS, tokens, width)
    return Tokens(values, torch.rand(CLIPS, tokens), valid, torch.rand(CLIPS, tokens, 2))


def best(action: Callable[[], object]) -> float:
    """Seconds, the minimum over some rounds."""
    took = []
    for _ in range(1 + ROUNDS):
        start = time.perf_counter()
        action()
        took.append(time.perf_counter() - start)
    return min(took[1:])


def main() -> None:
    keep_freed_memory()
    torch.manual_seed(0)
    model = build_gesture(warmup=0).train()
    memory, ids = model.memory, [f"clip {n}" for n in range(CLIPS)]
    for label in range(CLASSES):  # a full bank
        logits = 20.0 * F.one_hot(torch.full((50,), label), CLASSES)
        names = [f"{label} {n}" for n in range(50)]
        memory.bank.write(torch.randn(50, 512), logits, torch.full((50,), label), names)
    optimizer = torch.optim.AdamW(parameter_groups(model, 1e-4, 1e-4))
    rgb, pose = random_tokens(RGB, 768), random_tokens(POSE, 512)
    label = torch.arange(CLIPS)

    def step() -> None:
        optimizer.zero_grad()
        gesture_loss(model(rgb, pose, ids), label, 1.0, CLIPS).total.backward()
        optimizer.step()

    total = best(step)
    with torch.no_grad():
        output = model(rgb, pose, ids)
    f = output.fusion.f
    confident = 20.0 * F.one_hot(label, CLASSES)
    actions = {
        "retrieval": lambda: memory.bank.read(f, label, memory.top_k, ids),
        "forward pass of the memory": lambda: memory(f, confident, ids),
        "writing every clip into a full class": lambda: memory.bank.write(f, confident, label, ids),
    }
    print(f"step: {CLIPS} clips of {RGB} + {POSE} tokens, {1e3 * total:.0f} ms")
    for name, action in actions.items():
        took = best(action)
        print(f"{name}: {1e3 * took:.2f} ms, {took / total:.2%} of a step")


if __name__ == "__main__":
    main()
