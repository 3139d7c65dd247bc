"""CMTF against a plain joint attention over the same tokens (paper section 2.4).

Times are CPU seconds of one thread, so that other load on the machine does not count.

python -m benchmarks.cmtf        about 3 minutes
"""

import time
from itertools import product
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.steady import keep_freed_memory
from imigue_lab.models.cmtf import CMTF, JointAttention
from imigue_lab.models.tokens import Tokens

WIDTH, HEADS = 512, 8
CLIPS = (8, 32)  # batch sizes; 32 is the default of the settings
LENGTHS = (100, 200, 400, 800)
ROUNDS = 9


class PlainJoint(nn.Module):
    """``mean Linear(LN(X + MHSA(LN X)))`` over all tokens of both modalities."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.joint = JointAttention(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, dim)

    def forward(self, rgb: Tokens, pose: Tokens) -> Tensor:
        x = torch.cat([rgb.values, pose.values], dim=1)
        x, _ = self.joint(x, torch.cat([rgb.mask, pose.mask], dim=1))
        return self.project(self.norm(x)).mean(dim=1)


def random_tokens(clips: int, tokens: int) -> Tokens:
    valid = torch.ones(clips, tokens, dtype=torch.bool)
    values = torch.randn(clips, tokens, WIDTH, requires_grad=True)
    return Tokens(values, torch.rand(clips, tokens), valid, torch.rand(clips, tokens, 2))


def seconds(model: nn.Module, rgb: Tokens, pose: Tokens, training: bool) -> float:
    """CPU time of a forward pass, and in training of the backward pass."""
    start = time.process_time()
    with torch.set_grad_enabled(training):
        out = model(rgb, pose)
        loss = out.sum() if isinstance(out, Tensor) else (out.f + out.f_rgb + out.f_pose).sum()
    if training:
        loss.backward()
    return time.process_time() - start


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plain, cmtf = PlainJoint(WIDTH, HEADS), CMTF(WIDTH, HEADS)
    for clips, tokens in product(CLIPS, LENGTHS):
        rgb, pose = (random_tokens(clips, count) for count in (tokens // 2, tokens - tokens // 2))
        for training in (False, True):
            # Alternating; the first round is a warm-up.
            took = [
                [seconds(model, rgb, pose, training) for model in (plain, cmtf)]
                for _ in range(1 + ROUNDS)
            ][1:]
            base, ours = (min(times) for times in zip(*took, strict=True))
            # Ratio within a round, because the speed of a shared machine drifts.
            ratio = median(ours / base for base, ours in took)
            print(
                f"{'training' if training else 'inference'}, {tokens} tokens, {clips} clips:"
                f" plain {1e3 * base:.0f} ms, cmtf {1e3 * ours:.0f} ms, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
