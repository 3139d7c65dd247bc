"""The gesture model: decision, memory, variants, masks, precision, and what is refused."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.errors import DataError, RunError, SettingsError
from imigue_lab.models.gesture import build_gesture
from imigue_lab.models.tokens import Tokens

VARIANTS = [
    {"fusion": "late", "memory": False},
    {"fusion": "concat"},
    {"fusion": "concat", "memory": False},
    {"fusion": "cross_attention"},
    {"fusion": "cmtf"},
    {"fusion": "cmtf", "memory": False},
    {"fusion": "cmtf", "criteria": ["semantic"]},
    {"fusion": "cmtf", "criteria": []},
    {"fusion": "cmtf", "reads": "all"},
]
NAMES = ["-".join(map(str, variant.values())) for variant in VARIANTS]
IDS = ["clip-0", "clip-1", "clip-2", "clip-3"]


def build(seed=0, **variant):
    torch.manual_seed(seed)
    small = {"rgb_dim": 6, "pose_dim": 5, "classes": 4, "width": 12, "heads": 3, "bank": 5}
    model = build_gesture(**small | {"top_k": 2, "warmup": 0} | variant)
    for name, parameter in model.named_parameters():
        if name.endswith(("absent", "to_rest.weight", "memory.out.weight", "memory.scale")):
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def tokens(n, width, seed, clips=4):
    generator = torch.Generator().manual_seed(seed)
    return Tokens(
        torch.randn(clips, n, width, generator=generator),
        torch.rand(clips, n, generator=generator),
        torch.ones(clips, n, dtype=torch.bool),
        torch.rand(clips, n, 2, generator=generator),
        rest=0.1 * torch.randn(clips, n, width, generator=generator),
    )


def clips():
    """Four clips: whole; shorter in both; without pose; without RGB."""
    rgb, pose = tokens(9, 6, 1), tokens(7, 5, 2)
    rgb.mask[1, 5:] = pose.mask[1, 4:] = pose.mask[2] = rgb.mask[3] = False
    return rgb, pose


def cut(found, clip, n):
    fields = {name: t for name, t in vars(found).items() if t is not None}
    return Tokens(**{name: t[clip : clip + 1, :n] for name, t in fields.items()})


def remembering(model, steps=3):
    """The same model with a few entries in each class of its bank."""
    if model.memory is not None:
        bank = model.memory.bank
        for step in range(steps):
            f = torch.randn(4, 12, generator=torch.Generator().manual_seed(step))
            ids = [f"{step}-{number}" for number in range(4)]
            bank.write(f, 9 * torch.eye(4), torch.arange(4), ids)
    return model


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_a_clip_has_the_same_result_alone_and_in_a_padded_batch(variant):
    model, (rgb, pose) = remembering(build(**variant)).eval(), clips()
    together = model(rgb, pose)
    for clip, (r, p) in enumerate([(9, 7), (5, 4), (9, 1), (1, 7)]):
        alone = model(cut(rgb, clip, r), cut(pose, clip, p))
        assert_close(together.logits[clip], alone.logits[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_the_prior_shifts_every_decision_of_evaluation_and_none_of_training(variant):
    model, (rgb, pose) = remembering(build(**variant)), clips()
    prior = torch.tensor([0.5, -1.0, 0.0, 2.0])
    for training in (True, False):
        model.train(training)
        model.prior.zero_()
        before = model(rgb, pose, IDS)
        model.prior.copy_(prior)
        after = model(rgb, pose, IDS)
        shift = torch.zeros(4) if training else prior
        assert_close(after.unrefined - before.unrefined, shift.expand(4, -1))
        averages = [w.w_pose * w.y_pose + (1 - w.w_pose) * w.y_rgb for w in (before, after)]
        assert_close(after.logits[:2], averages[1][:2])
        if model.memory is None:
            assert_close(averages[1] - averages[0], shift.expand(4, -1))
        elif not training:  # it reads the class that the corrected decision names
            read = model.memory.bank.read(after.fusion.f, after.unrefined.argmax(dim=1), 2, IDS)
            assert torch.equal(read.entries, after.recalled.retrieved.entries)


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_masked_values_have_no_effect(variant):
    model, (rgb, pose) = remembering(build(**variant)).eval(), clips()
    clean = model(rgb, pose).logits
    for found in (rgb, pose):
        found.values[~found.mask] = torch.nan
        found.places[~found.mask] = torch.nan
        found.rest[~found.mask] = torch.nan
    assert_close(model(rgb, pose).logits, clean)


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_every_parameter_learns(variant):
    model, (rgb, pose) = remembering(build(**variant)).train(), clips()
    out = model(rgb, pose, IDS)
    loss = out.logits.square().sum()
    if out.recalled is not None:
        seen = out.recalled.prototypes
        loss = loss + (seen if isinstance(seen, torch.Tensor) else seen.z).square().sum()
    loss.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_bfloat16_stays_near_float32(variant):
    """With merging and the memory: the same tokens merge, and the same entries are read."""
    model, (rgb, pose) = remembering(build(**variant)).eval(), clips()
    whole = model(rgb, pose)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(rgb, pose)
    half = model.to(torch.bfloat16)(rgb, pose)
    for out in (mixed, half):
        assert_close(out.unrefined.float(), whole.unrefined, atol=0.03, rtol=0)
        assert_close(out.logits.float(), whole.logits, atol=0.03, rtol=0)
        if out.fusion.merged:
            assert torch.equal(out.fusion.merged.slots.slot, whole.fusion.merged.slots.slot)
        if out.recalled:
            refined = out.logits - out.unrefined, whole.logits - whole.unrefined
            assert torch.equal(out.recalled.retrieved.label, whole.recalled.retrieved.label)
            assert_close(refined[0].float(), refined[1], atol=0.03, rtol=0)
            assert out.recalled.prototypes.dtype == torch.float32


def test_the_decision_is_weighted_and_the_weight_of_pose_is_above_half():
    model, (rgb, pose) = build(memory=False).eval(), clips()
    out = model(rgb, pose)
    assert_close(out.w_pose, torch.tensor(0.75))
    refined = model.norm(out.fusion.f)
    assert_close(out.y_rgb, model.head_rgb(out.fusion.f_rgb + refined))
    assert_close(out.y_pose, model.head_pose(out.fusion.f_pose + refined))
    assert_close(out.logits[0], 0.75 * out.y_pose[0] + 0.25 * out.y_rgb[0])
    model.theta.data.fill_(-20.0)
    assert_close(model(rgb, pose).w_pose, torch.tensor(0.5))
    model.theta.data.fill_(1.0986122886681098)  # σ = 3/4
    assert_close(model(rgb, pose).w_pose, torch.tensor(0.875))


def test_with_and_without_memory_a_model_starts_from_the_same_weights():
    small = {"rgb_dim": 6, "pose_dim": 5, "classes": 4, "width": 12, "heads": 3}
    torch.manual_seed(0)
    plain = build_gesture(**small, memory=False).state_dict()
    torch.manual_seed(0)
    own = build_gesture(**small).state_dict()
    assert plain.keys() < own.keys()
    assert all(torch.equal(own[name], value) for name, value in plain.items())


def test_a_clip_with_one_modality_is_predicted_by_its_head_only():
    model, (rgb, pose) = remembering(build()).eval(), clips()
    out = model(rgb, pose)
    assert out.based_on == ["both", "both", "rgb", "pose"]
    assert_close(out.logits[2], out.y_rgb[2])
    assert_close(out.logits[3], out.y_pose[3])
    none = Tokens(pose.values, pose.times, ~pose.mask & False, pose.places)
    rgb.mask[0] = False
    assert model(rgb, none).based_on == ["nothing", "rgb", "rgb", "nothing"]


def test_late_fusion_is_two_linear_layers_a_modality():
    model, (rgb, pose) = build(fusion="late", memory=False).eval(), clips()
    out = model(rgb, pose)
    tokens_of_clip = model.fusion.means.rgb(model.rgb(rgb).values[1, :5])
    assert_close(out.fusion.f_rgb[1], tokens_of_clip.mean(dim=0))
    assert_close(out.y_rgb[1], model.head_rgb(tokens_of_clip.mean(dim=0)))
    assert out.fusion.f is None and out.recalled is None


def test_concat_joins_both_means():
    model, (rgb, pose) = build(fusion="concat").eval(), clips()
    fused = model(rgb, pose).fusion
    assert_close(fused.f_pose[2], model.fusion.absent[1])  # it has no pose
    assert_close(fused.f_rgb[3], model.fusion.absent[0])
    assert_close(fused.f, model.fusion.join(torch.cat([fused.f_rgb, fused.f_pose], dim=1)))


def test_refinement_is_the_norm_of_f_and_context():
    model, (rgb, pose) = remembering(build()).eval(), clips()
    out = model(rgb, pose)
    assert_close(out.refined, model.norm(out.fusion.f + out.recalled.context))
    assert_close(out.y_rgb, model.head_rgb(out.fusion.f_rgb + out.refined))
    assert out.recalled.retrieved.label.tolist() == out.unrefined.argmax(dim=1).tolist()
    model.memory.warmup = 9  # not reading: the unrefined decision stands
    out = model(rgb, pose)
    assert_close(out.logits, out.unrefined)


def test_changing_the_bank_changes_the_decision():
    model, (rgb, pose) = remembering(build()).eval(), clips()
    before = model(rgb, pose)
    model.memory.bank.entries += torch.randn_like(model.memory.bank.entries)
    after = model(rgb, pose)
    assert_close(after.unrefined, before.unrefined)
    assert ((after.logits - before.logits).abs().amax(dim=1) > 1e-4).all()


def test_the_forward_pass_writes_nothing_and_remember_does():
    model, (rgb, pose) = build(seed=1).train(), clips()
    for head in (model.head_rgb, model.head_pose):
        head.weight.data *= 30  # sure of itself
    out = model(rgb, pose, IDS)
    assert not model.memory.bank.filled.any()
    label = out.unrefined.argmax(dim=1)
    rules = model.remember(model.candidates(out, label, IDS))
    assert rules and set(rules.values()) == {"free"}
    for row, held in enumerate(model.memory.bank.source_ids(IDS)):
        for slot, clip_id in enumerate(held):
            if clip_id:
                assert label[IDS.index(clip_id)] == row
                f = out.fusion.f[IDS.index(clip_id)]
                assert_close(model.memory.bank.entries[row, slot], f.detach())
    again = model(rgb, pose, IDS)
    assert not again.recalled.retrieved.valid.all()  # what it wrote itself it may not read
    codes = model.memory.bank.source[again.recalled.retrieved.label]
    own = model.memory.bank.filled & ~model.memory.bank.readable(4, IDS)
    own = own[torch.arange(4), again.recalled.retrieved.label]
    picked = own.gather(1, again.recalled.retrieved.slot) & again.recalled.retrieved.valid
    assert own.any() and not picked.any() and codes.shape == own.shape


def test_a_clip_without_any_token_is_not_stored():
    model = build().train()
    for head in (model.head_rgb, model.head_pose):
        head.bias.data[0] = 50.0
    rgb, pose = clips()
    rgb.mask[0] = pose.mask[0] = False
    out = model(rgb, pose, IDS)
    candidates = model.candidates(out, torch.zeros(4, dtype=torch.long), IDS)
    assert "clip-0" not in model.remember(candidates)


def test_the_epoch_starts_the_reading():
    model, (rgb, pose) = remembering(build(warmup=2)).eval(), clips()
    for epoch, reads in ((1, False), (2, True)):
        model.begin_epoch(epoch)
        out = model(rgb, pose)
        assert bool((out.logits != out.unrefined).any()) == reads


@pytest.mark.parametrize("reads", ["predicted", "all"])
def test_a_prediction_does_not_change_when_reading_starts_and_then_learns(reads):
    torch.manual_seed(0)
    model = build_gesture(6, 5, 4, width=12, heads=3, bank=5, top_k=2, warmup=2, reads=reads)
    model, (rgb, pose) = remembering(model).eval(), clips()
    before, after = (model.begin_epoch(epoch) or model(rgb, pose) for epoch in (1, 2))
    assert torch.equal(before.logits, after.logits)
    after.logits.square().sum().backward()
    start = model.memory.scale if reads == "all" else model.memory.out.weight
    assert start.grad.any()


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_a_saved_model_restores_outputs_and_bank(variant):
    model, (rgb, pose) = remembering(build(**variant)).eval(), clips()
    other = build(seed=1, **variant).eval()
    other.load_state_dict(model.state_dict())
    assert_close(other(rgb, pose).logits, model(rgb, pose).logits)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"heads": 2}, "cmtf needs a head for each criterion: 3 heads or more; got 2"),
        ({"heads": 5}, r"width \(12\) must be a multiple of heads \(5\)"),
        ({"top_k": 6}, "top_k must be from 1 to the bank's 5 entries; got 6"),
        ({"fusion": "late", "memory": True}, "late fusion has no feature"),
        ({"merge": 0.6}, "merge must be a share from 0 to 0.5; got 0.6"),
        ({"criteria": ["spatial", "temporal"]}, "temporal"),
        ({"fusion": "early"}, "early"),
        ({"reads": "none"}, "none"),
    ],
)
def test_inconsistent_settings_are_refused(wrong, words):
    with pytest.raises(Exception, match=words) as error:
        build(**wrong)
    if (
        not {"criteria", "reads"} & wrong.keys() and wrong.get("fusion") != "early"
    ):  # types, checked in tests alone
        assert isinstance(error.value, SettingsError)
        assert "\n" not in str(error.value)


def test_tokens_that_do_not_fit_are_refused():
    model, (rgb, pose) = build(), clips()
    with pytest.raises(DataError, match="pose tokens of width 6 for a model of pose_dim=5"):
        model(rgb, rgb, IDS)
    with pytest.raises(DataError, match="4 clips of rgb tokens and 1 of pose"):
        model(rgb, cut(pose, 0, 7), IDS)
    with pytest.raises(DataError, match="needs clip_ids"):
        model.train()(rgb, pose)
    placeless = Tokens(pose.values, pose.times, pose.mask)
    with pytest.raises(DataError, match="tokens without places"):
        model(rgb, placeless, IDS)
    build(criteria=["semantic", "contextual"])(rgb, placeless, IDS)  # needs none


def test_a_checkpoint_with_another_bank_is_refused():
    with pytest.raises(RunError, match=r"bank is 4 x 5 x 12 .* this model's 4 x 7 x 12"):
        build(bank=7).load_state_dict(build().state_dict())


@pytest.mark.parametrize("fusion", ["cmtf", "cross_attention", "concat", "late"])
def test_a_batch_without_tokens_of_a_modality_equals_one_with_masked_tokens(fusion):
    torch.manual_seed(0)
    model = build_gesture(8, 8, 5, width=12, heads=6, fusion=fusion, memory=False).eval()

    def tokens(count):
        values, times, places = (
            torch.randn(2, count, 8),
            torch.rand(2, count),
            torch.rand(2, count, 2),
        )
        return Tokens(values, times, torch.ones(2, count, dtype=torch.bool), places)

    pose, masked = tokens(6), tokens(3)
    masked.mask[:] = False
    none = model(tokens(0), pose)
    assert none.based_on == ["pose", "pose"]
    torch.testing.assert_close(none.logits, model(masked, pose).logits, atol=1e-5, rtol=0)
