"""Do the same tokens merge in bfloat16 as in float32? CMTF at 392 RGB and 352 pose tokens a clip.

`groups` is the share of float32's merged tokens that consist of exactly the same tokens under
autocast. "Scores in bfloat16" is what autocast does to the scores without a guard: their best
matches tie, and of equal scores the first tokens merge.

python -m benchmarks.bf16        10 seconds
"""

from collections.abc import Callable
from typing import NamedTuple
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from imigue_lab.models import cmtf
from imigue_lab.models.cmtf import CMTF, Slots
from imigue_lab.models.tokens import Tokens

RGB, POSE = 8 * 7 * 7, 16 * 22


class Merging(NamedTuple):
    """How merging under autocast differs from float32."""

    groups: float  # share of merged tokens that have the same sources
    distinct: int  # different best scores of the RGB tokens of a clip, of 392
    deviation: float  # of f, in its standard deviations: the largest


def random_tokens(clips: int, tokens: int, width: int) -> Tokens:
    valid = torch.ones(clips, tokens, dtype=torch.bool)
    values, times = torch.randn(clips, tokens, width), torch.rand(clips, tokens)
    return Tokens(values, times, valid, torch.rand(clips, tokens, 2))


def in_bfloat16(a: Tensor, b: Tensor) -> Tensor:
    a, b = (F.normalize(x.float(), dim=-1).bfloat16() for x in (a, b))
    return torch.baddbmm(a.new_tensor(0.5), a, b.mT, alpha=0.5)


def groups_of(slots: Slots) -> set[tuple[int, ...]]:
    """The tokens of each merged token, after the number of its clip."""
    return {
        (clip, *own.nonzero()[:, 0].tolist())
        for clip, sources in enumerate(slots.source)
        for own in sources[sources.sum(dim=1) > 1]
    }


@torch.no_grad()
def compare_precisions(
    width: int, heads: int, clips: int, seed: int, score: Callable = cmtf.similarity
) -> Merging:
    """One untrained CMTF on random tokens, in float32 and under autocast with this score."""
    torch.manual_seed(seed)
    model = CMTF(width, heads).eval()
    rgb, pose = random_tokens(clips, RGB, width), random_tokens(clips, POSE, width)
    best: list[int] = []

    def spy(a: Tensor, b: Tensor) -> Tensor:
        scores = score(a, b)
        best.append(len(scores[0].amax(dim=1).unique()))
        return scores

    whole = model(rgb, pose)
    with patch.object(cmtf, "similarity", spy), torch.autocast("cpu", torch.bfloat16):
        mixed = model(rgb, pose)
    ours, theirs = (groups_of(out.merged.slots) for out in (mixed, whole))
    deviation = (mixed.f.float() - whole.f).abs().max() / whole.f.std()
    return Merging(len(ours & theirs) / len(theirs), best[0], float(deviation))


def main() -> None:
    for name, score in (("in bfloat16", in_bfloat16), ("in float32", cmtf.similarity)):
        for width, heads in ((48, 6), (512, 8)):
            found = [compare_precisions(width, heads, 4, seed, score) for seed in range(4)]
            groups = [one.groups for one in found]
            print(
                f"scores {name}, width {width}: {sum(groups) / 4:.3f} of the merged tokens have the"
                f" same sources ({min(groups):.3f} to {max(groups):.3f} over 4 seeds); {RGB} best"
                f" scores have {min(one.distinct for one in found)} values or more; f deviates by"
                f" up to {max(one.deviation for one in found):.3f} sd"
            )


if __name__ == "__main__":
    main()
