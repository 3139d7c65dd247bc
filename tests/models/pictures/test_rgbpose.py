"""RGBPose-Conv3D: outputs of the published code, exchange of features, a start from two halves."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from imigue_lab.models.checkpoints.registry import FAMILIES, load_published
from imigue_lab.models.pictures.poseconv3d import (
    build_poseconv3d,
    build_rgbpose,
    build_slowonly,
    join_halves,
)
from tests.models.recordings import made_weights, read_recording

SMALL = {
    "classes": 5,
    "joints": 6,
    "ratio": 2,
    "widths": (8, 4),
    "depths": ((1, 1, 1, 1), (1, 1, 1)),
}
RGB, POSE = torch.rand(2, 3, 2, 64, 64), torch.rand(2, 6, 4, 16, 16)


@pytest.fixture(scope="module")
def recorded(shared):
    facts, arrays = read_recording(shared / "fixtures/pretraining", "rgbpose_conv3d")
    return load_published(made_weights(facts["state_dict"]), "rgbpose-conv3d"), facts, arrays


@pytest.mark.shared
@torch.no_grad()
def test_outputs_and_laterals_equal_the_published_ones(recorded):
    model, facts, arrays = recorded
    assert sum(p.numel() for p in model.parameters()) == facts["params"]
    names = {
        "to_rgb.0": "rgb_path.layer2",
        "to_rgb.1": "rgb_path.layer3",
        "to_pose.0": "pose_path.layer1",
        "to_pose.1": "pose_path.layer2",
    }
    seen = {}
    for name, published in names.items():
        part = model.get_submodule(name)
        part.register_forward_hook(lambda p, a, out, key=published: seen.__setitem__(key, out))
    near = facts["tolerance"]["float32"]
    rgb, pose = model(arrays["imgs"], arrays["heatmap_imgs"])
    assert_close(rgb, arrays["rgb_scores"], **near)
    assert_close(pose, arrays["pose_scores"], **near)
    for published, out in seen.items():
        assert_close(out[:1], arrays[f"out/{published}_lateral"], **near)
    assert_close(rgb.softmax(dim=1).mean(dim=0), arrays["avg_prob_rgb"], **near)
    double = model.double()(arrays["imgs"].double(), arrays["heatmap_imgs"].double())
    model.float()
    assert_close(double[0], arrays["rgb_scores_f64"], **facts["tolerance"]["float64"])
    assert_close(double[1], arrays["pose_scores_f64"], **facts["tolerance"]["float64"])


@pytest.mark.shared
def test_losses_and_gradients_equal_the_published_ones(recorded):
    _, facts, arrays = recorded
    model = load_published(made_weights(facts["state_dict"]), "rgbpose-conv3d").double().train()
    model.rgb.dropout.p = model.pose.dropout.p = 0.0
    logits = model(arrays["imgs"].double(), arrays["heatmap_imgs"].double())
    labels = torch.arange(len(logits[0]))
    losses = [F.cross_entropy(own, labels) for own in logits]
    sum(losses).backward()
    for name, loss in zip(("rgb", "pose"), losses, strict=True):
        assert_close(loss[None], arrays[f"train_{name}_loss_f64"])
    parameters = dict(model.named_parameters())
    family = FAMILIES["rgbpose-conv3d"]
    norms = [
        parameters[family.rename(key.removeprefix("backbone."))].grad.norm()
        for key in facts["parameters"]
    ]
    assert len(norms) == len(parameters)
    assert_close(torch.stack(norms), arrays["train_grad_norms_f64"], rtol=1e-6, atol=1e-9)


def test_the_number_of_parameters_is_as_published():
    with torch.device("meta"):
        model = build_rgbpose(joints=36)
    heads = sum(p.numel() for path in (model.rgb, model.pose) for p in path.head.parameters())
    assert sum(p.numel() for p in model.parameters()) - heads == 36_024_000


def test_each_path_reads_the_other():
    torch.manual_seed(0)
    model = build_rgbpose(**SMALL).eval()
    rgb, pose = model(RGB.requires_grad_(), POSE.requires_grad_())
    for logits, other in ((rgb, POSE), (pose, RGB)):
        (gradient,) = torch.autograd.grad(logits.sum(), other, retain_graph=True)
        assert gradient.abs().max() > 0


@torch.no_grad()
def test_a_start_from_trained_halves_gives_their_logits():
    torch.manual_seed(0)
    rgb = build_slowonly(5, 8, (1, 1, 1, 1))
    pose = build_poseconv3d(5, 6, 4, (1, 1, 1), time_strides=(1, 1, 1))
    model = build_rgbpose(**SMALL)
    joined = join_halves(rgb.state_dict(), pose.state_dict(), **SMALL)
    missing, extra = model.load_state_dict(joined, strict=False)
    assert not extra and {name.split(".")[0] for name in missing} == {"to_rgb", "to_pose"}
    own = model.eval()(RGB, POSE)
    assert_close(own[0], rgb.eval()(RGB))
    assert_close(own[1], pose.eval()(POSE))
