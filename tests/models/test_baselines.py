"""Every row of Table 1 is built as stated; padding, persons and missing joints change nothing."""

import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.data.skeletons.graphs import spatial, stgcn_spatial
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.models.baselines import SIZES, TABLE, build_baseline
from imigue_lab.models.graph.stgcn import GraphNetwork

OTHERS = ("2s-agcn", "strongaug", "mamp")
OF_SKELETONS = [row.name for row in TABLE if row.modality == "skeleton"]
GRAPH_NETWORKS = [name for name in OF_SKELETONS if name not in OTHERS]


def perturbed(name, **options):
    """A small network in eval mode with all weights and statistics perturbed."""
    torch.manual_seed(0)
    model = build_baseline(name, 5, **{"width": 16, "depths": (2, 1, 1), **options})
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            value += 0.3 * (torch.rand_like(value) if "var" in key else torch.randn_like(value))
    return model.eval()


def clips(number=2, persons=1, frames=16, joints=22, seed=0):
    torch.manual_seed(seed)
    skeleton = torch.randn(number, persons, frames, joints, 3)
    skeleton[..., 2] = torch.rand(skeleton.shape[:-1]) * 0.5 + 0.5
    return skeleton


def test_every_row_has_as_many_parameters_as_stated():
    assert {row.name for row in TABLE} == set(SIZES)
    for row in TABLE:
        with torch.device("meta") if row.name not in OF_SKELETONS else nullcontext():
            model = build_baseline(row.name, **SIZES[row.name]["paper"])
        assert sum(p.numel() for p in model.parameters()) == row.parameters, row.name


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "options", "shapes"),
    [
        ("poseconv3d", {"keypoints": "coco17"}, [(2, 17, 4, 16, 16)]),
        ("poseconv3d", {"joints": 9}, [(2, 9, 4, 16, 16)]),
        ("tsm", {"segments": 4}, [(2, 12, 32, 32)]),
        ("video-swin-b", {}, [(2, 3, 4, 32, 32)]),
        ("mvitv2-s", {"clip": [4, 32, 32]}, [(2, 3, 4, 32, 32)]),
        ("videomae-b", {"clip": [4, 32, 32]}, [(2, 3, 4, 32, 32)]),
        ("dscnet", {"segments": 4}, [(2, 36, 32, 32), (2, 1, 3, 4, 22), (2, 1, 3, 4, 22)]),
    ],
)
def test_picture_networks_accept_the_documented_inputs(name, options, shapes):
    model = build_baseline(name, 7, **(SIZES[name]["small"] | options)).eval()
    assert model(*(torch.randn(shape) for shape in shapes)).shape == (2, 7)
    assert sum(p.numel() for p in model.parameters()) < 4_000_000


def test_scores_equal_those_of_the_paper():
    printed = {row.name: row.published for row in TABLE if row.published is not None}
    assert printed == {
        "tsm": 58.77,
        "video-swin-t": 59.97,
        "video-swin-s": 57.83,
        "video-swin-b": 61.73,
        "poseconv3d": 61.11,
        "dscnet": 62.53,
        "st-gcn": 46.38,
        "st-gcn++": 49.56,
        "strongaug": 53.13,
        "aagcn": 54.73,
        "ctr-gcn": 53.02,
        "dg-stgcn": 49.56,
    }


def test_an_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match=r"one of tsm, .*st-gcn, .*dscnet, .*2s-agcn, .*; got 'i3d'"
    ):
        build_baseline("i3d")


@torch.no_grad()
@pytest.mark.parametrize("name", OF_SKELETONS)
def test_any_layout_and_number_of_persons_and_channels_works(name):
    for keypoints, persons, channels in (("ntu25", 2, 3), ("openpose137", 1, 2), ("coco17", 2, 3)):
        joints = len(LAYOUTS[keypoints].joints)
        sizes = {"channels": channels, "persons": persons, "width": 8}
        sizes |= {"depth": 1, "frames": 8} if name == "mamp" else {"depths": (1, 1)}
        model = build_baseline(name, 7, keypoints, **sizes).eval()
        frames = 8 if name == "mamp" else 5  # tokens of four frames
        assert model(torch.randn(3, persons, frames, joints, channels)).shape == (3, 7)


@pytest.mark.parametrize("name", GRAPH_NETWORKS)
def test_weights_and_features_can_be_bfloat16(name):
    torch.manual_seed(0)
    model = build_baseline(name, 7, "ntu25", width=8, depths=(1, 1)).bfloat16()
    skeleton = torch.randn(3, 1, 8, 25, 3).bfloat16()
    logits = model(skeleton)
    logits.sum().backward()
    exact = model.float()(skeleton.float())
    assert logits.dtype == torch.bfloat16
    assert (logits - exact).abs().max() < 0.1 * exact.std()


@torch.no_grad()
@pytest.mark.parametrize("name", GRAPH_NETWORKS)
@pytest.mark.parametrize("lengths", [(16, 9), (16, 5, 1, 13)])
def test_a_clip_has_the_same_logits_in_a_padded_batch_and_alone(name, lengths):
    model = perturbed(name).double()
    skeleton = clips(len(lengths)).double()
    mask = torch.arange(16) < torch.tensor(lengths)[:, None]
    padded = skeleton * mask[:, None, :, None, None]
    logits = model(padded, mask)
    for row, length in enumerate(lengths):
        assert_close(logits[row], model(skeleton[row : row + 1, :, :length])[0], rtol=0, atol=1e-8)
    assert not torch.allclose(model(padded)[-1], logits[-1], atol=1e-3)
    assert torch.equal(model(skeleton), model(skeleton, torch.ones_like(mask)))


@torch.no_grad()
@pytest.mark.parametrize("name", GRAPH_NETWORKS)
def test_coordinates_with_a_score_of_zero_have_no_effect(name):
    model, skeleton = perturbed(name), clips()
    skeleton[:, :, :, 4, 2] = 0
    elsewhere = skeleton.clone()
    elsewhere[:, :, :, 4, :2] = 1000
    assert torch.equal(model(skeleton), model(elsewhere))


@torch.no_grad()
def test_persons_share_a_norm_or_have_separate_ones():
    two = clips(persons=2)
    swapped = two.flip(1)
    shared, apart = (perturbed(name, persons=2) for name in ("st-gcn", "ctr-gcn"))
    assert_close(shared(two), shared(swapped))
    assert not torch.allclose(apart(two), apart(swapped), atol=1e-4)
    assert shared(clips(persons=3)).shape == (2, 5)
    with pytest.raises(ValueError, match=r"3 persons, .* takes up to 2 persons"):
        apart(clips(persons=3))
    absent = torch.cat([two[:, :1], torch.zeros_like(two[:, :1])], dim=1)
    assert_close(apart(two[:, :1]), apart(absent))


def test_each_network_starts_from_the_graph_of_its_publication():
    ntu = LAYOUTS["ntu25"]
    for name, place, graph in (
        ("st-gcn", "fixed", stgcn_spatial(ntu)),
        ("st-gcn++", "learned", spatial(ntu, pyskl=True)),
        ("aagcn", "learned", spatial(ntu)),
        ("ctr-gcn", "learned", spatial(ntu)),
    ):
        model = build_baseline(name, keypoints="ntu25", width=8, depths=(1, 1))
        assert isinstance(model, GraphNetwork)
        for block in model.blocks:
            assert_close(getattr(block.graph, place), torch.tensor(graph).float())
    first, second = (build_baseline("dg-stgcn").blocks[0].graph.learned for _ in range(2))
    assert not torch.equal(first, second)  # a new random graph each time
    assert first.mean().item() == pytest.approx(0.04, abs=0.002)
    assert first.std().item() == pytest.approx(0.02, abs=0.002)


def test_time_halves_where_the_width_doubles():
    model = build_baseline("ctr-gcn")
    assert [block.stride for block in model.blocks] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]


def test_widths_that_cannot_be_split_are_refused():
    for name in ("aagcn", "ctr-gcn"):
        with pytest.raises(ValueError, match="width must be a multiple of 4; got 6"):
            build_baseline(name, width=6)


def test_the_table_is_read_without_torch_and_prints_one_line_per_row():
    code = "import sys; from imigue_lab.models.baselines import TABLE; print(*TABLE, sep='\\n');"
    code += "assert 'torch' not in sys.modules"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(TABLE)
    (line,) = (line for line in lines if line.startswith("ctr-gcn "))
    for part in (
        "skeleton",
        "1.44 M",
        "Chen et al., ICCV 2021",
        "53.02 %",
        "Nesterov SGD 0.1 for 128",
    ):
        assert part in line


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "shape", "grid"),
    [
        ("tsm", (2, 12, 64, 64), (4, 2, 2)),
        ("slowonly", (2, 3, 4, 64, 64), (4, 2, 2)),
        ("video-swin-t", (2, 3, 4, 64, 64), (2, 2, 2)),
        ("poseconv3d", (2, 22, 4, 32, 32), (2, 4, 4)),
    ],
)
def test_the_head_decides_on_the_mean_of_the_tokens(name, shape, grid):
    own = {"segments": 4} if name == "tsm" else {}
    model = build_baseline(name, 5, **SIZES[name]["small"], **own).eval()
    clips = torch.randn(shape)
    tokens = model.tokens(clips)
    assert tokens.shape[:4] == (2, *grid)
    assert_close(model.head(tokens.mean(dim=(1, 2, 3))), model(clips))
