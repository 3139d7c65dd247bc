"""How frames take from frames: what holds for every path through a block."""

import pytest
import torch

from imigue_lab.models.graph.temporal import Maximum


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 7, 8])
def test_a_maximum_over_frames_is_the_same_with_and_without_gradients(frames, stride):
    x = torch.randn(2, 6, 5, frames).contiguous(memory_format=torch.channels_last)[:, 2:]
    maximum = Maximum(stride)
    pooled = maximum(x)
    with torch.no_grad():
        compared = maximum(x)
    by_hand = [x[..., max(t - 1, 0) : t + 2].amax(dim=-1) for t in range(0, frames, stride)]
    assert torch.equal(pooled, torch.stack(by_hand, dim=-1))
    assert torch.equal(compared, pooled)
