"""Refinement: attention over retrieved entries, prototypes, the margin and the ramp of α."""

import math

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.errors import SettingsError
from imigue_lab.models.memory import Prototypes, alpha_at, angular_cross_entropy, build_memory

WIDTH, HEADS = 8, 2


def build(**changes):
    torch.manual_seed(0)
    memory = build_memory(**{"classes": 3, "dim": WIDTH, "heads": HEADS, "bank": 6} | changes)
    memory.epoch.fill_(memory.warmup)
    for parameter in memory.parameters():  # trained: the output layer starts at 0
        if not parameter.any() and parameter.ndim != 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return memory


def fill(memory, label, count, seed=0):
    """`count` entries of one class, from clips named by class and number."""
    f = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed + label))
    logits = 9.0 * torch.nn.functional.one_hot(torch.full((count,), label), 3).float()
    ids = [f"{label}-{number}" for number in range(count)]
    memory.bank.write(f, logits, torch.full((count,), label), ids)
    return f


def towards(*labels):
    return torch.nn.functional.one_hot(torch.tensor(labels), 3).float()


def test_the_context_is_the_first_row_of_self_attention_over_clip_and_entries():
    memory = build(top_k=3)
    entries = fill(memory, 1, 6)
    f = torch.randn(1, WIDTH)
    found = memory(f, towards(1))
    nearest = torch.cosine_similarity(f, entries).argsort(descending=True)[:3]
    assert found.retrieved.slot[0].tolist() == nearest.tolist()
    tokens = torch.cat([f, entries[nearest]])
    q, (k, v) = memory.to_q(tokens), memory.to_kv(tokens).chunk(2, dim=-1)
    rows = []
    for head in range(HEADS):
        here = slice(head * 4, head * 4 + 4)
        weights = (q[:, here] @ k[:, here].T / math.sqrt(4)).softmax(dim=-1)
        assert_close(found.weights[0, head], weights[0])
        rows.append(weights[0] @ v[:, here])
    assert_close(found.context[0], memory.out(torch.cat(rows)))


def test_the_predicted_class_is_read():
    memory = build()
    fill(memory, 0, 2)
    fill(memory, 2, 2)
    found = memory(torch.randn(2, WIDTH), towards(2, 0))
    assert found.retrieved.label.tolist() == [2, 0]
    assert_close(found.retrieved.entries[0, 0], memory.bank.entries[2, found.retrieved.slot[0, 0]])


def test_empty_slots_get_no_attention_and_a_class_without_entries_adds_nothing():
    memory = build(top_k=4)
    fill(memory, 0, 2)
    found = memory(torch.randn(2, WIDTH), towards(0, 1))
    assert (found.weights[0, :, 3:] == 0).all()
    assert_close(found.weights[0].sum(dim=-1), torch.ones(HEADS))
    assert (found.context[0] != 0).all()
    assert (found.context[1] == 0).all()


def test_in_warm_up_nothing_is_read():
    memory = build(warmup=2)
    fill(memory, 0, 2)
    f = torch.randn(1, WIDTH)
    for epoch, reads in ((0, False), (1, False), (2, True), (3, True)):
        memory.epoch.fill_(epoch)
        assert bool((memory(f, towards(0)).context != 0).any()) == reads


def test_the_epoch_is_restored():
    memory, other = build(), build()
    other.epoch.fill_(0)
    fill(memory, 0, 3)
    other.load_state_dict(memory.state_dict())
    f = torch.randn(1, WIDTH)
    assert_close(other(f, towards(0)).context, memory(f, towards(0)).context)
    assert other.epoch == memory.warmup


def test_gradients_are_finite_without_entries_and_reach_f_with_them():
    memory = build()
    fill(memory, 0, 2)
    f = torch.randn(2, WIDTH, requires_grad=True)
    found = memory(f, towards(0, 1))
    found.context.sum().backward()
    assert torch.isfinite(f.grad).all()
    assert (f.grad[0] != 0).any() and (f.grad[1] == 0).all()
    assert not found.retrieved.entries.requires_grad


def test_class_cosines_use_the_mean_entry_without_the_clips_own():
    memory = build()
    entries = fill(memory, 0, 3)
    f = torch.randn(2, WIDTH)
    cosine = memory(f, towards(0, 0), ["0-1", "else"]).class_cosine
    others = entries[[0, 2]].mean(dim=0)
    assert_close(cosine[0, 0], torch.cosine_similarity(f[0], others, dim=0))
    assert_close(cosine[1, 0], torch.cosine_similarity(f[1], entries.mean(dim=0), dim=0))
    assert (cosine[:, 1:] == -torch.inf).all()


def test_cosines_are_exact_under_autocast():
    memory = build(dim=64)
    f, labels = torch.randn(6, 64), torch.arange(6) % 3
    memory.bank.write(f, 9 * torch.eye(3)[labels], labels, [str(n) for n in range(6)])
    exact = memory.prototypes(f), memory.class_cosine(f)
    with torch.autocast("cpu", torch.bfloat16):
        found = memory.prototypes(f), memory.class_cosine(f)
    assert torch.equal(found[0], exact[0]) and torch.equal(found[1], exact[1])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bank": 4, "top_k": 5}, "top_k must be from 1 to the bank's 4 entries; got 5"),
        ({"top_k": 0}, "top_k"),
    ],
)
def test_values_that_do_not_fit_are_refused(wrong, words):
    with pytest.raises(SettingsError, match=words):
        build(**wrong)


def test_prototypes_return_cosines():
    prototypes = Prototypes(2, 2)
    prototypes.vectors.data = torch.tensor([[0.0, 3.0], [1.0, 1.0]])
    cosine = prototypes(torch.tensor([[5.0, 0.0]]))
    assert_close(cosine, torch.tensor([[0.0, 1 / 2**0.5]]))


def test_the_cross_entropy_is_over_cosines_divided_by_a_tenth():
    cosine = torch.tensor([[0.3, 0.1, -0.2]])
    by_hand = math.log(math.exp(3) + math.exp(1) + math.exp(-2)) - 1
    assert_close(angular_cross_entropy(cosine, torch.tensor([1])), torch.tensor([by_hand]))


def test_the_margin_widens_the_angle_of_the_true_class():
    cosine = torch.tensor([[0.5, 0.1]])  # 60 degrees
    wide = angular_cross_entropy(cosine, torch.tensor([0]), margin=math.pi / 6)
    assert_close(wide, angular_cross_entropy(torch.tensor([[0.0, 0.1]]), torch.tensor([0])))
    far = angular_cross_entropy(torch.tensor([[-0.99, 0.1]]), torch.tensor([0]), margin=1.0)
    assert_close(far, angular_cross_entropy(torch.tensor([[-1.0, 0.1]]), torch.tensor([0])))


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_classes_without_entries_have_no_logit_and_no_nan(margin):
    cosine = torch.tensor([[0.3, 0.1, 0.0], [0.3, 0.1, 0.0], [0.2, 0.2, 0.2]], requires_grad=True)
    empty = torch.tensor([[False, False, True], [False, False, True], [True] * 3])
    known = cosine.masked_fill(empty, -torch.inf)
    loss = angular_cross_entropy(known, torch.tensor([0, 2, 1]), margin)
    two = angular_cross_entropy(cosine[:1, :2], torch.tensor([0]), margin)
    assert_close(loss, torch.tensor([two.item(), 0, 0]))
    loss.sum().backward()
    assert torch.isfinite(cosine.grad).all()
    assert (cosine.grad[1:] == 0).all()
    assert (cosine.grad[0, :2] != 0).all()


def test_alpha_is_a_linear_ramp_after_warm_up():
    ramp = [alpha_at(epoch, alpha=2.0, warmup=3, ramp=4) for epoch in range(9)]
    assert ramp == [0, 0, 0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert [alpha_at(epoch, 1.0, 2, 0) for epoch in range(4)] == [0, 0, 1, 1]


def test_every_class_is_compared_and_gives_a_logit():
    memory = build(reads="all", top_k=2)
    entries = [fill(memory, 0, 4), fill(memory, 1, 1)]
    f = torch.randn(2, WIDTH)
    found = memory(f, towards(1, 0))
    cosines = [torch.cosine_similarity(f[:, None], own, dim=-1) for own in entries]
    two = cosines[0].topk(2, dim=1).values.mean(dim=1)
    similarity = torch.stack([two, cosines[1][:, 0], torch.minimum(two, cosines[1][:, 0])], dim=1)
    assert_close(found.evidence, memory.scale * similarity / 0.1)  # class 2 has the lowest
    assert (found.context == 0).all()
    assert found.retrieved.label.tolist() == [1, 0] and found.retrieved.valid[1].all()


def test_evidence_leaves_out_the_clips_own_entry_and_starts_after_warm_up():
    memory = build(reads="all", top_k=3)
    assert (memory(torch.randn(1, WIDTH), towards(0)).evidence == 0).all()
    entries = fill(memory, 0, 2)
    f, other = entries[:1], entries[1:]
    whole, less = (memory(f, towards(0), ids).evidence[0, 0] for ids in (None, ["0-0"]))
    cosine = torch.cosine_similarity(f, other)[0]
    assert_close(less, memory.scale * cosine / 0.1)
    assert_close(whole, memory.scale * (1 + cosine) / 2 / 0.1)
    memory.epoch.fill_(memory.warmup - 1)
    assert (memory(f, towards(0)).evidence == 0).all()


def test_the_evidence_of_a_class_without_entries_has_no_nan_gradient():
    memory = build(reads="all")
    fill(memory, 1, 2)
    f = torch.randn(2, WIDTH, requires_grad=True)
    memory(f, towards(0, 1), ["1-0", "1-1"]).evidence[:, 1].sum().backward()
    assert torch.isfinite(f.grad).all() and (f.grad != 0).any()
    assert memory.scale.grad != 0
