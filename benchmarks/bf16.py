"""Do the same tokens merge in bfloat16 as in float32? 392 RGB and 352 pose tokens a clip.

"Scores in bfloat16" is what autocast would do to the scores: their best matches tie, and of equal
scores the first tokens merge.

python -m benchmarks.bf16        10 seconds
"""

from collections.abc import Callable
from typing import NamedTuple
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from imigue_lab.models import cmtf
from imigue_lab.models.cmtf import match_both_ways
from imigue_lab.models.gesture import build_gesture
from imigue_lab.models.tokens import Tokens

RGB, POSE = 8 * 7 * 7, 16 * 22
CPU = torch.device("cpu")


class Merging(NamedTuple):
    """How merging under autocast differs from float32."""

    overlap: float  # share of the tokens that merge into another in float32, and here too
    distinct: int  # different best scores of the RGB tokens of a clip, of 392
    deviation: float  # of a logit, in the logits' standard deviations: the largest


def random_tokens(clips: int, tokens: int, width: int) -> Tokens:
    valid = torch.ones(clips, tokens, dtype=torch.bool)
    values, times = torch.randn(clips, tokens, width), torch.rand(clips, tokens)
    return Tokens(values, times, valid, torch.rand(clips, tokens, 2))


def in_bfloat16(a: Tensor, b: Tensor) -> Tensor:
    a, b = (F.normalize(x.float(), dim=-1).bfloat16() for x in (a, b))
    return torch.baddbmm(a.new_tensor(0.5), a, b.mT, alpha=0.5)


@torch.no_grad()
def compare_precisions(
    width: int,
    heads: int,
    clips: int,
    seed: int,
    score: Callable = cmtf.similarity,
    device: torch.device = CPU,
) -> Merging:
    """One untrained model on random tokens, in float32 and under autocast with this score."""
    torch.manual_seed(seed)
    model = build_gesture(width, width, width=width, heads=heads, memory=False).eval().to(device)
    streams = random_tokens(clips, RGB, width), random_tokens(clips, POSE, width)
    rgb, pose = (own.to(device) for own in streams)
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(scores: Tensor, *counts: Tensor) -> Tensor:
        destination = match_both_ways(scores, *counts)
        seen.append((scores, destination != torch.arange(RGB + POSE, device=device)))
        return destination

    with patch.object(cmtf, "match_both_ways", spy):
        whole = model(rgb, pose).logits
        with patch.object(cmtf, "similarity", score), torch.autocast(device.type, torch.bfloat16):
            mixed = model(rgb, pose).logits.float()
    (_, theirs), (scores, ours) = seen
    distinct = len(scores[0].amax(dim=1).unique())
    deviation = (mixed - whole).abs().max() / whole.std()
    return Merging(float((ours & theirs).sum() / theirs.sum()), distinct, float(deviation))


def main() -> None:
    for name, score in (("in bfloat16", in_bfloat16), ("in float32", cmtf.similarity)):
        for width, heads in ((48, 6), (512, 8)):
            found = [compare_precisions(width, heads, 4, seed, score) for seed in range(4)]
            overlap = [one.overlap for one in found]
            print(
                f"scores {name}, width {width}: {sum(overlap) / 4:.3f} of the tokens that merge are"
                f" those of float32 ({min(overlap):.3f} to {max(overlap):.3f} over 4 seeds); {RGB}"
                f" best scores have {min(one.distinct for one in found)} values or more; logits"
                f" deviate by up to {100 * max(one.deviation for one in found):.1f} % of their sd"
            )


if __name__ == "__main__":
    main()
