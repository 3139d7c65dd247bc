"""PoseConv3D: outputs of the published code, any clip size, inflated stages."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from imigue_lab.models.checkpoints.registry import FAMILIES, load_published
from imigue_lab.models.pictures.poseconv3d import Bottleneck, build_poseconv3d
from tests.models.skeleton_recordings import recording


@pytest.fixture
def recorded(shared):
    return recording(shared, "posec3d_slowonly_463")


def pooled(model, heatmaps):
    """The input of the last layer."""
    seen = []
    model.head.register_forward_pre_hook(lambda part, args: seen.append(args[0]))
    model(heatmaps)
    return seen[0]


@pytest.mark.shared
@torch.no_grad()
def test_outputs_and_inner_features_equal_the_published_ones(recorded):
    model, heatmaps = load_published(recorded.state, "pyskl/posec3d"), recorded.tensor("input")
    assert sum(p.numel() for p in model.parameters()) == recorded.facts["param_count"]
    seen = []
    for part in (model.stem, *model.stages):
        part.register_forward_hook(lambda part, args, output: seen.append(output))
    near = recorded.tolerance("float32")
    assert_close(model(heatmaps), recorded.tensor("logits"), **near)
    seen[0] = F.relu(seen[0])
    assert_close(seen[0][:1], recorded.tensor("block_first_0"), rtol=1e-4, atol=1e-4)
    assert_close(seen[-1][:1], recorded.tensor("block_last_0"), rtol=1e-4, atol=1e-4)
    statistics = [(x.mean(), x.std(correction=0), x.abs().max()) for x in seen]
    stored = recorded.tensor("block_stats").float()
    assert_close(torch.tensor(statistics), stored, rtol=1e-4, atol=1e-5)
    assert_close(pooled(model, heatmaps), recorded.tensor("pooled"), rtol=1e-4, atol=1e-4)
    mean = model(heatmaps[:2]).softmax(dim=-1).mean(dim=0, keepdim=True)
    assert_close(mean, recorded.tensor("avg_prob_2clip"), rtol=1e-4, atol=1e-5)


@pytest.mark.shared
@torch.no_grad()
def test_outputs_in_double_precision_equal_the_published_ones(recorded):
    model = load_published(recorded.state, "pyskl/posec3d").double()
    heatmaps, near = recorded.tensor("input").double(), recorded.tolerance("float64")
    assert_close(model(heatmaps), recorded.tensor("logits_f64"), **near)
    assert_close(pooled(model, heatmaps), recorded.tensor("pooled_f64"), **near)


@pytest.mark.shared
def test_gradients_and_running_statistics_equal_the_published_ones(recorded):
    model = load_published(recorded.state, "pyskl/posec3d").double().train()
    model.dropout.p = 0.0
    logits = model(recorded.tensor("input").double())
    loss = F.cross_entropy(logits, torch.arange(len(logits)))
    loss.backward()
    assert_close(logits, recorded.tensor("train_logits_f64"), **recorded.tolerance("float64"))
    assert_close(loss, recorded.tensor("train_loss_f64"))
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())

    def rename(key):
        return FAMILIES["pyskl/posec3d"].rename(key.removeprefix("backbone."))

    norms = [parameters[rename(key)].grad.norm() for key in recorded.facts["parameters"]]
    assert len(norms) == len(parameters)
    stored = recorded.tensor("train_grad_norms_f64")
    assert_close(torch.stack(norms), stored, rtol=1e-6, atol=1e-9)
    for what in ("mean", "var"):
        keys = recorded.facts["bn_running_keys"]
        sums = [buffers[rename(f"{key}.running_{what}")].sum() for key in keys]
        stored = recorded.tensor(f"train_bn_{what}_sum_f64")
        assert_close(torch.stack(sums), stored, rtol=1e-9, atol=0)


def test_the_number_of_parameters_is_as_published():
    assert sum(p.numel() for p in build_poseconv3d().parameters()) == 2_018_336


@torch.no_grad()
@pytest.mark.parametrize("shape", [(2, 22, 5, 24, 40), (1, 22, 1, 7, 7)])
def test_clips_of_any_length_and_size_work(shape):
    model = build_poseconv3d(classes=7, width=4, depths=(1, 1, 1)).eval()
    assert model(torch.rand(shape)).shape == (shape[0], 7)


@torch.no_grad()
def test_frames_are_mixed_only_where_a_stage_is_inflated():
    heatmaps = torch.rand(1, 3, 6, 16, 16)
    changed = heatmaps.clone()
    changed[:, :, 3] = 0

    def moved(inflated):
        torch.manual_seed(0)
        model = build_poseconv3d(5, 3, 4, (1, 1), inflated, time_strides=(1, 1)).eval()
        for part in model.modules():
            if isinstance(part, nn.BatchNorm3d):
                nn.init.ones_(part.weight)
        seen = []
        model.stages[-1].register_forward_hook(lambda part, args, output: seen.append(output))
        model(heatmaps), model(changed)
        apart = (seen[0] - seen[1]).abs().amax(dim=(0, 1, 3, 4))
        return (apart > 0).nonzero().flatten().tolist()

    assert moved((False, False)) == [3]
    assert moved((False, True)) == [2, 3, 4]
    assert moved((True, True)) == [1, 2, 3, 4, 5]


def test_an_untrained_block_is_the_identity():
    torch.manual_seed(0)
    model = build_poseconv3d(5, 3, 4, (2,))
    block = model.stages[0][1].eval()
    assert isinstance(block, Bottleneck)
    x = torch.rand(2, 16, 3, 5, 5)
    assert_close(block(x), x)
