"""The loss of the gesture model: each term by hand, and what reaches what."""

import torch
import torch.nn.functional as F
from torch.testing import assert_close

from imigue_lab.models.cmtf import Fusion
from imigue_lab.models.gesture import GestureOutput, build_gesture
from imigue_lab.models.gesture_loss import gesture_loss
from imigue_lab.models.tokens import Tokens

LABEL = torch.tensor([0, 1, 1, 2])


def output(theta=0.0):
    """Four clips of three classes: two whole, one of RGB alone, one of pose alone."""
    generator = torch.Generator().manual_seed(0)
    y_rgb, y_pose = (torch.randn(4, 3, generator=generator).requires_grad_() for _ in range(2))
    theta = torch.tensor(theta, requires_grad=True)
    w_pose = (1 + torch.sigmoid(theta)) / 2
    has_rgb = torch.tensor([True, True, True, False])
    has_pose = torch.tensor([True, True, False, True])
    logits = w_pose * y_pose + (1 - w_pose) * y_rgb
    logits = torch.cat([logits[:2], y_rgb[2:3], y_pose[3:]])
    f = torch.zeros(4, 2)
    out = GestureOutput(
        y_rgb,
        y_pose,
        logits,
        logits.detach(),
        w_pose,
        has_rgb,
        has_pose,
        f,
        Fusion(f, f, f),
        None,
    )
    return out, theta


def test_the_first_term_uses_averaged_logits_or_the_only_head():
    out, _ = output()
    loss = gesture_loss(out, LABEL, alpha=1.0, batch_size=4)
    averaged = (out.y_pose[:2] + out.y_rgb[:2]) / 2
    by_hand = F.cross_entropy(averaged, LABEL[:2], reduction="sum")
    by_hand = by_hand + F.cross_entropy(out.y_rgb[2:3], LABEL[2:3])
    by_hand = by_hand + F.cross_entropy(out.y_pose[3:], LABEL[3:])
    assert_close(loss.classification, by_hand / 4)


def test_the_last_term_is_over_weighted_logits_of_clips_with_both():
    out, _ = output()
    loss = gesture_loss(out, LABEL, alpha=1.0, batch_size=4)
    weighted = 0.75 * out.y_pose[:2] + 0.25 * out.y_rgb[:2]
    assert_close(loss.weighting, F.cross_entropy(weighted, LABEL[:2], reduction="sum") / 4)
    assert_close(loss.total, loss.classification + loss.weighting)


def test_by_default_only_the_last_term_trains_theta():
    out, theta = output()
    loss = gesture_loss(out, LABEL, alpha=1.0, batch_size=4)
    inputs = (theta, out.y_rgb)
    by_first = torch.autograd.grad(
        loss.classification, inputs, retain_graph=True, allow_unused=True
    )
    by_last = torch.autograd.grad(loss.weighting, inputs, allow_unused=True)
    assert by_first[0] is None and by_last[0] != 0
    assert by_first[1].any() and by_last[1] is None
    # dCE/dθ = Σ (softmax(C) - onehot) · (y_pose - y_rgb) · σ'(θ)/2
    gap = F.softmax(out.logits[:2], dim=1) - F.one_hot(LABEL[:2], 3)
    slope = (gap * (out.y_pose - out.y_rgb)[:2]).sum() * 0.25 / 2 / 4
    assert_close(by_last[0], slope)


def test_loss_on_weighted_is_one_term_over_the_decision():
    out, theta = output()
    loss = gesture_loss(out, LABEL, alpha=1.0, batch_size=4, loss_on="weighted")
    assert_close(loss.total, F.cross_entropy(out.logits, LABEL))
    assert loss.weighting == 0
    loss.total.backward()
    assert theta.grad != 0


def test_loss_on_each_is_the_mean_over_the_heads_that_a_clip_has():
    out, theta = output()
    loss = gesture_loss(out, LABEL, alpha=1.0, batch_size=4, loss_on="each")
    by_pose = F.cross_entropy(out.y_pose, LABEL, reduction="none")
    by_rgb = F.cross_entropy(out.y_rgb, LABEL, reduction="none")
    by_hand = ((by_pose + by_rgb) / 2)[:2].sum() + by_rgb[2] + by_pose[3]
    assert_close(loss.classification, by_hand / 4)
    assert_close(loss.weighting, gesture_loss(out, LABEL, 1.0, 4).weighting)
    assert_close(loss.total, loss.classification + loss.weighting)
    inputs = (theta, out.y_pose)
    by_first = torch.autograd.grad(loss.classification, inputs, allow_unused=True)
    assert by_first[0] is None and not by_first[1][2].any() and by_first[1][[0, 1, 3]].any(1).all()


def test_a_clip_without_any_token_trains_nothing():
    out, _ = output()
    out = out._replace(has_rgb=out.has_rgb & False, has_pose=out.has_pose & False)
    for kind in ("averaged", "weighted", "each"):
        assert gesture_loss(out, LABEL, 1.0, 4, kind).total == 0


def test_sums_are_divided_by_the_batch_of_all_processes():
    """Two halves of a batch, each divided by the whole, add up to the whole."""
    out, _ = output()
    whole = gesture_loss(out, LABEL, 1.0, 4).total
    halves = []
    for part in (slice(0, 1), slice(1, 4)):
        fields = [x[part] if isinstance(x, torch.Tensor) and x.dim() else x for x in out]
        halves.append(gesture_loss(GestureOutput(*fields), LABEL[part], 1.0, 4).total)
    assert_close(sum(halves), whole)


def trained(**changes):
    """A small model with entries in its bank, and its output for four clips."""
    torch.manual_seed(0)
    small = {"rgb_dim": 4, "pose_dim": 4, "classes": 3, "width": 12, "heads": 3}
    model = build_gesture(**small | {"bank": 4, "top_k": 2, "warmup": 0} | changes)
    entries = torch.randn(2, 12)
    model.memory.bank.write(entries, 9 * torch.eye(3)[:2], torch.arange(2), ["x", "a"])
    there = torch.ones(4, 5, dtype=torch.bool)
    rgb, pose = (
        Tokens(torch.randn(4, 5, 4), torch.rand(4, 5), there, torch.rand(4, 5, 2)) for _ in range(2)
    )
    return model, model(rgb, pose, ["a", "b", "c", "d"]), entries


def test_both_parts_of_the_refinement_loss_are_cosines_over_a_tenth():
    model, out, entries = trained()
    loss = gesture_loss(out, LABEL, alpha=0.5, batch_size=4)
    f = F.normalize(out.fusion.f)
    to_prototypes = f @ F.normalize(model.memory.prototypes.vectors).T
    assert_close(loss.prototype, F.cross_entropy(to_prototypes / 0.1, LABEL))
    # Class 2 has no entry, and clip a leaves out its own, the only one of class 1.
    to_means = (f @ F.normalize(entries).T / 0.1).detach()
    # Clip a leaves out its own entry, the only one of class 1; class 2 has none.
    assert LABEL.tolist() == [0, 1, 1, 2]
    clip_b = to_means[1].exp().sum().log() - to_means[1, 1]
    clip_c = to_means[2].exp().sum().log() - to_means[2, 1]
    assert_close(loss.bank, (clip_b + clip_c) / 4)  # a: one logit, so 0; d: no entry of class 2
    total = loss.classification + 0.5 * (loss.prototype + loss.bank) + loss.weighting
    assert_close(loss.total, total)


def test_at_alpha_0_the_refinement_loss_has_no_gradient():
    for alpha, moves in ((0.0, False), (1.0, True)):
        model, out, _ = trained()
        gesture_loss(out, LABEL, alpha, 4).total.backward()
        grads = [p.grad for p in model.memory.prototypes.parameters()]
        assert any(g is not None and g.any() for g in grads) == moves


def test_the_bank_gets_no_gradient():
    model, out, _ = trained()
    gesture_loss(out, LABEL, 1.0, 4).total.backward()
    assert not model.memory.bank.entries.requires_grad
    assert model.fusion.project.weight.grad.any()


def test_a_margin_makes_the_true_class_harder():
    _, out, _ = trained()
    plain, wide = (gesture_loss(out, LABEL, 1.0, 4, margin=m) for m in (0.0, 0.3))
    assert wide.prototype > plain.prototype
    assert_close(wide.classification, plain.classification)
