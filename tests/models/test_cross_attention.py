"""Cross-modal attention: each criterion's equation, the slopes, masks, fused and explicit alike."""

import math

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.errors import DataError
from imigue_lab.models.cross_attention import (
    CRITERIA,
    CrossAttention,
    gaps_between,
    heads_by_criterion,
)
from imigue_lab.models.tokens import Tokens

WIDTH, HEADS = 24, 6


def tokens(n, seed, clips=2, width=WIDTH):
    generator = torch.Generator().manual_seed(seed)
    return Tokens(
        torch.randn(clips, n, width, generator=generator),
        torch.rand(clips, n, generator=generator),
        torch.ones(clips, n, dtype=torch.bool),
        torch.rand(clips, n, 2, generator=generator),
    )


def build(criteria=CRITERIA, seed=0):
    torch.manual_seed(seed)
    return CrossAttention(WIDTH, HEADS, criteria)


def run(attention, x, y, **asked):
    return attention(x.values, y.values, x.mask, y.mask, gaps_between(x, y), **asked)


def logits_by_hand(attention, x, y):
    """The class docstring's logits, a head and a pair of tokens at a time: (B, H, I, J)."""
    d = WIDTH // HEADS
    q, (k, _) = attention.to_q(x.values), attention.to_kv(y.values).chunk(2, dim=-1)
    logits = torch.zeros(len(x.values), HEADS, x.values.shape[1], y.values.shape[1])
    first_spatial = attention.criteria.index("spatial")
    first_context = attention.criteria.index("contextual")
    for head, name in enumerate(attention.criteria):
        here = slice(head * d, (head + 1) * d)
        if name == "contextual":
            here = slice((head - first_context) * d, (head - first_context + 1) * d)
            mean = attention.context.to_q(x.values.mean(dim=1))[:, here]
            keys = attention.context.to_k(y.values)[..., here]
            logits[:, head] = torch.einsum("bd,bjd->bj", mean, keys)[:, None] / math.sqrt(d)
            continue
        logits[:, head] = q[..., here] @ k[..., here].mT / math.sqrt(d)
        if name == "spatial":
            time, place = torch.nn.functional.softplus(attention.slopes[head - first_spatial])
            logits[:, head] -= time * (x.times[:, :, None] - y.times[:, None]).abs()
            logits[:, head] -= place * torch.cdist(x.places, y.places)
    return logits


@pytest.mark.parametrize(
    ("heads", "counts"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [2, 2, 1]), (8, [3, 3, 2])]
)
def test_a_third_of_the_heads_each_semantic_first(heads, counts):
    assert list(heads_by_criterion(heads).values()) == counts


def test_the_weights_are_the_softmax_of_each_criterions_logit():
    attention, x, y = build(), tokens(5, 1), tokens(4, 2)
    weights = run(attention, x, y, return_weights=True).weights
    assert attention.criteria == ("semantic",) * 2 + ("spatial",) * 2 + ("contextual",) * 2
    assert_close(weights, logits_by_hand(attention, x, y).softmax(dim=-1))


def test_the_values_are_those_weights_times_the_values_of_all_heads():
    attention, x, y = build(), tokens(5, 1), tokens(4, 2)
    out = run(attention, x, y, return_weights=True)
    v = attention.to_kv(y.values).chunk(2, dim=-1)[1]
    v = torch.cat([v, attention.context.to_v(y.values)], dim=-1)
    taken = torch.einsum("bhij,bjhd->bihd", out.weights, v.unflatten(2, (HEADS, -1))).flatten(2)
    own = attention.out.in_features
    expected = attention.out(taken[..., :own]) + attention.context.out(taken[..., own:])
    assert_close(out.values, expected)


def test_received_is_the_mean_over_heads_and_valid_queries():
    attention, x, y = build(), tokens(5, 1), tokens(4, 2)
    x.mask[0, 3:] = False
    out = run(attention, x, y, return_received=True, return_weights=True)
    assert_close(out.received[0], out.weights[0, :, :3].mean(dim=(0, 1)))
    assert_close(out.received[1], out.weights[1].mean(dim=(0, 1)))
    assert_close(out.received.sum(dim=1), torch.ones(2))


def test_computing_few_clips_at_a_time_has_the_same_result_and_gradients(monkeypatch):
    attention, x, y = build(), tokens(5, 1, clips=3), tokens(4, 2, clips=3)
    x.mask[0, 3:] = False
    asked = {"return_received": True, "return_weights": True}
    together = run(attention, x, y, **asked)
    monkeypatch.setattr("imigue_lab.models.cross_attention.IN_CACHE", 1)
    apart = run(attention, x, y, **asked)
    for one, other in zip(together, apart, strict=True):
        assert_close(one, other)
    parameters = list(attention.parameters())
    sums = [(out.values.square().sum() + out.received.square().sum()) for out in (together, apart)]
    for one, other in zip(*(torch.autograd.grad(s, parameters) for s in sums), strict=True):
        assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_slopes_start_geometrically_from_4_to_16():
    attention = CrossAttention(36, 9)  # three spatial heads
    start = torch.tensor([[4.0, 4], [8, 8], [16, 16]])
    assert_close(torch.nn.functional.softplus(attention.slopes), start)


@pytest.mark.parametrize("criteria", [CRITERIA, ("semantic",), ("spatial", "contextual"), ()])
def test_the_fused_path_equals_the_explicit_one(criteria):
    attention, x, y = build(criteria), tokens(5, 1), tokens(4, 2)
    y.mask[1, 2:] = False
    fused, explicit = run(attention, x, y), run(attention, x, y, return_weights=True)
    assert fused.weights is None
    assert_close(fused.values, explicit.values)
    parameters = list(attention.parameters())
    slow, fast = (
        torch.autograd.grad(out.values.square().sum(), parameters, retain_graph=True)
        for out in (explicit, fused)
    )
    for ours, theirs in zip(fast, slow, strict=True):
        assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
        assert torch.isfinite(ours).all()


def test_masked_keys_get_no_attention():
    attention, x, y = build(), tokens(5, 1), tokens(4, 2)
    y.mask[1, 2:] = False
    weights = run(attention, x, y, return_weights=True).weights
    assert (weights[1, :, :, 2:] == 0).all()
    assert_close(weights.sum(dim=-1), torch.ones(2, HEADS, 5))


@pytest.mark.parametrize(
    ("on", "does"),
    [
        (("spatial", "contextual"), ("uniform",) * 2 + ("spatial",) * 2 + ("contextual",) * 2),
        (("semantic", "contextual"), ("semantic",) * 4 + ("contextual",) * 2),
        (("semantic", "spatial"), ("semantic",) * 4 + ("spatial",) * 2),
        ((), ("uniform",) * 2 + ("semantic",) * 4),
    ],
)
def test_a_disabled_criterion_keeps_its_heads(on, does):
    attention, x, y = build(on), tokens(5, 1), tokens(4, 2)
    assert attention.criteria == does
    weights = run(attention, x, y, return_weights=True).weights
    uniform = weights[:, : does.count("uniform")]
    assert_close(uniform, torch.full_like(uniform, 1 / 4))
    moved = Tokens(y.values, y.times, y.mask, y.places + 1)
    change = (run(attention, x, moved, return_weights=True).weights - weights).abs()
    for head, name in enumerate(does):
        assert (change[:, head].max() > 1e-3) == (name == "spatial")
    size = sum(p.numel() for p in attention.parameters())
    assert abs(size - sum(p.numel() for p in build().parameters())) < 5 * WIDTH  # slopes and biases


def test_gaps_are_in_time_and_place_and_an_unknown_place_is_no_gap():
    x = Tokens(torch.zeros(1, 1, 2), torch.tensor([[0.25]]), torch.ones(1, 1).bool())
    y = Tokens(torch.zeros(1, 2, 2), torch.tensor([[1.0, 0.0]]), torch.ones(1, 2).bool())
    x = Tokens(x.values, x.times, x.mask, torch.tensor([[[0.1, 0.2]]]))
    there = torch.tensor([[True, False]])
    y = Tokens(y.values, y.times, y.mask, torch.tensor([[[0.4, 0.6], [0.9, 0.9]]]), there)
    gaps = gaps_between(x, y)
    assert_close(gaps[:, 0], torch.tensor([[[0.75, 0.25]]]))
    assert_close(gaps[:, 1], torch.tensor([[[0.5, 0.0]]]))


def test_tokens_without_places_are_refused_by_spatial_heads():
    x = tokens(3, 0)
    with pytest.raises(DataError, match="tokens without places"):
        gaps_between(x, Tokens(x.values, x.times, x.mask))
