"""Published weights as a start: what fits is taken over, what is new is said, the rest refused."""

import re
from dataclasses import replace

import pytest
import torch
from torchvision.models import (
    ResNet50_Weights,
    Swin_T_Weights,
    SwinTransformer,
    WeightsEnum,
    resnet50,
)

from benchmarks.agcn_step import Transcription
from imigue_lab.data.skeletons.graphs import spatial
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.source import open_data
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError
from imigue_lab.models.baselines import ROWS, SIZES, build_baseline
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.start import (
    FAMILIES_OF,
    OF_JOINTS,
    identity_of_start,
    read_start,
    take_over,
)
from imigue_lab.training.baselines.train import load_baseline, train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from tests.models.published_names import NAMES, published_name

IMIGUE, CLASSES = LAYOUTS["imigue22"], builtin("imigue")
SMALL = {"width": 16, "depths": [2, 1, 1]}
PAIRS = [
    (name, family)
    for name, families in FAMILIES_OF.items()
    for family in families
    if ROWS[name].modality == "skeleton" and name not in ("2s-agcn", "strongaug", "mamp")
]


@pytest.fixture(scope="module")
def data(synthetic):
    return load_gesture_data(open_data(str(synthetic)))


@pytest.fixture
def publish(tmp_path):
    """Writes weights as a family publishes them: off their start, of other classes and joints."""

    def write(name, family, classes=60, keypoints="coco17", persons=2, **sizes):
        torch.manual_seed(1)
        options = {"original": False} if family == "pyskl/ctrgcn" else {}
        model = build_baseline(
            name, classes, keypoints, persons=persons, **(SMALL | sizes), **options
        )
        for value in model.state_dict().values():
            if value.is_floating_point():
                value += 0.1 * torch.rand_like(value)
        state = {
            published_name(key, NAMES[family]): weight for key, weight in model.state_dict().items()
        }
        if family == "st-gcn":
            state["A"] = model.blocks[0].graph.fixed
        if family == "pyskl/stgcn":
            for number, block in enumerate(model.blocks):
                state[f"backbone.gcn.{number}.gcn.A"] = block.graph.fixed
        path = tmp_path / "published.pth"
        torch.save({"state_dict": state}, path)
        return path, model.state_dict()

    return write


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_all_but_the_head_and_what_is_of_joints_is_taken_over(name, family, publish):
    path, published = publish(name, family)
    start = read_start(str(path), name, IMIGUE, SMALL)
    model = build_baseline(name, **SMALL, **start.options)
    assert start.source == f"{path} ({family})"
    before = {key: value.clone() for key, value in model.state_dict().items()}
    (remark,) = take_over(model, start, CLASSES)
    new = 0
    for key, value in model.state_dict().items():
        is_new = key.startswith("head.") or bool(OF_JOINTS.search(key))
        is_new = is_new and not key.endswith("num_batches_tracked")
        new += is_new
        assert torch.equal(value, (before if is_new else published)[key]), key
    assert f"started from {path} ({family}): {len(before) - new} of {len(before)}" in remark
    assert "the head is new (60 classes there, 32 here)" in remark
    assert f"{new - 2} are new, of other joints or persons" in remark
    assert re.search(r"\(blocks\.\S+ is \(.*17,?\) and \(.*2[12],?\) here\)", remark)


@pytest.mark.parametrize(
    ("name", "given", "new"),
    [
        ("poseconv3d", {"joints": 17}, ["stem.0.weight"]),
        ("tsm", {"segments": 4}, []),
        ("video-swin-t", {}, []),
        ("mvitv2-s", {"clip": [4, 32, 32]}, []),
        ("rgbpose-conv3d", {"joints": 17}, ["pose.stem.0.weight"]),
    ],
)
def test_networks_of_pictures_take_over_all_but_the_head(name, given, new, tmp_path):
    (family,) = FAMILIES_OF[name]
    arguments = SIZES[name]["small"] | given
    torch.manual_seed(1)
    published = build_baseline(name, 60, **arguments).state_dict()
    state = {published_name(key, NAMES[family]): published[key] for key in published}
    torch.save(state, tmp_path / "video.pth")
    own = arguments | ({"joints": 22} if "joints" in given else {})
    model = build_baseline(name, 32, **own)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    layout = IMIGUE if "joints" in given else None
    (remark,) = take_over(
        model, read_start(str(tmp_path / "video.pth"), name, layout, own), CLASSES
    )
    for key, value in model.state_dict().items():
        kept = "head" in key.split(".") or key in new
        assert torch.equal(value, (before if kept else published)[key]), key
    assert f"({family})" in remark and "the head is new (60 classes there, 32 here)" in remark
    assert ("of other joints" in remark) == bool(new)


def test_no_single_file_starts_all_streams_of_dscnet():
    with pytest.raises(DataError, match="dscnet is published as a file for each of its streams"):
        read_start("weights.pt", "dscnet", IMIGUE, {})


def test_of_the_same_joints_persons_and_classes_everything_is_taken_over(publish):
    path, published = publish("ctr-gcn", "ctr-gcn", classes=32, keypoints="imigue22", persons=1)
    model = build_baseline("ctr-gcn", **SMALL)
    (remark,) = take_over(model, read_start(str(path), "ctr-gcn", IMIGUE, SMALL), CLASSES)
    assert all(torch.equal(value, published[key]) for key, value in model.state_dict().items())
    assert "joints are taken to be ours" in remark and "new" not in remark
    other = replace(CLASSES, classes=tuple(f"own {name}" for name in CLASSES.classes))
    model = build_baseline("ctr-gcn", **SMALL)
    head = model.head.weight.clone()
    (remark,) = take_over(model, read_start(str(path), "ctr-gcn", IMIGUE, SMALL), other)
    assert torch.equal(model.head.weight, head)
    assert "the head is new (of other classes than the 32 there)" in remark


@pytest.mark.parametrize("keypoints", ["imigue22", "ntu25"])
def test_a_file_without_its_fixed_graph_is_taken_over_whatever_its_joints(keypoints, tmp_path):
    graph = torch.tensor(spatial(LAYOUTS[keypoints]), dtype=torch.float32)
    torch.manual_seed(1)
    state = Transcription(graph, classes=60, persons=2).state_dict()
    state["l4.gcn1.PA"] = torch.randn(graph.shape)
    torch.save(state, tmp_path / "agcn.pt")
    model = build_baseline("2s-agcn")
    (remark,) = take_over(
        model, read_start(str(tmp_path / "agcn.pt"), "2s-agcn", IMIGUE, {}), CLASSES
    )
    assert torch.equal(model.blocks[9].time[0].weight, state["l10.tcn1.conv.weight"])
    same = torch.equal(model.blocks[3].graph.learned, state["l4.gcn1.PA"])
    assert same == (keypoints == "imigue22")
    assert torch.equal(model.blocks[3].graph.fixed, torch.tensor(spatial(IMIGUE)).float())
    assert "the head is new" in remark


def test_a_run_from_published_weights_says_so_and_comes_back(publish, data, synthetic, capsys):
    path, _ = publish("ctr-gcn", "pyskl/ctrgcn")
    given = {"data": str(synthetic), "model": "ctr-gcn", "checkpoint": str(path), "epochs": 1}
    run = train_baseline(BaselineSettings.from_arguments({**given, "frames": 8}), data)
    output = capsys.readouterr().out
    assert "note: started from" in output and "the head is new" in output
    assert any("(pyskl/ctrgcn)" in remark for remark in run.provenance()["remarks"])
    assert run.read_checkpoint("best")["arguments"]["original"] is False
    load_baseline(run, data)


def test_a_start_is_identified_by_the_content_of_its_file(tmp_path):
    one, same, other = (tmp_path / f"{name}.pt" for name in ("one", "same", "other"))
    for path, content in ((one, b"a"), (same, b"a"), (other, b"b")):
        path.write_bytes(content)
    assert identity_of_start(str(one)) == identity_of_start(str(same)) != {}
    assert identity_of_start(str(one)) != identity_of_start(str(other))
    assert identity_of_start("") == {}
    with pytest.raises(DataError, match=r"/nowhere.pt: cannot be read .No such file"):
        identity_of_start("/nowhere.pt")


def test_weights_of_another_size_or_network_are_refused(publish):
    path, _ = publish("aagcn", "aagcn", width=32)
    start = read_start(str(path), "aagcn", IMIGUE, SMALL)
    with pytest.raises(
        DataError, match=r"expected the sizes of the model, got another at blocks.* size=paper"
    ):
        take_over(build_baseline("aagcn", **SMALL), start, CLASSES)
    with pytest.raises(DataError, match=r"not a checkpoint of ctr-gcn: .* is missing"):
        read_start(str(path), "ctr-gcn", IMIGUE, SMALL)


def test_weights_of_torchvision_start_a_video_network_by_name(monkeypatch):
    torch.manual_seed(0)
    sizes = SIZES["video-swin-t"]["small"]
    published = build_baseline("video-swin-t", 400, **sizes).state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: published)
    model = build_baseline("video-swin-t", **sizes)
    (remark,) = take_over(model, read_start("kinetics400", "video-swin-t", None, sizes), CLASSES)
    assert "kinetics400 (video-swin)" in remark
    assert "the head is new (400 classes there, 32 here)" in remark
    own = {key: weight for key, weight in model.state_dict().items() if key in published}
    assert all(own[key].equal(published[key]) for key in own if not key.startswith("head."))
    assert identity_of_start("kinetics400") == {"checkpoint": "kinetics400"}
    with pytest.raises(DataError, match=r"expected one of mvitv2-s, video-swin-t, .*, got ctr-gcn"):
        read_start("kinetics400", "ctr-gcn", IMIGUE, SMALL)
    with pytest.raises(DataError, match=r"imagenet: expected one of tsm, .*, got mvitv2-s; name a"):
        read_start("imagenet", "mvitv2-s", None, {})


STAGES = [2, 1, 1, 1], [1, 2, 4, 8]  # blocks, heads


def swin_of_pictures():
    return SwinTransformer([4, 4], 8, *STAGES, [7, 7])


@pytest.mark.parametrize(
    ("name", "build", "enum", "sizes"),
    [
        ("tsm", resnet50, ResNet50_Weights, {"segments": 8}),
        ("video-swin-t", swin_of_pictures, Swin_T_Weights, {"stages": [8, *STAGES]}),
    ],
)
def test_weights_of_pictures_start_a_video_network_by_name(
    name, build, enum, sizes, monkeypatch, tmp_path
):
    torch.manual_seed(0)
    published = build().state_dict()
    monkeypatch.setattr(enum, "get_state_dict", lambda *_, **__: published)
    model = build_baseline(name, **sizes)
    start = read_start("imagenet", name, None, sizes)
    (remark,) = take_over(model, start, CLASSES)
    assert f"started from imagenet ({FAMILIES_OF[name][0]})" in remark
    assert "the head is new (1000 classes there, 32 here)" in remark
    assert identity_of_start("imagenet") == {"checkpoint": "imagenet"}
    torch.save(published, tmp_path / "file.pth")
    state = read_start(str(tmp_path / "file.pth"), name, None, sizes).state
    assert all(state[key].equal(weight) for key, weight in start.state.items())
