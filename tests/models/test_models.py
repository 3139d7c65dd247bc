"""All models: gradients, batches, determinism, state dicts, bfloat16."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.baselines import build_baseline
from imigue_lab.models.emotion import build_emotion
from imigue_lab.models.graph.agcn import build_agcn
from imigue_lab.models.mamp import build_mamp
from imigue_lab.models.pictures.dscnet import build_dscnet_rgb, build_msstnet
from imigue_lab.models.pictures.mvit import build_mvit
from imigue_lab.models.pictures.poseconv3d import build_poseconv3d
from imigue_lab.models.pictures.tsm import build_tsm
from imigue_lab.models.pictures.video_swin import build_video_swin
from imigue_lab.models.pictures.videomae import build_videomae
from imigue_lab.models.recognition import BUILDERS
from imigue_lab.models.swinface import build_swinface


def see(model, frames):
    return [*model(frames), model.net(frames)]


def judge(model, features):
    context, face = features.split([6, 4], dim=-1)
    mask = torch.ones(context.shape[:2], dtype=torch.bool)
    window = torch.arange(context.shape[1]).expand(mask.shape)
    output = model(context, face, mask, mask, window, return_gates=True)
    return [output.logit, *output.gates]


def walk(model, skeletons):
    graphs = model.graphs(skeletons)
    return [model(skeletons), model.tokens(skeletons), *(layer.attention for layer in graphs)]


def classify(model, skeletons):
    return [model(skeletons), model.pooled(skeletons)]


def score(model, clips):
    return [model(clips)]


def find(model, videos):
    return model(videos, torch.ones(videos.shape[:2], dtype=torch.bool))


def build_awake(name):
    return wake(build_baseline(name, 5, "coco17", width=24, depths=(2, 1)))


def wake(model):
    """Parts that start at 0, and what they keep asleep, take part."""
    for parameter in model.parameters():
        if (parameter == parameter.flatten()[0]).all():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model


SMALL = {"context_dim": 6, "face_dim": 4, "width": 8, "depth": 2, "heads": 2}
RESNET = {"depths": (1, 1, 1, 1), "inner": 8}
SWIN = {"stages": (12, (2, 1), (2, 3)), "window": (2, 3, 3)}
MASKED = {"width": 8, "depth": 2, "heads": 2}
MODELS = {  # how to build it, the shape of an item, all that it says of a batch
    "mvit": (lambda: build_mvit("tiny", classes=5, clip=(8, 32, 32)), (3, 8, 32, 32), see),
    "swinface": (lambda: build_swinface("tiny"), (3, 56, 56), score),
    "2s-agcn": (lambda: build_agcn("coco17", 5, width=8, depths=(2, 1, 1)), (1, 9, 17, 3), walk),
    "st-gcn": (lambda: build_awake("st-gcn"), (1, 9, 17, 3), classify),
    "st-gcn++": (lambda: build_awake("st-gcn++"), (2, 9, 17, 3), classify),
    "aagcn": (lambda: build_awake("aagcn"), (1, 9, 17, 3), classify),
    "ctr-gcn": (lambda: build_awake("ctr-gcn"), (1, 9, 17, 3), classify),
    "dg-stgcn": (lambda: build_awake("dg-stgcn"), (2, 9, 17, 3), classify),
    "poseconv3d": (lambda: wake(build_poseconv3d(5, 4, 8, (2, 1))), (4, 6, 16, 12), score),
    "tsm": (lambda: build_tsm(5, segments=3, **RESNET), (9, 32, 24), score),
    "video-swin": (lambda: build_video_swin(classes=5, **SWIN), (3, 4, 20, 24), score),
    "dscnet-rgb": (lambda: build_dscnet_rgb(5, 3, 2, **RESNET), (18, 32, 24), score),
    "msstnet": (lambda: build_msstnet(5, widths=((4, 4),) * 7), (2, 3, 8, 11), score),
    "mamp": (lambda: build_mamp(5, **MASKED, joints=4, frames=8, hidden=6), (2, 8, 4, 3), score),
    "videomae": (
        lambda: build_videomae(5, **MASKED, clip=(4, 16, 24), patch=8),
        (3, 4, 16, 24),
        score,
    ),
    "emotion": (lambda: build_emotion(**SMALL), (7, 10), judge),
    "emotion-late": (lambda: build_emotion(**SMALL, fusion="late"), (7, 10), judge),
    "frames": (lambda: BUILDERS["frames"](6, 3, 16, 3), (33, 6), find),
    "pyramid": (lambda: BUILDERS["pyramid"](6, 3, 16, 3), (33, 6), find),
}


@pytest.fixture(params=MODELS)
def case(request):
    """A model in evaluation mode, a batch of three items, and what to run on them."""
    build, shape, run = MODELS[request.param]
    torch.manual_seed(0)
    return build().eval(), torch.randn(3, *shape), run


def test_gradients_reach_every_weight(case):
    model, batch, run = case
    sum(output.square().sum() for output in run(model, batch)).backward()
    for name, parameter in model.named_parameters():
        if not name.endswith("absent"):  # stands in for a stream that is there
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name


def test_a_training_step_has_finite_gradients(case):
    model, batch, run = case
    sum(output.square().sum() for output in run(model.train(), batch)).backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads
    assert all(torch.isfinite(grad).all() for grad in grads)


@torch.no_grad()
def test_a_batch_of_one_equals_the_batch(case):
    model, batch, run = case
    alone = [run(model, item[None]) for item in batch]
    for together, *single in zip(run(model, batch), *alone, strict=True):
        assert_close(together, torch.cat(single), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_evaluation_is_deterministic_and_changes_no_state(case):
    model, batch, run = case
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    first, second = run(model, batch), run(model, batch)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    for part in model.modules():
        assert not (part._forward_hooks or part._forward_pre_hooks or part._backward_hooks)


@torch.no_grad()
def test_a_state_dict_restores_the_outputs(case, request):
    model, batch, run = case
    build, *_ = MODELS[request.node.callspec.params["case"]]
    torch.manual_seed(1)
    fresh = build().eval()
    assert not torch.equal(run(fresh, batch)[0], run(model, batch)[0])
    fresh.load_state_dict(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(run(fresh, batch), run(model, batch), strict=True))


@torch.no_grad()
def test_bfloat16_follows_float32(case):
    model, batch, run = case
    exact = run(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = run(model, batch)
    for fine, rough in zip(exact, coarse, strict=True):
        assert (rough.float() - fine).norm() < 0.03 * fine.norm() + 1e-3
