"""Merging: MCTF's published numbers within a sequence, and the matching between two sets."""

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.cmtf import (
    Slots,
    among_highest,
    assign_slots,
    count_by_slot,
    match_both_ways,
    merge_weighted,
    readiness,
    similarity,
)
from tests.models.mctf import merge_sequence

POOLINGS = ["size", "importance", "max", "mean"]  # by the reference's number


@pytest.fixture(scope="module")
def mctf(shared):
    cases = json.loads((shared / "fixtures/video/mctf_fusion.json").read_text())["cases"]
    with np.load(shared / "fixtures/video/mctf_fusion.npz") as arrays:
        return cases, {name: torch.from_numpy(arrays[name]) for name in arrays}


def in_the_order_of(wanted, source):
    """Where each row of one source matrix stands in the other: the order of tokens is free."""
    order = [(source == row).all(dim=1).nonzero().flatten().tolist() for row in wanted]
    assert all(len(found) == 1 for found in order)
    return [found[0] for found in order]


@pytest.mark.shared
@pytest.mark.parametrize("number", range(10))
def test_a_sequence_merges_as_published(mctf, number):
    cases, arrays = mctf
    case = cases[number]
    size = arrays["size"][..., 0].float()
    merged = merge_sequence(
        arrays["x"],
        arrays["attn"],
        size if case["use_size"] else torch.ones_like(size),
        r=case["r"],
        protected=case["num_protected"],
        tau=tuple(case["tau"]),
        both_ways=bool(case["bidirection"]),
        pooling=POOLINGS[case["pooling_type"]],
    )
    assert merged.tokens.shape[1] == case["tokens_out"]
    for clip in range(2):
        wanted = arrays[f"case{number}_source"][clip].bool()
        order = in_the_order_of(wanted, merged.source[clip])
        near = {"atol": 2e-5, "rtol": 1e-4}
        assert_close(merged.tokens[clip, order], arrays[f"case{number}_x"][clip], **near)
        assert_close(merged.size[clip, order], arrays[f"case{number}_size"][clip, :, 0])
        if case["one_step_ahead"]:
            attention = merged.attention[clip][:, order][:, :, order]
            assert_close(attention, arrays[f"case{number}_attn"][clip], **near)


@pytest.mark.shared
def test_the_three_factors_are_as_published(mctf):
    _, arrays = mctf
    x, everywhere = arrays["x"], torch.ones(2, 33, dtype=torch.bool)
    assert_close(similarity(x[:, ::2], x[:, 1::2]), arrays["w_sim_tau1"], atol=1e-6, rtol=1e-5)
    u = readiness(arrays["attn"].mean(dim=(1, 2)), everywhere)
    z = readiness(arrays["size"][..., 0].float(), everywhere)
    for ready, tau, name in ((u, 20, "w_info_tau20"), (z, 40, "w_size_tau40")):
        pairs = (ready[:, ::2, None] * ready[:, None, 1::2]) ** (1 / tau)
        assert_close(pairs, arrays[name], atol=1e-6, rtol=1e-5)


def test_similarity_runs_from_0_to_1():
    a = torch.tensor([[[1.0, 0], [0, 2]]])
    b = torch.tensor([[[3.0, 0], [-1, 0], [0, 0]]])
    assert_close(similarity(a, b), torch.tensor([[[1.0, 0, 0.5], [0.5, 0.5, 0.5]]]))


def test_the_least_important_valid_token_has_the_highest_readiness():
    importance = torch.tensor([[0.5, 2.0, 0.001]])
    mask = torch.tensor([[True, True, False]])
    assert_close(readiness(importance, mask), torch.tensor([[1.0, 0.25, 0.0]]))


def test_matching_goes_forth_then_back_without_new_scores():
    """a0 -> b1 is the best row; b1 takes it along to a2, its best among those that stay."""
    scores = torch.tensor([[[0.1, 0.9], [0.2, 0.3], [0.4, 0.8]]])
    found = match_both_ways(scores, torch.tensor([1]), torch.tensor([1]))
    assert found.tolist() == [[2, 1, 2, 3, 2]]  # a0, b1 -> a2; a1, a2 and b0 (token 3) stay
    assert match_both_ways(scores, torch.tensor([0]), torch.tensor([0])).tolist() == [
        [0, 1, 2, 3, 4]
    ]


def test_of_equal_scores_the_first_token_merges():
    values = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert among_highest(values, torch.tensor([2])).tolist() == [[True, True, False, False]]


def test_each_clip_merges_its_own_number_of_tokens():
    scores = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    forth, back = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2])
    found = match_both_ways(scores, forth, back)
    merged = (found != torch.arange(9)).sum(dim=1)
    assert merged.tolist() == [0, 2, 4]
    for clip in range(3):
        alone = match_both_ways(scores[clip : clip + 1], forth[[clip]], back[[clip]])
        assert_close(alone[0], found[clip])


def test_a_merged_token_is_the_weighted_mean_of_its_sources():
    destination = torch.tensor([[0, 2, 2, 0, 4]])
    mask = torch.tensor([[True, True, True, True, False]])
    slots = assign_slots(destination, mask, 4)
    assert slots.slot.tolist() == [[0, 1, 1, 0, -1]]
    assert slots.mask.tolist() == [[True, True, False, False]]
    assert slots.source[0, :2].tolist() == [
        [True, False, False, True, False],
        [False, True, True, False, False],
    ]
    assert not slots.source[0, 2:].any()
    values = torch.tensor([[[1.0], [2], [4], [7], [99]]])
    weight = torch.tensor([[1.0, 1, 3, 2, 5]])
    merged = merge_weighted(values, weight, slots)
    assert_close(merged[0, :, 0], torch.tensor([(1 + 14) / 3, (2 + 12) / 4, 0, 0]))
    first, second = count_by_slot(slots, split=3)
    assert first.tolist() == [[1, 2, 0, 0]]
    assert second.tolist() == [[1, 0, 0, 0]]


def test_merging_has_a_gradient_to_values_and_weights():
    slots = Slots(torch.tensor([[0, 0, 1]]), torch.tensor([[True, True]]))
    values = torch.tensor([[[1.0], [3], [5]]], requires_grad=True)
    weight = torch.tensor([[1.0, 3, 2]], requires_grad=True)
    merge_weighted(values, weight, slots)[0, 0, 0].backward()
    assert_close(values.grad[0, :, 0], torch.tensor([0.25, 0.75, 0]))
    assert_close(weight.grad, torch.tensor([[-0.375, 0.125, 0]]))  # (x - mean) / Σ weight
