"""Checkpoints of every family load in any size; what does not fit is refused."""

import re

import pytest
import torch

from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from imigue_lab.models.checkpoints.registry import FAMILIES, load_published
from tests.models.published_names import (
    BUILT,
    CLIPS,
    MMACTION,
    NAMES,
    OPTIONS,
    input_shapes,
    outputs,
    published_name,
)

GRAPH_NETWORKS = [family for family in NAMES if family not in CLIPS]


def network_and_state(family, names=NAMES):
    """A network of unusual sizes with random weights, and its published state dict."""
    torch.manual_seed(0)
    model = BUILT[family]().eval()
    for value in model.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand_like(value)
    state = {published_name(k, names[family]): weight for k, weight in model.state_dict().items()}
    if family == "st-gcn":
        state["A"] = model.blocks[0].graph.fixed
    if family == "pyskl/stgcn":
        for number, block in enumerate(model.blocks):
            block.graph.fixed += 0.1 * torch.rand_like(block.graph.fixed)  # different graphs
            state[f"backbone.gcn.{number}.gcn.A"] = block.graph.fixed
    return model, state


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    """A family, a network, its published state dict, and the options that shapes do not show."""
    return request.param, *network_and_state(request.param), OPTIONS.get(request.param, {})


def batch(family, model):
    return [torch.randn(shape) for shape in input_shapes(family, model)]


def test_every_family_is_tested():
    assert set(NAMES) == set(FAMILIES)


@torch.no_grad()
def test_a_checkpoint_of_any_size_has_the_same_outputs(case, tmp_path):
    family, model, state, options = case
    path = tmp_path / "run-80-9000.pt"
    torch.save({"meta": {"epoch": 80}, "state_dict": state}, path)
    loaded, inputs = load_published(path, family, **options), batch(family, model)
    assert torch.equal(outputs(loaded, inputs), outputs(model, inputs))
    assert not loaded.training


@torch.no_grad()
def test_buffers_and_prefixes_are_optional(case):
    family, model, state, options = case
    inputs = batch(family, model)
    bare = {key: w for key, w in state.items() if w.is_floating_point()}
    assert torch.equal(
        outputs(load_published(bare, family, **options), inputs), outputs(model, inputs)
    )
    wrapped = {f"module.{key}": weight for key, weight in state.items()}
    assert torch.equal(
        outputs(load_published(wrapped, family, **options), inputs), outputs(model, inputs)
    )
    backbone = {key.removeprefix("backbone."): weight for key, weight in state.items()}
    assert torch.equal(
        outputs(load_published(backbone, family, **options), inputs), outputs(model, inputs)
    )


@torch.no_grad()
@pytest.mark.parametrize("family", [*MMACTION, *(f for f in GRAPH_NETWORKS if "pyskl" in f)])
def test_mmaction2s_names_load(family):
    model, state = network_and_state(family, NAMES | MMACTION)
    extra = {"data_preprocessor.mean": torch.zeros(3)}
    if family in GRAPH_NETWORKS:
        state = {key.replace("fc_cls", "fc"): weight for key, weight in state.items()}
        extra["backbone.A"] = torch.zeros(3, 2, 2)
    assert all(key.startswith(("backbone.", "cls_head.")) for key in state)
    loaded = load_published({"state_dict": state | extra}, family, **OPTIONS.get(family, {}))
    inputs = batch(family, model)
    assert torch.equal(outputs(loaded, inputs), outputs(model, inputs))


@torch.no_grad()
def test_index_buffers_and_masks_are_not_loaded():
    model, state = network_and_state("video-swin")
    places = 2 * 3 * 3
    state |= {key: torch.full((places, places), 7) for key in state if key.endswith("index")}
    state["backbone.layers.0.attn_mask"] = torch.ones(4, places, places)
    inputs = batch("video-swin", model)
    assert torch.equal(outputs(load_published(state, "video-swin"), inputs), outputs(model, inputs))


def test_a_missing_or_extra_key_is_named_with_the_nearest(case):
    family, _, state, options = case
    weights = [key for key, w in state.items() if key.endswith("weight") and w.ndim == 1]
    lost = weights[len(weights) // 2]
    less = {key: weight for key, weight in state.items() if key != lost}
    with pytest.raises(DataError, match=r"not a checkpoint of .* missing.* the nearest .*weight"):
        load_published(less, family, **options)
    with pytest.raises(DataError, match=r"logit_scale.* no place in the model; the nearest"):
        load_published(state | {"logit_scale": torch.zeros(1)}, family, **options)


@pytest.mark.parametrize("family", GRAPH_NETWORKS)
def test_a_file_whose_joints_disagree_is_refused(family):
    _, state = network_and_state(family)
    norm = next(key for key in state if key.endswith("data_bn.weight"))
    with pytest.raises(DataError, match=r"data_bn.weight: 7 entries are no multiple of \d+ joints"):
        load_published(state | {norm: torch.zeros(7)}, family, **OPTIONS.get(family, {}))


def test_every_other_family_refuses_the_file(case):
    family, _, state, _ = case
    for other in NAMES:
        if FAMILIES[other] is not FAMILIES[family]:
            complaint = f"not a checkpoint of {re.escape(other)}[: ]|is no layout of as many"
            with pytest.raises(DataError, match=complaint):
                load_published(state, other, **OPTIONS.get(other, {}))


@torch.no_grad()
def test_a_file_without_its_fixed_graph_needs_the_name_of_the_layout():
    for family, keypoints, other in (
        ("st-gcn", "kinect20", "msraction20"),
        ("pyskl/stgcn", "openpose18", None),
    ):
        model = BUILT[family]().eval()
        weights = model.state_dict().items()
        state = {published_name(key, NAMES[family]): weight for key, weight in weights}
        inputs = batch(family, model)
        assert torch.equal(
            outputs(load_published(state, family, keypoints=keypoints), inputs),
            outputs(model, inputs),
        )
        with pytest.raises(DataError, match=f"holds no graph; .*keypoints=.*{other or keypoints}"):
            load_published(state, family)
        with pytest.raises(DataError, match="'coco17' is no layout of as many"):
            load_published(state, family, keypoints="coco17")


@torch.no_grad()
def test_the_named_layout_is_used():
    _, state = network_and_state("ctr-gcn")
    loaded = load_published(state, "ctr-gcn", keypoints="kinect20", mask_missing=True)
    assert loaded.norm.layout is LAYOUTS["kinect20"]
    assert loaded.norm.mask_missing
