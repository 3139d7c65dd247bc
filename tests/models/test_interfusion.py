"""InterFusion: its equations, gradient to both sides, shapes that must agree."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.emotion import InterFusion


@pytest.fixture
def streams():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 5, 8, generator=generator) for _ in range(2))


def with_gate(reading, logit):
    """An InterFusion whose gate is σ(logit) everywhere."""
    fuse = InterFusion(8, reading)
    torch.nn.init.zeros_(fuse.gate.to_gate.weight)
    torch.nn.init.constant_(fuse.gate.to_gate.bias, logit)
    return fuse


QUARTER = -1.0986122886681098  # σ of it is 1/4


@pytest.mark.parametrize(
    ("reading", "u", "v"),
    [
        ("shared", lambda x, y: x + y / 4, lambda x, y: y + x / 4),
        ("cross", lambda x, y: x + y / 4, lambda x, y: y + 3 * x / 4),
        ("convex", lambda x, y: x + x / 4 + 3 * y / 4, lambda x, y: y + x / 4 + 3 * y / 4),
    ],
)
def test_each_reading_equals_its_equation(streams, reading, u, v):
    x, y = streams
    u_seen, v_seen, gate = with_gate(reading, QUARTER)(x, y)
    assert_close(gate, torch.full_like(x, 0.25))
    assert_close(u_seen, u(x, y))
    assert_close(v_seen, v(x, y))


def test_the_gate_sees_both_streams_and_is_shared(streams):
    x, y = streams
    torch.manual_seed(0)
    fuse = InterFusion(8)
    weight, bias = fuse.gate.to_gate.weight, fuse.gate.to_gate.bias
    expected = torch.sigmoid(x @ weight[:, :8].T + y @ weight[:, 8:].T + bias)
    u, v, gate = fuse(x, y)
    assert_close(gate, expected)
    assert_close(u - x, expected * y)
    assert_close(v - y, expected * x)


@pytest.mark.parametrize("reading", ["shared", "cross", "convex"])
def test_gradient_reaches_both_streams_and_the_gate(streams, reading):
    x, y = (s.requires_grad_() for s in streams)
    fuse = InterFusion(8, reading)
    sum(out.square().sum() for out in fuse(x, y)).backward()
    for tensor in (x, y, *fuse.parameters()):
        assert tensor.grad.abs().sum() > 0


@pytest.mark.parametrize("reading", ["shared", "cross"])
def test_a_missing_token_contributes_nothing(streams, reading):
    x, y = streams
    u, _, _ = InterFusion(8, reading)(x, torch.zeros_like(y))
    assert_close(u, x)


def test_an_unknown_reading_is_refused():
    with pytest.raises(Exception, match="gate"):
        InterFusion(8, "open")


@pytest.mark.parametrize("reading", ["shared", "cross", "convex"])
def test_the_parts_of_each_stream_add_up_to_it_and_stem_from_one_stream_each(streams, reading):
    x, y = streams
    fuse = with_gate(reading, QUARTER)
    u, v, _ = fuse(x, y)
    (u_x, u_y), (v_x, v_y) = fuse.parts(x, y)
    assert_close(u_x + u_y, u)
    assert_close(v_x + v_y, v)
    zero = torch.zeros_like(x)  # the gate is the same for every input here
    (alone_x, nothing), (alone_v, nothing_v) = fuse.parts(x, zero)
    assert_close((alone_x, nothing), (u_x, zero))
    assert_close((alone_v, nothing_v), (v_x, zero))
