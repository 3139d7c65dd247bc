"""Every graph network of Table 1 has the outputs and gradients of its published code."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from imigue_lab.models.checkpoints.registry import FAMILIES, load_published
from tests.models.skeleton_recordings import recording

pytestmark = pytest.mark.shared

RECORDED = {
    "stgcn_orig_ntu25": "st-gcn",
    "stgcn_pyskl_coco17": "pyskl/stgcn",
    "stgcnpp_coco17": "pyskl/stgcn++",
    "stgcnpp_ntu25": "pyskl/stgcn++",
    "aagcn_orig_ntu25": "aagcn",
    "aagcn_pyskl_ntu25": "pyskl/aagcn",
    "aagcn_pyskl_noatt_coco17": "pyskl/aagcn",
    "ctrgcn_orig_ntu25": "ctr-gcn",
    "ctrgcn_pyskl_ntu25": "pyskl/ctrgcn",
    "dgstgcn_ntu25": "pyskl/dgstgcn",
}


@pytest.fixture(params=RECORDED)
def case(request, shared):
    """The recording, its model, its skeletons, and our names of its keys."""
    recorded = recording(shared, request.param)
    family = RECORDED[request.param]
    skeleton = recorded.tensor("input")
    if recorded.facts["input"]["layout"] == "N,C,T,V,M":
        skeleton = skeleton.permute(0, 4, 2, 3, 1)
    rename = FAMILIES[family].rename
    return (
        recorded,
        load_published(recorded.state, family),
        skeleton,
        lambda key: rename(key.removeprefix("backbone.")),
    )


@torch.no_grad()
def test_outputs_and_inner_features_equal_the_published_ones(case):
    recorded, model, skeleton, _ = case
    seen = []
    for block in model.blocks:
        block.register_forward_hook(lambda block, args, output: seen.append(output))
    near = recorded.tolerance("float32")
    assert_close(model(skeleton), recorded.tensor("logits"), **near)
    first, last = seen[0][:1].mT, seen[-1][:1].mT
    assert_close(first, recorded.tensor("block_first_0"), rtol=1e-4, atol=1e-4)
    assert_close(last, recorded.tensor("block_last_0"), rtol=1e-4, atol=1e-4)
    statistics = [(x.mean(), x.std(correction=0), x.abs().max()) for x in seen]
    stored = recorded.arrays["block_stats"]
    np.testing.assert_allclose(torch.tensor(statistics), stored, rtol=1e-4, atol=1e-5)
    assert_close(model.pooled(skeleton), recorded.tensor("pooled"), rtol=1e-4, atol=1e-4)
    if "avg_prob_2clip" in recorded.arrays:
        mean = model(skeleton[:2]).softmax(dim=-1).mean(dim=0, keepdim=True)
        assert_close(mean, recorded.tensor("avg_prob_2clip"), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_outputs_in_double_precision_equal_the_published_ones(case):
    recorded, model, skeleton, _ = case
    near = recorded.tolerance("float64")
    model, skeleton = model.double(), skeleton.double()
    assert_close(model(skeleton), recorded.tensor("logits_f64"), **near)
    assert_close(model.pooled(skeleton), recorded.tensor("pooled_f64"), **near)


def test_gradients_and_running_statistics_equal_the_published_ones(case):
    recorded, model, skeleton, rename = case
    model = model.double().train()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    logits = model(skeleton.double())
    loss = F.cross_entropy(logits, torch.arange(len(logits)))
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
