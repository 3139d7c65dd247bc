"""Rollout is the product of the model's attention, with pooling undone."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.pictures.mvit import build_mvit, kept_attention, rollout, spread


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build_mvit("tiny").eval()
    for name, parameter in model.named_parameters():
        if "rel_pos" in name or "class_token" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture(scope="module")
def frames():
    return torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_recorded_attention_reproduces_the_blocks_output(model, frames):
    """``project(A v + q)``, heads apart, is the output of each attention."""
    seen = []
    for block in model.net.blocks:
        block.attn.pool_v.register_forward_hook(lambda *call: seen.append(call[2][0]))
        block.attn.register_forward_hook(lambda *call: seen.append(call[2][0]))
    with kept_attention(model) as blocks:
        model(frames)
    for block in model.net.blocks:
        block.attn._forward_hooks.clear()
        block.attn.pool_v._forward_hooks.clear()
    for number, block in enumerate(blocks):
        v, output = seen[2 * number : 2 * number + 2]
        heads = []
        for head in range(v.shape[1]):
            only = block.pooled["q"][:, head : head + 1], block.pooled["k"][:, head : head + 1]
            block.pooled, whole = dict(zip("qk", only, strict=True)), block.pooled
            shared = block.weights() @ v[0, head]
            shared[1:] += whole["q"][0, head, 1:]
            block.pooled = whole
            heads.append(shared)
        made = block.attention.project(torch.cat(heads, dim=-1)[None])
        assert_close(made, output, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_rollout_equals_the_product_of_full_matrices(model, frames):
    """The row of the class token in ``Π (A + I) / 2``, every pooling written out as a matrix."""
    with kept_attention(model) as blocks:
        model(frames)
    product = None
    for block in blocks:
        count = 1 + torch.tensor(block.before).prod()
        pools = {
            name: torch.stack(
                [spread(row, block.grids[name], block.before) for row in torch.eye(n)]
            )
            for name, n in ((k, 1 + int(torch.tensor(block.grids[k]).prod())) for k in "qk")
        }
        assert_close(pools["k"].sum(dim=1), torch.ones(len(pools["k"])))
        step = (block.weights() @ pools["k"] + pools["q"]) / 2
        assert step.shape[1] == count
        product = step if product is None else step @ product
    map_ = rollout(model, frames)
    assert map_.shape == (8, 16, 16)
    assert_close(map_.flatten(), product[0, 1:], atol=1e-6, rtol=1e-3)
    assert float(map_.sum()) == pytest.approx(1 - float(product[0, 0]), abs=1e-5)


def test_a_pooled_place_is_spread_equally_over_its_cell():
    row = torch.tensor([0.2, 0.8, 0.0])
    wide = spread(row, (1, 1, 2), (1, 2, 4))
    assert_close(wide, torch.tensor([0.2, 0.2, 0.2, 0.0, 0.0, 0.2, 0.2, 0.0, 0.0]))


def test_hooks_are_removed(model, frames):
    rollout(model, frames)
    assert not any(block.attn.pool_q._forward_hooks for block in model.net.blocks)
