"""Tokens: their times and places, and masks."""

import torch
from torch.testing import assert_close

from imigue_lab.models.tokens import (
    Projection,
    Tokens,
    grid_tokens,
    joint_places,
    joint_tokens,
    masked_mean,
)


def test_cells_of_a_map_are_at_their_centres():
    features = torch.arange(2 * 2 * 3).reshape(1, 2, 2, 3, 1).float()
    tokens = grid_tokens(features)
    assert_close(tokens.values[0, :, 0], torch.arange(12.0))
    assert_close(tokens.times[0], torch.tensor([0.25] * 6 + [0.75] * 6))
    assert_close(tokens.places[0, 0], torch.tensor([1 / 6, 1 / 4]))  # first row, first column
    assert_close(tokens.places[0, 5], torch.tensor([5 / 6, 3 / 4]))  # second row, third column
    assert tokens.mask.all()


def test_a_joint_outside_the_crop_keeps_its_token_but_has_no_place():
    places = torch.tensor([[0.5, 0.5], [1.2, 0.5], [0.5, -0.1]]).reshape(1, 1, 1, 3, 2)
    mask = torch.ones(1, 1, 1, 3, dtype=torch.bool)
    tokens = joint_tokens(torch.randn(1, 1, 1, 3, 4), places, mask)
    assert tokens.mask.tolist() == [[True, True, True]]
    assert tokens.placed.tolist() == [[True, False, False]]


def test_the_time_of_a_joint_is_a_share_of_its_own_clip():
    mask = torch.ones(2, 1, 4, 1, dtype=torch.bool)
    places = torch.full((2, 1, 4, 1, 2), 0.5)
    tokens = joint_tokens(torch.randn(2, 1, 4, 1, 3), places, mask, steps=torch.tensor([4, 2]))
    assert_close(tokens.times[0], torch.tensor([0.125, 0.375, 0.625, 0.875]))
    assert_close(tokens.times[1, :2], torch.tensor([0.25, 0.75]))
    assert tokens.mask[1].tolist() == [True, True, False, False]


def test_the_place_of_a_joint_is_the_mean_over_frames_where_it_was_seen():
    joints = torch.tensor([[1.0, 2], [3, 4], [torch.nan, 0], [9, 9], [5, 6]]).reshape(1, 1, 5, 1, 2)
    scores = torch.tensor([0.9, 0.5, 0, 0, 0.1]).reshape(1, 1, 5, 1)
    places, seen = joint_places(joints, scores, stride=4)
    assert_close(places[0, 0, :, 0], torch.tensor([[2.0, 3], [5, 6]]))
    assert seen.all()
    _, seen = joint_places(joints, torch.zeros_like(scores), stride=4)
    assert not seen.any()


def test_masked_values_have_no_effect_not_even_nan():
    mask = torch.tensor([[True, True, False]])
    values = torch.randn(1, 3, 4)
    values[0, 2] = torch.nan
    places = torch.rand(1, 3, 2)
    places[0, 1:] = torch.nan
    placed = torch.tensor([[True, False, False]])
    times = torch.tensor([[0.0, 1.0, torch.nan]])
    projection = Projection(4, 5)
    out = projection(Tokens(values, times, mask, places, placed))
    assert_close(out.values[0, :2], projection.linear(values[0, :2]) + projection.modality)
    assert_close(out.values[0, 2], torch.zeros(5))
    assert out.times.tolist() == [[0, 1, 0]]
    assert out.placed.tolist() == [[True, False, False]]
    assert_close(out.places[0, 1:], torch.zeros(2, 2))
    out.values.sum().backward()
    assert torch.isfinite(projection.linear.weight.grad).all()


def test_the_constant_part_is_subtracted_and_projected_by_weights_that_start_at_zero():
    values, rest = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    tokens = Tokens(values, torch.rand(1, 3), torch.ones(1, 3, dtype=torch.bool), rest=rest)
    projection = Projection(4, 5)
    changes = projection.linear(values - rest) + projection.modality
    assert_close(projection(tokens).values, changes)
    plain = Projection(4, 5, centred=False)
    plain.load_state_dict(projection.state_dict())
    assert_close(plain(tokens).values, plain.linear(values) + plain.modality)
    torch.nn.init.normal_(projection.to_rest.weight)
    assert_close(projection(tokens).values, changes + rest @ projection.to_rest.weight.T)


def test_the_rest_of_a_cell_is_its_mean_over_the_clip():
    features = torch.randn(2, 4, 2, 3, 5)
    rest = grid_tokens(features).rest.reshape(2, 4, 2, 3, 5)
    assert_close(rest, features.mean(dim=1, keepdim=True).expand_as(features))


def test_the_rest_of_a_joint_is_its_mean_over_the_steps_in_which_it_was_seen():
    features = torch.randn(1, 1, 4, 2, 3)
    mask = torch.ones(1, 1, 4, 2, dtype=torch.bool)
    mask[..., 1, 0] = False  # the first joint, once
    features[0, 0, 1, 0] = torch.nan
    places = torch.full((1, 1, 4, 2, 2), 0.5)
    rest = joint_tokens(features, places, mask, steps=torch.tensor([3])).rest.reshape(4, 2, 3)
    assert_close(rest[0, 0], (features[0, 0, 0, 0] + features[0, 0, 2, 0]) / 2)
    assert_close(rest[0, 1], features[0, 0, :3, 1].mean(dim=0))


def test_half_precision_features_are_accepted():
    tokens = grid_tokens(torch.randn(1, 1, 2, 2, 4).half())
    assert Projection(4, 6)(tokens).values.dtype == torch.float32


def test_the_mean_is_over_valid_tokens_and_0_without_any():
    values = torch.tensor([[[1.0], [3.0], [100.0]], [[1.0], [2.0], [3.0]]])
    mask = torch.tensor([[True, True, False], [False] * 3])
    assert_close(masked_mean(values, mask), torch.tensor([[2.0], [0.0]]))
