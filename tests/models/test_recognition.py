"""Recognisers of whole videos: losses, decoding and suppression by hand, chunks, padding."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.recognition import (
    BUILDERS,
    FLOOR,
    FrameNetwork,
    Pyramid,
    paint,
    read,
    suppress,
    viterbi,
)

DIM, CLASSES = 6, 3


@pytest.fixture(params=BUILDERS)
def model(request):
    torch.manual_seed(0)
    return BUILDERS[request.param](DIM, CLASSES, width=16, depth=3).eval()


def whole(features):
    return torch.ones(features.shape[:2], dtype=torch.bool)


def test_a_loss_has_finite_gradients_and_counts_no_padding(model):
    features = torch.randn(2, 60, DIM)
    truth = torch.tensor([[[0, 5, 20], [2, 18, 50]], [[1, 0, 9], [-1, -1, -1]]])
    mask = whole(features)
    mask[1, 40:] = False
    loss = model.loss(features, mask, truth)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    other = features.clone()
    other[1, 40:] = 100
    assert_close(model.loss(other, mask, truth), loss)
    alone = [
        model.loss(features[:1], mask[:1], truth[:1]),
        model.loss(features[1:, :40], mask[1:, :40], truth[1:]),
    ]
    assert_close(loss, torch.stack(alone).mean())


def test_windows_without_a_segment_have_a_loss_too(model):
    features = torch.randn(1, 33, DIM)
    none = torch.zeros(1, 0, 3, dtype=torch.long)
    padding = torch.full((1, 2, 3), -1)
    losses = [model.loss(features, whole(features), truth) for truth in (none, padding)]
    assert_close(*losses)
    losses[0].backward()


def test_chunks_give_the_numbers_of_the_whole_video(model):
    features = torch.randn(701, DIM)
    with torch.no_grad():
        at_once = model(features[None], whole(features[None]))
    for chunk in (64, 100, 5000):
        for part, output in zip(read(model, features, chunk), at_once, strict=True):
            assert_close(part, output[0], atol=1e-5, rtol=1e-4)


def test_no_chunk_of_a_long_video_is_larger_than_its_length_and_reach(model, monkeypatch):
    seen = []
    forward = type(model).forward

    def watched(self, features, mask):
        seen.append(features.shape[1])
        return forward(self, features, mask)

    monkeypatch.setattr(type(model), "forward", watched)
    outputs = read(model, torch.randn(30_000, DIM), chunk=1024)
    assert len(outputs[0]) == 30_000
    assert max(seen) <= 1024 + 2 * (model.reach + model.steps[-1])


def test_frames_have_the_class_of_the_shortest_segment():
    truth = torch.tensor([[1, 2, 4], [0, 1, 9], [2, 8, 30], [-1, -1, -1]])
    assert paint(truth, 12, 3).tolist() == [3, 0, 1, 1, 0, 0, 0, 0, 0, 2, 2, 2]


def test_viterbi_finds_the_best_path():
    rng = np.random.default_rng(0)
    log, transition = rng.normal(size=(5, 3)), rng.normal(size=(3, 3))
    places = np.stack(np.meshgrid(*[range(3)] * 5, indexing="ij"), axis=-1).reshape(-1, 5)
    sums = log[range(5), places].sum(axis=1) + transition[places[:, :-1], places[:, 1:]].sum(axis=1)
    assert viterbi(log, transition).tolist() == places[sums.argmax()].tolist()


def test_transitions_are_counted_and_bridge_a_short_doubt():
    model = FrameNetwork(DIM, 2, width=8, depth=1)
    model.count_transitions([torch.tensor([2, 2, 0, 0, 0, 2, 2, 1, 1, 1, 2])])
    counts = np.array([[2, 0, 1], [0, 2, 1], [1, 1, 2]]) + 1
    expected = np.log(counts / counts.sum(axis=1, keepdims=True))
    assert_close(model.transition.numpy(), expected.astype(np.float32))
    log = torch.tensor([2.0, 2, 0, 0, 1, 0, 0, 2, 2]).long()
    logits = 2 * torch.nn.functional.one_hot(log, 3).float()
    found = model.find([logits], 0.0)
    assert found.label.tolist() == [0, 1, 0]
    model.count_transitions([torch.tensor([2] * 50 + [0] * 50 + [2] * 50)])
    found = model.find([logits], 1.0)
    assert (found.label.tolist(), found.start.tolist(), found.stop.tolist()) == ([0], [2], [7])
    assert found.confidence[0] == pytest.approx(logits.softmax(1)[2:7, 0].mean().item())


def test_frames_of_background_alone_are_no_segment():
    found = FrameNetwork(DIM, 2, width=8, depth=1).find([torch.tensor([[0.0, 0, 9]] * 7)], 1.0)
    assert not len(found.label)


def test_points_are_evenly_spaced_on_each_level():
    model = Pyramid(DIM, 2, width=8, depth=1, levels=3)
    place, step = model.points([torch.zeros(1, n, 4) for n in (8, 4, 2)])
    assert place.tolist() == [*np.arange(8) + 0.5, *np.arange(4) * 2 + 0.5, 0.5, 4.5]
    assert step.tolist() == [1] * 8 + [2] * 4 + [4] * 2


@pytest.mark.parametrize(
    ("length", "places"),
    [
        (6, [[31.5, 32.5], [30.5, 34.5], []]),  # 30.5 is 4.5 frames before the end
        (10, [[], [30.5, 32.5, 34.5], [28.5, 36.5]]),
        (14, [[], [32.5], [28.5, 36.5]]),  # 30.5 is 8.5 frames before the end
        (18, [[], [], [28.5, 32.5, 36.5]]),
    ],
)
def test_a_segment_is_learned_by_middle_points_of_levels_as_coarse_as_it_is_long(length, places):
    model = Pyramid(DIM, 1, width=8, depth=1, levels=3)
    levels = [torch.zeros(1, 64 // step, 3, requires_grad=True) for step in model.steps[1:]]
    truth = torch.tensor([[[0, 32 - length // 2, 32 + length // 2]]])
    model.errors([torch.zeros(1, 64, 2), *levels], whole(torch.zeros(1, 64)), truth).backward()
    for own, step, expected in zip(levels, model.steps[1:], places, strict=True):
        learned = own.grad[0, :, 1:].abs().sum(dim=1).nonzero().flatten()
        assert (learned * step + 0.5).tolist() == expected


def test_a_pyramid_overfits_segments_that_overlap_across_classes():
    torch.manual_seed(0)
    model = Pyramid(DIM, CLASSES, width=32, depth=4)
    features = torch.randn(1, 128, DIM)
    truth = torch.tensor([[[0, 0, 30], [1, 20, 90], [2, 100, 106], [0, 110, 128]]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(features, whole(features), truth).backward()
        optimizer.step()
    found = model.eval().find(read(model, features[0]), 0.1)
    sure = found.confidence > 0.5
    rows = np.stack([found.label, found.start.round(), found.stop.round()], axis=1)[sure]
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, truth[0].tolist()))


def test_suppression_lowers_what_overlaps_a_better_segment():
    ends = np.array([[0.0, 10], [0, 5], [20, 30], [0, 10]])
    places, confidence = suppress(ends, np.array([0.9, 0.8, 0.7, FLOOR]), 0.5)
    assert places.tolist() == [0, 2, 1]  # the last falls below the floor
    assert_close(confidence, np.array([0.9, 0.7, 0.8 * np.exp(-(0.5**2) / 0.5)]))
    assert not len(suppress(np.empty((0, 2)), np.empty(0), 0.5)[0])
