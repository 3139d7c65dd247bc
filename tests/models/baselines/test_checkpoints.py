"""Published names of every graph network, of any sizes, load; what does not fit is refused."""

import re

import pytest
import torch

from imigue_lab.data.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from imigue_lab.models.baselines.aagcn import build_aagcn
from imigue_lab.models.baselines.ctrgcn import build_ctrgcn
from imigue_lab.models.baselines.dgstgcn import build_dgstgcn
from imigue_lab.models.baselines.stgcn import build_stgcn, build_stgcnpp
from imigue_lab.models.published import load_published

# Published names of ours, in the order in which they are replaced.
ORIGINAL = (
    (r"^norm\.", "data_bn."),
    (r"^head\.", "fc."),
    (r"^blocks\.(\d+)\.", lambda block: f"l{int(block[1]) + 1}."),
    (r"\.graph\.learned", ".gcn1.PA"),
    (r"\.graph\.", ".gcn1."),
    (r"\.time\.", ".tcn1."),
    (r"\.residual\.0\.", ".residual.conv."),
    (r"\.residual\.1\.", ".residual.bn."),
    (r"1\.norm\.", "1.bn."),
    (r"\.skip\.", ".down."),
)
PYSKL = (
    (r"^norm\.", "backbone.data_bn."),
    (r"^head\.", "cls_head.fc_cls."),
    (r"^blocks\.", "backbone.gcn."),
    (r"\.graph\.learned", ".gcn.A"),
    (r"\.graph\.", ".gcn."),
    (r"\.time\.", ".tcn."),
    (r"\.residual\.0\.", ".residual.conv."),
    (r"\.residual\.1\.", ".residual.bn."),
    (r"cn\.norm\.", "cn.bn."),
    (r"\.skip\.", ".down."),
)
AAGCN = (
    (r"\.theta\.", ".conv_a."),
    (r"\.phi\.", ".conv_b."),
    (r"\.weights\.", ".conv_d."),
    (r"\.emphasis\.joints\.", ".conv_sa."),
    (r"\.emphasis\.frames\.", ".conv_ta."),
    (r"\.emphasis\.squeeze\.", ".fc1c."),
    (r"\.emphasis\.restore\.", ".fc2c."),
)
SIX_BRANCHES = (
    (r"\.branches\.5\.look\.", ".branches.5."),
    (r"\.shrink\.", "."),
    (r"\.look\.", ".3.conv."),
    (r"\.join\.", ".transform."),
)
CTRGCN = (
    (r"\.refinements\.", ".convs."),
    (r"\.first\.", ".conv1."),
    (r"\.second\.", ".conv2."),
    (r"\.values\.", ".conv3."),
    (r"\.expand\.", ".conv4."),
    (r"\.branches\.3\.look\.", ".branches.3.0."),
    (r"\.branches\.3\.norm\.", ".branches.3.1."),
    (r"\.branches\.2\.norm\.", ".branches.2.4."),
    (r"\.shrink\.", "."),
    (r"\.look\.", ".3.conv."),
    (r"(\.branches\.[01])\.norm\.", r"\1.3.bn."),
)
NAMES = {
    "st-gcn": (
        (r"^norm\.", "data_bn."),
        (r"^head\.", "fcn."),
        (r"^blocks\.(\d+)\.graph\.importance", r"edge_importance.\1"),
        (r"^blocks\.", "st_gcn_networks."),
        (r"\.graph\.weights\.", ".gcn.conv."),
        (r"\.graph\.norm\.", ".tcn.0."),
        (r"\.time\.conv\.", ".tcn.2."),
        (r"\.time\.norm\.", ".tcn.3."),
    ),
    "pyskl/stgcn": ((r"\.importance", ".PA"), (r"\.weights\.", ".conv."), *PYSKL),
    "pyskl/stgcn++": ((r"\.weights\.", ".conv."), *SIX_BRANCHES, *PYSKL),
    "aagcn": (*AAGCN, *ORIGINAL),
    "pyskl/aagcn": (*AAGCN, *PYSKL),
    "ctr-gcn": (*CTRGCN, *ORIGINAL),
    "pyskl/ctrgcn": (
        *CTRGCN,
        *PYSKL,
        (r"^backbone\.gcn\.(\d+)\.([gt])cn\.", r"backbone.net.\1.\2cn1."),
    ),
    "pyskl/dgstgcn": (
        (r"\.before\.", ".pre."),
        (r"\.after\.", ".post."),
        (r"\.first\.", ".conv1."),
        (r"\.second\.", ".conv2."),
        (r"\.gamma", ".add_coeff"),
        *SIX_BRANCHES,
        *PYSKL,
    ),
}
ODD = {"channels": 2, "persons": 3, "width": 12, "depths": (2, 1), "mask_missing": False}
BUILT = {
    "st-gcn": lambda: build_stgcn("kinect20", 4, **ODD),
    "pyskl/stgcn": lambda: build_stgcn("openpose18", 4, **ODD | {"persons": 1}),
    "pyskl/stgcn++": lambda: build_stgcnpp("body25", 4, **ODD | {"persons": 1}),
    "aagcn": lambda: build_aagcn("coco17", 4, **ODD, original=True),
    "pyskl/aagcn": lambda: build_aagcn("kinect20", 4, **ODD, emphasis=False),
    "ctr-gcn": lambda: build_ctrgcn("kinect20", 4, **ODD, original=True),
    "pyskl/ctrgcn": lambda: build_ctrgcn("coco17", 4, **ODD, original=False),
    "pyskl/dgstgcn": lambda: build_dgstgcn("coco17", 4, **ODD, entries=25, ratio=0.25),
}


def named(key, family):
    for ours, theirs in NAMES[family]:
        key = re.sub(ours, theirs, key)
    return key


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    """A family, a network of odd sizes with every number its own, and its published state dict."""
    torch.manual_seed(0)
    model = BUILT[request.param]().eval()
    for value in model.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand_like(value)
    state = {named(key, request.param): weight for key, weight in model.state_dict().items()}
    if request.param == "st-gcn":
        state["A"] = model.blocks[0].graph.fixed
    if request.param == "pyskl/stgcn":
        for number, block in enumerate(model.blocks):
            block.graph.fixed += 0.1 * torch.rand_like(block.graph.fixed)  # one each
            state[f"backbone.gcn.{number}.gcn.A"] = block.graph.fixed
    return request.param, model, state


def skeletons(model):
    norm = model.norm
    return torch.randn(2, 3, 11, len(norm.layout.joints), norm.channels)


@torch.no_grad()
def test_a_checkpoint_of_any_sizes_gives_the_outputs_it_gave(case, tmp_path):
    family, model, state = case
    path = tmp_path / "run-80-9000.pt"
    torch.save({"meta": {"epoch": 80}, "state_dict": state}, path)
    loaded, given = load_published(path, family), skeletons(model)
    assert torch.equal(loaded(given), model(given))
    assert not loaded.training


@torch.no_grad()
def test_what_files_hold_beside_the_weights_may_be_there_or_not(case):
    family, model, state = case
    given = skeletons(model)
    bare = {key: w for key, w in state.items() if not key.endswith("num_batches_tracked")}
    assert torch.equal(load_published(bare, family)(given), model(given))
    wrapped = {f"module.{key}": weight for key, weight in state.items()}
    assert torch.equal(load_published(wrapped, family)(given), model(given))
    if family.startswith("pyskl"):
        unused = {"backbone.A": torch.zeros(3, 2, 2), "data_preprocessor.mean": torch.zeros(3)}
        newer = {key.replace("fc_cls", "fc"): weight for key, weight in state.items()} | unused
        assert torch.equal(load_published(newer, family)(given), model(given))


def test_a_missing_or_left_over_key_is_named_with_its_nearest(case):
    family, _, state = case
    norm = next(key for key in state if "residual" in key and key.endswith("weight"))
    less = {key: weight for key, weight in state.items() if key != norm}
    with pytest.raises(DataError, match=r"not a checkpoint of .* missing.* the nearest .*residual"):
        load_published(less, family)
    with pytest.raises(DataError, match=r"logit_scale.* no place in the model; the nearest"):
        load_published(state | {"logit_scale": torch.zeros(1)}, family)


def test_a_file_whose_joints_disagree_is_refused(case):
    family, _, state = case
    norm = next(key for key in state if key.endswith("data_bn.weight"))
    with pytest.raises(DataError, match=r"data_bn.weight: 7 entries are no multiple of \d+ joints"):
        load_published(state | {norm: torch.zeros(7)}, family)


def test_every_other_family_refuses_it(case):
    family, _, state = case
    for other in NAMES:
        if other != family:
            with pytest.raises(DataError, match=f"not a checkpoint of {re.escape(other)}: "):
                load_published(state, other)


@torch.no_grad()
def test_a_file_without_its_fixed_graph_needs_the_name_of_the_layout():
    for family, keypoints, other in (
        ("st-gcn", "kinect20", "msraction20"),
        ("pyskl/stgcn", "openpose18", None),
    ):
        model = BUILT[family]().eval()
        state = {named(key, family): weight for key, weight in model.state_dict().items()}
        given = skeletons(model)
        assert torch.equal(load_published(state, family, keypoints=keypoints)(given), model(given))
        with pytest.raises(DataError, match=f"holds no graph; .*keypoints=.*{other or keypoints}"):
            load_published(state, family)
        with pytest.raises(DataError, match="'coco17' is no layout of as many"):
            load_published(state, family, keypoints="coco17")


@torch.no_grad()
def test_a_name_given_for_the_layout_is_kept():
    model = BUILT["ctr-gcn"]()
    state = {named(key, "ctr-gcn"): weight for key, weight in model.state_dict().items()}
    loaded = load_published(state, "ctr-gcn", keypoints="kinect20", mask_missing=True)
    assert loaded.norm.layout is LAYOUTS["kinect20"]
    assert loaded.norm.mask_missing
