"""2s-AGCN: recorded outputs of the published code, padding, missing joints, both streams."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from benchmarks.agcn_step import Transcription
from imigue_lab.data.skeletons.graphs import bone, spatial
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from imigue_lab.models.checkpoints.registry import FAMILIES, load_published
from imigue_lab.models.graph.agcn import AdaptiveGraphConvolution, TwoStream, build_agcn
from tests.models.skeleton_recordings import recording

SMALL = {"width": 8, "depths": (2, 1, 1)}
rename = FAMILIES["2s-agcn"].rename


def published(recorded):
    return load_published(recorded.state, "2s-agcn", keypoints="ntu25")


def perturbed(**options):
    """A small network in eval mode with all weights and statistics perturbed."""
    torch.manual_seed(0)
    model = build_agcn("imigue22", 5, **{**SMALL, **options})
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value += 0.3 * torch.rand_like(value) * (1 if "var" in name else torch.randn(()).sign())
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return perturbed()


def clips(number=2, persons=1, frames=16, seed=0):
    torch.manual_seed(seed)
    skeleton = torch.randn(number, persons, frames, 22, 3)
    skeleton[..., 2] = torch.rand(skeleton.shape[:-1]) * 0.5 + 0.5
    return skeleton


@pytest.mark.shared
def test_outputs_equal_the_published_ones(shared):
    recorded = recording(shared, "agcn_orig_ntu25")
    model = published(recorded)
    skeleton = recorded.tensor("input").permute(0, 4, 2, 3, 1)
    with torch.no_grad():
        logits, tokens = model(skeleton), model.tokens(skeleton)
        assert_close(logits, recorded.tensor("logits"), **recorded.tolerance("float32"))
        assert tokens.shape == (2, 2, 5, 25, 256)
        last = tokens[0, 0].permute(2, 0, 1)[None]
        assert_close(last, recorded.tensor("block_last_0"), rtol=1e-4, atol=1e-4)
        assert_close(tokens.mean(dim=(1, 2, 3)), recorded.tensor("pooled"), rtol=1e-4, atol=1e-4)
        sharp = model.double()(skeleton.double())
        assert_close(sharp, recorded.tensor("logits_f64"), **recorded.tolerance("float64"))


@pytest.mark.shared
def test_gradients_and_running_statistics_equal_the_published_ones(shared):
    recorded = recording(shared, "agcn_orig_ntu25")
    model = published(recorded).double().train()
    logits = model(recorded.tensor("input").double().permute(0, 4, 2, 3, 1))
    loss = F.cross_entropy(logits, torch.arange(2))
    loss.backward()
    assert_close(logits, recorded.tensor("train_logits_f64"), **recorded.tolerance("float64"))
    assert_close(loss, recorded.tensor("train_loss_f64"))
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    norms = [parameters[rename(key)].grad.norm().item() for key in recorded.facts["parameters"]]
    assert len(norms) == len(parameters)
    np.testing.assert_allclose(norms, recorded.arrays["train_grad_norms_f64"], rtol=1e-6, atol=1e-9)
    for what in ("mean", "var"):
        sums = [
            buffers[rename(f"{key}.running_{what}")].sum().item()
            for key in recorded.facts["bn_running_keys"]
        ]
        np.testing.assert_allclose(sums, recorded.arrays[f"train_bn_{what}_sum_f64"], rtol=1e-9)


@pytest.mark.shared
def test_the_transcription_that_speed_is_measured_against_is_the_published_network(shared):
    recorded = recording(shared, "agcn_orig_ntu25")
    graph = torch.tensor(spatial(LAYOUTS["ntu25"]), dtype=torch.float32)
    direct = Transcription(graph, classes=60, persons=2).eval()
    direct.load_state_dict(recorded.state)
    with torch.no_grad():
        logits = direct(recorded.tensor("input"))
    assert_close(logits, recorded.tensor("logits"), **recorded.tolerance("float32"))


def test_the_graph_convolution_equals_its_equation():
    """``BN(Σ_k W_k x (A_k + B_k + C_k))``, written out joint by joint."""
    torch.manual_seed(0)
    layer = AdaptiveGraphConvolution(torch.rand(3, 4, 4), 8, 8).eval()
    for known in (layer.learned, layer.norm.weight, layer.norm.bias, layer.norm.running_mean):
        torch.nn.init.normal_(known)
    torch.nn.init.uniform_(layer.norm.running_var, 0.5, 2.0)
    x = torch.randn(2, 8, 4, 6)  # N C V T
    attention = layer.attend(x, None)
    mixed = layer.mix(x, layer.fixed + layer.learned + attention)
    theta, phi = layer.theta[1](x), layer.phi[1](x)
    alike = torch.einsum("neit,nejt->nij", theta, phi) / (2 * 6)
    assert_close(attention[:, 1], alike.exp() / alike.exp().sum(dim=1, keepdim=True))
    by_hand = torch.zeros_like(mixed)
    for k in range(3):
        for joint in range(4):
            taken = sum(
                (layer.fixed[k, i, joint] + layer.learned[k, i, joint]) * x[:, :, i]
                + attention[:, k, i, joint, None, None] * x[:, :, i]
                for i in range(4)
            )
            by_hand[:, :, joint] += F.conv2d(
                taken[:, :, None], layer.weights[k].weight, layer.weights[k].bias
            )[:, :, 0]
    assert_close(mixed, layer.norm(by_hand))


def test_every_layer_returns_its_graphs(model):
    graphs = model.graphs(clips())
    assert len(graphs) == 4
    for layer in graphs:
        assert_close(layer.fixed, torch.tensor(spatial(LAYOUTS["imigue22"])).float())
        assert layer.learned.shape == (3, 22, 22) and layer.learned.requires_grad
        assert layer.attention.shape == (2, 1, 3, 22, 22)
        assert_close(layer.attention.sum(dim=-2), torch.ones(2, 1, 3, 22))
    assert not torch.equal(graphs[0].attention, graphs[-1].attention)


@torch.no_grad()
@pytest.mark.parametrize("lengths", [(16, 9), (16, 5, 1, 13)])
def test_a_clip_has_the_same_outputs_in_a_padded_batch_and_alone(lengths):
    model = perturbed().double()
    skeleton = clips(len(lengths)).double()
    mask = torch.arange(16) < torch.tensor(lengths)[:, None]
    padded = skeleton * mask[:, None, :, None, None]
    logits, tokens = model(padded, mask), model.tokens(padded, mask)
    graphs = model.graphs(padded, mask)
    for row, length in enumerate(lengths):
        alone = skeleton[row : row + 1, :, :length]
        assert_close(logits[row], model(alone)[0], rtol=0, atol=1e-9)
        own = model.tokens(alone)
        assert own.shape[2] == -(-length // 4)
        assert_close(tokens[row, :, : own.shape[2]], own[0], rtol=0, atol=1e-9)
        assert not tokens[row, :, own.shape[2] :].any()
        for layer, layer_alone in zip(graphs, model.graphs(alone), strict=True):
            assert_close(layer.attention[row], layer_alone.attention[0], rtol=0, atol=1e-9)


@torch.no_grad()
def test_without_the_mask_padding_changes_the_logits(model):
    skeleton, mask = clips(1), torch.arange(16)[None] < 9
    padded = skeleton * mask[:, None, :, None, None]
    assert not torch.allclose(model(padded), model(skeleton[:, :, :9]), atol=1e-3)


@torch.no_grad()
def test_a_mask_without_padding_changes_nothing(model):
    skeleton = clips()
    assert torch.equal(model(skeleton), model(skeleton, torch.ones(2, 16, dtype=torch.bool)))


@torch.no_grad()
def test_absent_persons_equal_zeros():
    model = perturbed(persons=2)
    one = clips()
    two = torch.cat([one, torch.zeros_like(one)], dim=1)
    assert_close(model(one), model(two))
    assert model.tokens(one).shape == (2, 2, 4, 22, 32)


@torch.no_grad()
def test_coordinates_with_a_score_of_zero_have_no_effect(model):
    skeleton = clips()
    skeleton[:, :, :, 4, 2] = 0
    elsewhere = skeleton.clone()
    elsewhere[:, :, :, 4, :2] = 1000
    assert torch.equal(model(skeleton), model(elsewhere))
    as_published = perturbed(mask_missing=False)
    assert not torch.allclose(as_published(skeleton), as_published(elsewhere))


def test_every_parameter_gets_a_gradient_under_masks():
    model = perturbed().train()
    mask = torch.arange(16) < torch.tensor([[16], [10], [3]])
    F.cross_entropy(model(clips(3), mask), torch.arange(3)).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    dead = {name for name, g in gradients.items() if not g.abs().max() > 1e-9}
    # a bias before a norm in training has no effect
    assert all(name.endswith("bias") and "norm" not in name for name in dead), dead


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_layout_runs_in_float32_and_bfloat16(dtype):
    for keypoints in ("body25", "openpose137", "coco17", "kinect20"):
        model = build_agcn(keypoints, 3, width=4, depths=(1, 1, 1)).eval()
        joints = len(LAYOUTS[keypoints].joints)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
            assert model(torch.randn(1, 1, 7, joints, 3)).isfinite().all()


def test_the_initial_weights_are_as_published():
    torch.manual_seed(0)
    model = build_agcn("ntu25", 60, persons=2)
    layer = model.blocks[5].graph
    assert sum(p.numel() for p in model.parameters()) == 3_469_510
    assert (layer.norm.weight == 1e-6).all() and (layer.learned == 1e-6).all()
    assert layer.weights[0].weight.std().item() == pytest.approx((2 / (128 * 128 * 3)) ** 0.5, 0.05)
    assert len(model.blocks) == 10
    assert [b.stride for b in model.blocks] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]


def test_skeletons_of_another_shape_are_refused(model):
    with pytest.raises(ValueError, match="2 persons, 22 joints, 3 channels; this model takes up"):
        model(clips(persons=2))
    with pytest.raises(ValueError, match=r"25 joints, 3 channels; .* 22 joints of imigue22"):
        model(torch.zeros(1, 1, 8, 25, 3))
    with pytest.raises(ValueError, match="width must be a multiple of 4; got 6"):
        build_agcn("ntu25", 60, width=6)


@pytest.fixture(scope="module")
def direct():
    torch.manual_seed(0)
    graph = torch.tensor(spatial(LAYOUTS["ntu25"]), dtype=torch.float32)
    network = Transcription(graph, classes=7, persons=1)
    for value in network.parameters():
        value.data += 0.05 * torch.randn_like(value)
    return network.eval()


@torch.no_grad()
def test_a_loaded_checkpoint_has_the_published_outputs(direct, tmp_path):
    skeleton = torch.randn(2, 1, 11, 25, 3)
    logits = direct(skeleton.permute(0, 4, 2, 3, 1))
    path = tmp_path / "ntu-25-9000.pt"
    wrapped = {f"module.{key}": value for key, value in direct.state_dict().items()}
    torch.save(wrapped, path)
    model = load_published(path, "2s-agcn", keypoints="ntu25")
    assert_close(model(skeleton), logits, rtol=1e-4, atol=1e-4)


def test_another_layout_is_refused_with_those_that_fit(direct):
    with pytest.raises(DataError, match=r"of 25 joints, and 'imigue22' is no .*body25 or ntu25"):
        load_published(direct.state_dict(), "2s-agcn", keypoints="imigue22")
    with pytest.raises(DataError, match="'ntu26' is no layout"):
        load_published(direct.state_dict(), "2s-agcn", keypoints="ntu26")
    with pytest.raises(DataError, match=r"not a checkpoint of 2s-agcn: l1\.gcn1.* is missing"):
        load_published({"fc.weight": torch.zeros(2, 2)}, "2s-agcn", keypoints="ntu25")


def test_unknown_keys_are_unchanged():
    assert rename("l10.residual.conv.weight") == "blocks.9.residual.0.weight"
    assert rename("data_bn.running_var") == "norm.running_var"
    assert rename("logit_scale") == "logit_scale"


TINY = {"width": 4, "depths": (1, 1, 1)}


@pytest.mark.shared
@torch.no_grad()
def test_both_streams_and_their_sum_equal_the_published_ones(shared):
    streams, logits = [], []
    for stream in ("joint", "bone"):
        recorded = recording(shared, "agcn_orig_twostream_ntu25", f"{stream}.")
        model = load_published(recorded.state, "2s-agcn", keypoints="ntu25")
        skeleton = recorded.tensor(f"input_{stream}").permute(0, 4, 2, 3, 1)
        logits.append(model(skeleton))
        assert_close(
            logits[-1], recorded.tensor(f"logits_{stream}"), **recorded.tolerance("float32")
        )
        sharp = load_published(recorded.state, "2s-agcn", keypoints="ntu25").double()
        assert_close(
            sharp(skeleton.double()),
            recorded.tensor(f"logits_{stream}_f64"),
            **recorded.tolerance("float64"),
        )
        streams.append((model, skeleton))
    (joint, joints), (bones_model, bones) = streams
    both = TwoStream(joint, bones_model)
    assert_close(both(joints, bones), recorded.tensor("fused"), **recorded.tolerance("float32"))
    assert both.tokens(joints, bones).shape == (2, 2, 4, 25, 512)
    made = np.stack([bone(clip, LAYOUTS["ntu25"]) for clip in joints.contiguous().numpy()])
    np.testing.assert_allclose(made, bones.numpy(), atol=1e-6)


def two_networks(**other):
    torch.manual_seed(0)
    alike = {"keypoints": "imigue22", "classes": 5} | TINY
    return build_agcn(**alike).eval(), build_agcn(**alike | other).eval()


@torch.no_grad()
def test_tokens_are_concatenated_and_logits_added():
    joint, bone_network = two_networks()
    both = TwoStream(joint, bone_network)
    joints, bones = torch.rand(2, 2, 1, 10, 22, 3)
    mask = torch.arange(10) < torch.tensor([[10], [6]])
    tokens = both.tokens(joints, bones, mask)
    assert tokens.shape == (2, 1, 3, 22, 32)
    assert_close(tokens[..., :16], joint.tokens(joints, mask))
    assert_close(tokens[..., 16:], bone_network.tokens(bones, mask))
    assert_close(both(joints, bones, mask), joint(joints, mask) + bone_network(bones, mask))


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (
            {"keypoints": "coco17"},
            "keypoints: the joint network has imigue22, the bone .* coco17",
        ),
        ({"classes": 4}, "classes: the joint network has 5, the bone network 4"),
        ({"persons": 2}, "persons: the joint network has 1"),
    ],
)
def test_streams_that_differ_are_refused(other, complaint):
    with pytest.raises(ValueError, match=complaint):
        TwoStream(*two_networks(**other))
