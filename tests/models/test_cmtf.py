"""CMTF: its equations clip by clip, what it returns, batches, masks, a missing modality."""

import math

import pytest
import torch
from torch.testing import assert_close

from benchmarks.bf16 import RGB, compare_precisions, in_bfloat16
from imigue_lab.models.cmtf import CMTF
from imigue_lab.models.tokens import Tokens

WIDTH, HEADS = 24, 6


def build(merge=0.4, seed=0, **variant):
    torch.manual_seed(seed)
    return CMTF(WIDTH, HEADS, merge=merge, **variant).eval()


def tokens(n, seed, clips=3):
    generator = torch.Generator().manual_seed(seed)
    return Tokens(
        torch.randn(clips, n, WIDTH, generator=generator),
        torch.rand(clips, n, generator=generator),
        torch.ones(clips, n, dtype=torch.bool),
        torch.rand(clips, n, 2, generator=generator),
        torch.rand(clips, n, generator=generator) < 0.8,
    )


def cut(found, clip, n=None):
    """One clip alone, its first n tokens."""
    fields = {name: t for name, t in vars(found).items() if t is not None}
    return Tokens(**{name: t[clip : clip + 1, :n] for name, t in fields.items()})


def hide(found, clip, n):
    """Everything of a clip from token n on is padding, and full of garbage."""
    found.mask[clip, n:] = False
    found.values[clip, n:] = 0  # as Projection leaves it
    return found


def merge_by_hand(rgb, pose, imp_rgb, imp_pose, share):
    """DESIGN's (b) for one clip in plain loops: the sources of each token, and the token itself."""
    r, p = len(rgb), len(pose)
    u = [(1 / imp) / (1 / imp).max() for imp in (imp_rgb, imp_pose)]
    score = torch.empty(r, p)
    for i in range(r):
        for j in range(p):
            cos = torch.dot(rgb[i], pose[j]) / rgb[i].norm() / pose[j].norm()
            score[i, j] = (cos + 1) / 2 * (u[0][i] * u[1][j]) ** (1 / 20)
    merges = math.floor(share * min(r, p))
    sources = {n: {n} for n in range(r + p)}
    for i in score.max(dim=1).values.argsort(descending=True)[: merges // 2].tolist():
        sources[r + int(score[i].argmax())] |= sources.pop(i)
    staying = [i for i in range(r) if i in sources]
    back = score[staying]
    for j in back.max(dim=0).values.argsort(descending=True)[: merges - merges // 2].tolist():
        sources[staying[int(back[:, j].argmax())]] |= sources.pop(r + j)
    x, imp = torch.cat([rgb, pose]), torch.cat([imp_rgb, imp_pose])
    merged = []
    for group in sources.values():
        group = sorted(group)
        merged.append((imp[group, None] * x[group]).sum(dim=0) / imp[group].sum())
    return [sorted(group) for group in sources.values()], torch.stack(merged)


def exchanged(model, rgb, pose):
    """R~ and P~ by equation (a), and the attention of both directions."""
    from imigue_lab.models.cross_attention import gaps_between

    r, p = model.rgb_norm(rgb.values), model.pose_norm(pose.values)
    there = gaps_between(rgb, pose)
    asked = {"return_received": True, "return_weights": True}
    to_rgb = model.rgb_from_pose(r, p, rgb.mask, pose.mask, there, **asked)
    to_pose = model.pose_from_rgb(p, r, pose.mask, rgb.mask, there.mT, **asked)
    return rgb.values + to_rgb.values, pose.values + to_pose.values, to_rgb, to_pose


def test_the_three_steps_equal_their_equations_for_each_clip():
    model, rgb, pose = build(0.45), tokens(9, 1), tokens(7, 2)
    out = model(rgb, pose, return_attention=True)
    for clip in range(3):
        one = exchanged(model, cut(rgb, clip), cut(pose, clip))
        imp_rgb = 9 * one[3].weights[0].mean(dim=(0, 1))
        imp_pose = 7 * one[2].weights[0].mean(dim=(0, 1))
        assert_close(out.merged.importance[clip], torch.cat([imp_rgb, imp_pose]))
        groups, merged = merge_by_hand(one[0][0], one[1][0], imp_rgb, imp_pose, 0.45)
        assert len(groups) == 16 - 3  # one to pose, two back
        source = out.merged.slots.source[clip]
        assert [row.nonzero().flatten().tolist() for row in source] == groups
        x, _ = model.joint(merged[None], torch.ones(1, 13, dtype=torch.bool))
        y = model.project(model.norm(x))[0]
        s_rgb = torch.tensor([sum(n < 9 for n in group) for group in groups]).float()
        s_pose = torch.tensor([sum(n >= 9 for n in group) for group in groups]).float()
        assert_close(out.merged.size_rgb[clip], s_rgb)
        assert_close(out.merged.size_pose[clip], s_pose)
        for found, size in ((out.f, s_rgb + s_pose), (out.f_rgb, s_rgb), (out.f_pose, s_pose)):
            assert_close(found[clip], (size[:, None] * y).sum(dim=0) / size.sum())


def test_joint_attention_is_one_transformer_step():
    model = build()
    x, mask = torch.randn(2, 5, WIDTH), torch.ones(2, 5, dtype=torch.bool)
    mask[1, 3:] = False
    joint = model.joint
    q, k, v = (
        part.unflatten(2, (HEADS, -1)).transpose(1, 2)
        for part in joint.to_qkv(joint.norm(x)).chunk(3, dim=-1)
    )
    logits = q @ k.mT / math.sqrt(WIDTH // HEADS)
    weights = logits.masked_fill(~mask[:, None, None], -math.inf).softmax(dim=-1)
    expected = x + joint.out((weights @ v).transpose(1, 2).flatten(2))
    fused, explicit = joint(x, mask), joint(x, mask, return_weights=True)
    assert_close(fused[0], expected)
    assert_close(explicit[0], expected)
    assert_close(explicit[1], weights)


@pytest.mark.parametrize(
    ("merge", "sizes", "r"),
    [
        (0.25, (8, 8), 2),
        (0.25, (49, 7), 1),
        (0.29, (100, 100), 29),
        (0.5, (5, 9), 2),
        (0, (8, 8), 0),
    ],
)
def test_r_is_a_share_of_the_shorter_modality(merge, sizes, r):
    model = build(merge)
    assert model.merges(torch.tensor(min(sizes))) == r
    out = model(tokens(sizes[0], 1, clips=1), tokens(sizes[1], 2, clips=1))
    assert out.merged.slots.mask.sum() == sum(sizes) - r


def test_sizes_count_every_valid_token_once():
    rgb, pose = hide(tokens(9, 1), 1, 4), hide(tokens(7, 2), 2, 5)
    merged = build()(rgb, pose).merged
    assert merged.size_rgb.sum(dim=1).tolist() == [9, 4, 9]
    assert merged.size_pose.sum(dim=1).tolist() == [7, 7, 5]
    source = merged.slots.source
    assert_close(source.sum(dim=1), torch.cat([rgb.mask, pose.mask], dim=1).long())
    assert_close(source.any(dim=2), merged.slots.mask)


def test_cross_attention_alone_is_cmtf_without_merging():
    model, rgb, pose = build(merge=0), tokens(6, 1), tokens(5, 2)
    out = model(rgb, pose)
    assert (out.merged.size_rgb + out.merged.size_pose == 1).all()
    r, p, *_ = exchanged(model, rgb, pose)
    x = torch.cat([r, p], dim=1)
    y = model.project(model.norm(model.joint(x, torch.ones(3, 11, dtype=torch.bool))[0]))
    assert_close(out.f, y.mean(dim=1))
    assert_close(out.f_rgb, y[:, :6].mean(dim=1))
    assert_close(out.f_pose, y[:, 6:].mean(dim=1))


@pytest.mark.parametrize("merge", [0, 0.25, 0.5])
def test_a_clip_has_the_same_result_alone_and_in_a_padded_batch(merge):
    model = build(merge)
    rgb, pose = hide(tokens(20, 1), 1, 12), hide(hide(tokens(16, 2), 1, 9), 2, 4)
    lengths = [(20, 16), (12, 9), (20, 4)]
    together = model(rgb, pose)
    for clip, (r, p) in enumerate(lengths):
        alone = model(cut(rgb, clip, r), cut(pose, clip, p))
        for name in ("f", "f_rgb", "f_pose"):
            ours, theirs = getattr(together, name)[clip], getattr(alone, name)[0]
            assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_clip_without_one_modality_uses_only_the_other():
    model = build()
    rgb, pose = tokens(6, 1), hide(hide(tokens(5, 2), 1, 0), 2, 3)
    together = model(rgb, pose, return_attention=True)
    x, _ = model.joint(rgb.values[1:2], rgb.mask[1:2])
    y = model.project(model.norm(x))[0]
    assert_close(together.f[1], y.mean(dim=0))
    assert_close(together.f_rgb[1], y.mean(dim=0))
    assert_close(model(cut(rgb, 1), cut(pose, 1)).f[0], together.f[1])


def test_under_autocast_the_same_tokens_merge_as_in_float32():
    """At the paper's width and numbers of tokens; scores rounded to bfloat16 lose this overlap."""
    found = [compare_precisions(512, 8, clips=2, seed=seed) for seed in range(2)]
    assert sum(one.overlap for one in found) / 2 > 0.98
    assert min(one.distinct for one in found) > 0.98 * RGB
    assert max(one.deviation for one in found) < 0.06
    rounded = compare_precisions(512, 8, clips=2, seed=0, score=in_bfloat16)
    assert rounded.overlap < 0.9 and rounded.distinct < 50


def test_gradients_are_finite_when_modalities_are_missing():
    model = build().train()
    rgb, pose = hide(tokens(6, 1), 0, 0), hide(hide(tokens(5, 2), 1, 0), 0, 0)
    for found in (rgb, pose):
        found.values.requires_grad_()
    out = model(rgb, pose)
    (out.f.sum() + out.f_rgb.square().sum() + out.f_pose.square().sum()).backward()
    grads = [p.grad for p in model.parameters()] + [rgb.values.grad, pose.values.grad]
    assert all(torch.isfinite(g).all() for g in grads)
    assert rgb.values.grad[2].abs().sum() > 0


def test_merging_is_differentiable_and_the_selection_is_not():
    """With no gradient through the choice, a small step moves the result as the gradient says."""
    model = build(merge=0.5).double()
    rgb, pose = tokens(6, 1), tokens(6, 2)
    rgb, pose = (Tokens(t.values.double(), *list(vars(t).values())[1:]) for t in (rgb, pose))
    direction = torch.randn(3, 6, WIDTH, dtype=torch.float64)

    def result(step):
        moved = Tokens(rgb.values + step * direction, *list(vars(rgb).values())[1:])
        return model(moved, pose).f.sum()

    step = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    result(step).backward()
    with torch.no_grad():
        slope = (result(1e-5) - result(-1e-5)) / 2e-5
    # Softmax and similarity sum in float32, hence the tolerance.
    assert_close(step.grad, slope, rtol=2e-2, atol=1e-3)


def test_attention_is_returned_by_direction_and_head():
    out = build()(tokens(6, 1), tokens(5, 2), return_attention=True)
    attention = out.attention
    assert attention.rgb_from_pose.shape == (3, HEADS, 6, 5)
    assert attention.pose_from_rgb.shape == (3, HEADS, 5, 6)
    assert attention.joint.shape == (3, HEADS, 9, 9)
    assert len(attention.criteria) == HEADS
    assert attention.criteria[2:4] == ("spatial", "spatial")
    assert "uniform" not in attention.criteria
    assert build()(tokens(6, 1), tokens(5, 2)).attention is None


@pytest.mark.parametrize("merge", [0, 0.4])
def test_returning_attention_changes_nothing(merge):
    model, rgb, pose = build(merge), tokens(6, 1), tokens(5, 2)
    plain, seen = model(rgb, pose), model(rgb, pose, return_attention=True)
    assert_close(plain.f, seen.f)
    assert_close(plain.f_pose, seen.f_pose)
