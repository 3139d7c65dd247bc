"""The emotion model: the paper's figure, variants, masks, missing faces; and the focal loss."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.emotion import (
    FocalLoss,
    Standardise,
    balanced_class_weights,
    build_emotion,
    sinusoidal_code,
)

VARIANTS = [
    {"fusion": "interfusion", "gate": "shared"},
    {"fusion": "interfusion", "gate": "cross"},
    {"fusion": "interfusion", "gate": "convex"},
    {"fusion": "interfusion", "stages": 1},
    {"fusion": "interfusion", "stages": 0},
    {"fusion": "concat"},
    {"fusion": "late"},
    {"fusion": "context_only"},
    {"fusion": "face_only"},
    {"standardise": True},
]
NAMES = ["-".join(str(v) for v in variant.values()) for variant in VARIANTS]


def build(seed=0, **variant):
    torch.manual_seed(seed)
    small = {"context_dim": 6, "face_dim": 4, "width": 8, "depth": 2, "heads": 2}
    return build_emotion(**small, **variant).eval()


def interviews(batch=3, windows=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "context": torch.randn(batch, windows, 6, generator=generator),
        "face": torch.randn(batch, windows, 4, generator=generator),
        "context_mask": torch.ones(batch, windows, dtype=torch.bool),
        "face_mask": torch.ones(batch, windows, dtype=torch.bool),
        "window": torch.arange(windows).repeat(batch, 1),
    }


def masked(inputs):
    """Sets to 0 what the masks leave out, as the loader does."""
    for stream in ("context", "face"):
        inputs[stream] = inputs[stream] * inputs[f"{stream}_mask"][..., None]
    return inputs


def one(inputs, number):
    return {name: tensor[number : number + 1] for name, tensor in inputs.items()}


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_an_interview_has_the_same_logit_alone_and_in_a_padded_batch(variant):
    inputs = interviews()
    inputs["context_mask"][1, 4:] = inputs["face_mask"][1, 4:] = False  # shorter
    inputs["face_mask"][0, 2:5] = False  # hidden for a while
    inputs["face_mask"][2] = False  # no face at all
    inputs = masked(inputs)
    model = build(**variant)
    together = model(**inputs).logit
    short = {name: tensor[:, :4] for name, tensor in one(inputs, 1).items()}
    alone = [model(**one(inputs, 0)), model(**short), model(**one(inputs, 2))]
    assert_close(together, torch.cat([o.logit for o in alone]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_masked_values_have_no_effect(variant):
    inputs = interviews()
    inputs["context_mask"][:, 5:] = inputs["face_mask"][:, 3:] = False
    model = build(**variant)
    clean = model(**masked(dict(inputs))).logit
    assert_close(model(**inputs).logit, clean, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_gradients_are_finite_with_and_without_faces(variant):
    inputs = interviews()
    inputs["face_mask"][0] = False
    inputs["context_mask"][1] = False
    model = build(**variant).train()
    model(**masked(inputs)).logit.sum().backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads
    assert all(torch.isfinite(g).all() for g in grads)


def test_without_a_face_the_prediction_is_from_context():
    inputs = interviews()
    inputs["face_mask"][1] = False
    model = build()
    output = model(**masked(inputs))
    other = dict(inputs, face=torch.randn(3, 7, 4))
    assert_close(model(**other).logit[1], output.logit[1])
    model.face.absent.data += 1  # the learned stand-in is what takes the face's place
    assert (model(**masked(inputs)).logit[1] - output.logit[1]).abs() > 1e-3
    assert_close(model(**masked(inputs)).logit[0], output.logit[0])


def test_a_whole_batch_without_faces_works():
    inputs = interviews()
    inputs["face_mask"][:] = False
    assert torch.isfinite(build()(**masked(inputs)).logit).all()


def test_one_gate_per_stage_is_returned_on_request():
    inputs = interviews()
    assert build()(**inputs).gates == []
    gates = build()(**inputs, return_gates=True).gates
    assert [tuple(g.shape) for g in gates] == [(3, 7, 8)] * 2
    assert all(((g > 0) & (g < 1)).all() for g in gates)
    assert len(build(stages=1)(**inputs, return_gates=True).gates) == 1
    assert build(fusion="concat")(**inputs, return_gates=True).gates == []


def test_concat_is_interfusion_without_stages():
    inputs = interviews()
    concat, unfused = build(fusion="concat"), build(stages=0)
    assert_close(concat(**inputs).logit, unfused(**inputs).logit)


def test_late_is_the_mean_of_both_heads():
    inputs = interviews()
    model = build(fusion="late")
    heads = []
    for name in ("context", "face"):
        stream, mask = model.streams[name], inputs[f"{name}_mask"]
        tokens = stream.refine(stream.encode(inputs[name], mask, inputs["window"]), mask)
        heads.append(model.heads[name](stream.pool(tokens, mask))[:, 0])
    assert_close(model(**inputs).logit, (heads[0] + heads[1]) / 2)


def test_the_model_equals_its_equations():
    """DESIGN's equations written out once more, with the model's own parts."""
    inputs = interviews()
    model = build()
    mask, window = inputs["context_mask"], inputs["window"]
    c, f = model.context.encode(inputs["context"], mask, window), None
    f = model.face.encode(inputs["face"], mask, window)
    a = torch.sigmoid(model.fusions[0].gate.to_gate(torch.cat([c, f], -1)))
    c, f = 2 * c + a * f, 2 * f + a * c
    c, f = model.context.refine(c, mask), model.face.refine(f, mask)
    a = torch.sigmoid(model.fusions[1].gate.to_gate(torch.cat([c, f], -1)))
    c, f = 2 * c + a * f, 2 * f + a * c
    pooled = torch.cat([c.mean(1), f.mean(1)], -1)
    assert_close(model(**inputs).logit, model.head(pooled)[:, 0])


def test_channels_are_standardised_with_a_floor_under_their_deviation():
    windows = torch.tensor([[2.0, 0.000, 7.0], [4.0, 0.002, 7.0]])
    standardise = Standardise(3)
    assert_close(standardise(windows), windows)
    standardise.set(windows)
    expected = [[-1.0, -0.1, 0.0], [1.0, 0.1, 0.0]]  # the second channel's deviation is 0.001
    assert_close(standardise(windows), torch.tensor(expected))
    assert_close(standardise(torch.full((1, 3), 7.5))[0, 2], torch.tensor(50.0))


def test_window_numbers_are_coded_by_sine_and_cosine():
    code = sinusoidal_code(torch.tensor([[0, 1, 500]]), 6)
    assert_close(code[0, 0], torch.tensor([0.0, 1, 0, 1, 0, 1]))
    assert_close(code[0, 2, 0], torch.tensor(500.0).sin())
    assert_close(code[0, 1, 3], torch.tensor(10_000 ** (-2 / 6)).cos())


def test_order_in_time_matters():
    inputs = interviews()
    backwards = {
        name: tensor.flip(1) if name in ("context", "face") else tensor
        for name, tensor in inputs.items()
    }
    model = build()
    assert (model(**inputs).logit - model(**backwards).logit).abs().max() > 1e-3


def test_bfloat16_follows_float32():
    inputs = interviews()
    exact = build()(**inputs).logit
    with torch.autocast("cpu", torch.bfloat16):
        coarse = build()(**inputs).logit
    assert_close(coarse.float(), exact, atol=0.05, rtol=0.05)


def test_a_state_dict_restores_the_logits():
    inputs = interviews()
    first, second = build(seed=0), build(seed=1)
    second.load_state_dict(first.state_dict())
    assert_close(second(**inputs).logit, first(**inputs).logit)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [({"heads": 3}, "multiple of heads"), ({"stages": 3}, "stages must be")],
)
def test_impossible_models_are_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        build_emotion(**{"width": 8, **arguments})


LOGIT = torch.tensor([-2.0, -0.3, 0.0, 0.7, 3.0, 1.0])
OUTCOME = torch.tensor([0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_the_focal_loss_equals_its_textbook_form(gamma):
    p_y = torch.where(OUTCOME == 1, LOGIT.sigmoid(), 1 - LOGIT.sigmoid())
    weight = torch.tensor([0.8, 1.25])[OUTCOME]
    expected = (weight * (1 - p_y) ** gamma * -p_y.log()).mean()
    assert_close(FocalLoss(gamma, (0.8, 1.25))(LOGIT, OUTCOME), expected)


def test_a_gamma_of_zero_is_binary_cross_entropy():
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGIT, OUTCOME.float())
    assert_close(FocalLoss(0.0)(LOGIT, OUTCOME), expected)


@pytest.mark.parametrize("gamma", [0.5, 0.75, 1.0, 1.5])
@pytest.mark.parametrize("logit", [-100.0, 100.0, 0.0])
@pytest.mark.parametrize("outcome", [0, 1])
def test_gradients_are_finite_at_any_logit(gamma, logit, outcome):
    z = torch.tensor([logit], requires_grad=True)
    loss = FocalLoss(gamma)(z, torch.tensor([outcome]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
    wrong = logit * (2 * outcome - 1) < 0
    assert (abs(z.grad.item()) > 0.9) == wrong or logit == 0.0


def test_class_weights_balance_the_classes():
    w_lose, w_win = balanced_class_weights([30, 90])
    assert 30 * w_lose == 90 * w_win == 60
