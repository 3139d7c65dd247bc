"""Published checkpoints: wrappers and formats are read, every weight is placed or refused."""

import argparse
import os
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from imigue_lab.errors import DataError
from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.models.pictures.mvit import build_mvit
from imigue_lab.models.swinface import build_swinface

MVIT = "slowfast/mvitv2-s"

# Independent of the package's key map, which is written the other way.
TORCHVISION_TO_SLOWFAST = {
    "pos_encoding.class_token": "cls_token",
    "conv_proj.": "patch_embed.proj.",
    ".attn.project.0.": ".attn.proj.",
    ".project.": ".proj.",
    ".pool_q.pool.": ".pool_q.",
    ".pool_k.pool.": ".pool_k.",
    ".pool_v.pool.": ".pool_v.",
    ".pool_q.norm_act.0.": ".norm_q.",
    ".pool_k.norm_act.0.": ".norm_k.",
    ".pool_v.norm_act.0.": ".norm_v.",
    ".mlp.0.": ".mlp.fc1.",
    ".mlp.3.": ".mlp.fc2.",
    "head.1.": "head.projection.",
}


def randomised(model):
    """Random weights and buffers, so that a misplaced one shows."""
    generator = torch.Generator().manual_seed(0)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def mvit():
    return randomised(build_mvit("tiny", classes=5))


@pytest.fixture
def slowfast(mvit):
    """The same weights as PySlowFast calls them."""
    state = {}
    for key, weight in mvit.net.state_dict().items():
        for ours, theirs in TORCHVISION_TO_SLOWFAST.items():
            key = key.replace(ours, theirs)
        state[key] = weight.view(1, 1, -1) if key == "cls_token" else weight
    return state


@pytest.fixture(scope="module")
def face():
    return randomised(build_swinface("tiny"))


@pytest.fixture
def swinface(face):
    """The same weights in SwinFace's format: a state dict per part, buffers and unused weights."""
    parts = {part: {} for part in ("backbone", "fam", "tss", "om", "softmax_fc")}
    for key, weight in face.backbone.state_dict().items():
        parts["backbone"][key.replace(".mlp.0.", ".mlp.fc1.").replace(".mlp.3.", ".mlp.fc2.")] = (
            torch.full((49, 49), 7) if key.endswith("relative_position_index") else weight
        )
    parts["backbone"]["layers.0.blocks.1.attn_mask"] = torch.zeros(4, 49, 49)
    parts["backbone"]["head.weight"] = torch.zeros(64, 64)
    parts["softmax_fc"]["weight"] = torch.zeros(9, 64)
    parts["fam"]["nets.0.conv.convs.0.weight"] = torch.zeros(8, 64, 3, 3)
    parts["tss"]["nets.10.feature.3.bias"] = parts["om"]["output_fcs.41.bias"] = torch.zeros(2)
    return {"epoch": 25, **{f"state_dict_{part}": state for part, state in parts.items()}}


def same(first, second):
    """Whether two models have equal floating-point weights by name."""
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    return all(
        torch.equal(weight, second[name])
        for name, weight in first.items()
        if weight.is_floating_point()
    )


def test_slowfast_and_torchvision_files_give_the_same_model(mvit, slowfast):
    for state in (slowfast, mvit.net.state_dict(), mvit.state_dict()):
        assert same(load_published(state, MVIT, size="tiny"), mvit.net)


def test_the_published_model_is_called_for_logits(mvit, slowfast):
    net = load_published({"model_state": slowfast}, MVIT, size="tiny")
    frames = torch.randn(2, 3, 16, 64, 64)
    assert_close(net(frames), mvit.net(frames))
    assert not net.training


def test_a_clip_that_is_not_square_is_an_option(slowfast):
    wide = build_mvit("tiny", classes=5, clip=(8, 32, 96))
    state = wide.net.state_dict()
    net = load_published(state, MVIT, size="tiny", clip=(8, 32, 96))
    assert same(net, wide.net)
    with pytest.raises(DataError, match=r"rel_pos_\w is \(.*\) where the model has .* options"):
        load_published(state, MVIT, size="tiny", clip=(16, 64, 64))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"meta": {"epoch": 3}, "state_dict": state},
        lambda state: {"model_state": state, "epoch": 3, "cfg": "a long text"},
        lambda state: {f"module.{key}": weight for key, weight in state.items()},
        lambda state: {f"backbone.{key}": weight for key, weight in state.items()},
        lambda state: {"state_dict": {f"module.backbone.{k}": v for k, v in state.items()}},
    ],
    ids=["bare", "state_dict", "model_state", "module", "backbone", "all of it"],
)
def test_wrappers_and_prefixes_are_removed(wrap, mvit, slowfast):
    assert same(load_published(wrap(slowfast), MVIT, size="tiny"), mvit.net)


def test_half_precision_becomes_float32(slowfast):
    halves = {key: weight.half() for key, weight in slowfast.items()}
    net = load_published(halves, MVIT, size="tiny")
    assert_close(net.norm.weight, slowfast["norm.weight"].half().float(), atol=0, rtol=0)


def test_swinface_loads_from_its_parts(face, swinface):
    model = load_published(swinface, "swinface", size="tiny")
    assert same(model, face)
    assert not model.training
    faces = torch.randn(2, 3, 56, 56)
    assert_close(model(faces), face(faces))  # indices of the file, all 7 here, are not loaded


def test_swinface_loads_without_buffers_and_other_outputs(face, swinface):
    backbone = {
        key: weight
        for key, weight in swinface["state_dict_backbone"].items()
        if not key.endswith(("attn_mask", "relative_position_index", "num_batches_tracked"))
    }
    for source in (backbone, {"state_dict_backbone": backbone}):
        assert same(load_published(source, "swinface", size="tiny"), face)


def test_our_own_swinface_loads(face):
    assert same(load_published(face.state_dict(), "swinface", size="tiny"), face)


def test_loading_leaves_the_random_state_and_the_source_alone(slowfast):
    before, keys = torch.get_rng_state(), list(slowfast)
    net = load_published(slowfast, MVIT, size="tiny")
    assert torch.equal(torch.get_rng_state(), before)
    with torch.no_grad():
        net.norm.weight.add_(1)
    assert list(slowfast) == keys
    assert not torch.equal(net.norm.weight, slowfast["norm.weight"])


def refusal(source, family=MVIT, **options):
    """The error message."""
    with pytest.raises(DataError) as caught:
        load_published(source, family, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "; " in sentence  # the problem; what to do, or the nearest keys
    return sentence


def test_another_familys_file_is_refused(slowfast, swinface):
    sentence = refusal(swinface)
    assert "not a checkpoint of slowfast/mvitv2-s" in sentence
    assert len(sentence.split("nearest of its keys are ")[1].split(", ")) == 3
    assert "not a checkpoint of swinface" in refusal(slowfast, "swinface", size="tiny")


def test_a_missing_weight_is_named_with_the_nearest_keys(slowfast):
    slowfast["blocks.1.norm1.wieght"] = slowfast.pop("blocks.1.norm1.weight")
    sentence = refusal(slowfast, size="tiny")
    assert "blocks.1.norm1.weight of the model's weights are missing" in sentence
    assert "blocks.1.norm1.wieght" in sentence.split("nearest")[1]


def test_an_extra_weight_is_named_with_the_nearest_places(slowfast):
    slowfast["blocks.1.norm3.weight"] = torch.zeros(64)
    slowfast["blocks.1.norm3.bias"] = torch.zeros(64)
    sentence = refusal(slowfast, size="tiny")
    assert "blocks.1.norm3.weight and 1 more have no place" in sentence
    assert "blocks.1.norm1.weight" in sentence.split("nearest")[1]


def test_another_size_is_refused_with_both_shapes(slowfast):
    slowfast["norm.weight"] = torch.zeros(95)
    assert "norm.weight is (95,) where the model has (96,)" in refusal(slowfast, size="tiny")


def test_a_reshaped_weight_is_refused(slowfast):
    slowfast["head.projection.weight"] = slowfast["head.projection.weight"].reshape(5, 2, 48)
    assert "(5, 2, 48)" in refusal(slowfast, size="tiny")


def test_a_file_without_weights_is_refused():
    assert "holds no weights" in refusal({"state_dict": {"meta": 3}})


def test_an_unknown_family_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"slowfast/mvitv2-s, swinface.*got 'mvit'"):
        load_published({}, "mvit")


def test_a_file_with_numpy_numbers_loads(mvit, slowfast, tmp_path):
    path = tmp_path / "checkpoint.pyth"
    numbers = [np.float64(0.5), np.float32(0.5), np.int64(3), np.int32(3), np.bool_(True)]
    torch.save({"model_state": slowfast, "optimizer_state": {"best": numbers}}, path)
    assert same(load_published(path, MVIT, size="tiny"), mvit.net)
    # NumPy 1 wrote another name of the same function; the old format of torch is one long pickle.
    content = {"model_state": slowfast, "optimizer_state": numbers}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert same(load_published(str(path), MVIT, size="tiny"), mvit.net)


@pytest.mark.parametrize("wrapper", ["model", "model_state_dict", "net"])
def test_weights_beside_arguments_paths_and_arrays_load(mvit, slowfast, tmp_path, wrapper):
    values = argparse.Namespace(lr=0.1, out=Path("/runs"), mean=np.arange(3.0))
    beside = {"args": values, "other": SimpleNamespace(a=1)}
    torch.save({wrapper: slowfast, **beside}, tmp_path / "run.pth")
    assert same(load_published(tmp_path / "run.pth", MVIT, size="tiny"), mvit.net)


def test_a_safetensors_file_loads(mvit, tmp_path):
    save_file(mvit.state_dict(), tmp_path / "mine.safetensors")
    assert same(load_published(tmp_path / "mine.safetensors", MVIT, size="tiny"), mvit.net)


class Trap:
    """A pickle of this runs a command where it is opened without care."""

    def __init__(self, victim):
        self.victim = str(victim)

    def __reduce__(self):
        return os.mkdir, (self.victim,)


def test_a_file_that_would_run_code_is_refused_and_nothing_runs(tmp_path):
    path, victim = tmp_path / "trap.pt", tmp_path / "victim"
    torch.save({"state_dict": {}, "hook": Trap(victim)}, path)
    sentence = refusal(path)
    assert sentence.startswith(
        f"{path}: expected weights alone, got code that would run (posix.mkdir)"
    )
    assert not victim.exists()
    torch.save({"state_dict": {}, "args": argparse.Namespace(hook=Trap(victim))}, path)
    assert "posix.mkdir" in refusal(path) and not victim.exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no checkpoint of torch"),
        (b"<html>Sign in to download</html>", "no checkpoint of torch"),
        (b"PK\x03\x04 but no more", "no checkpoint of torch"),
        (b"half", "no checkpoint of torch"),
        (b"list", "holds a list"),
        (None, "no such file"),
    ],
    ids=["empty", "web page", "no archive", "truncated", "list", "absent"],
)
def test_other_files_are_refused(content, complaint, slowfast, tmp_path):
    path = tmp_path / "checkpoint.pt"
    if content == b"half":
        torch.save(slowfast, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif content == b"list":
        torch.save([1, 2], path)
    elif content is not None:
        path.write_bytes(content)
    sentence = refusal(path)
    assert sentence.startswith(f"{path}: ")
    assert complaint in sentence


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    torch.save({"w": torch.zeros(100_000)}, tmp_path / "plain.pth")
    with (
        ZipFile(tmp_path / "plain.pth") as plain,
        ZipFile(tmp_path / "bomb.pth", "w", ZIP_DEFLATED) as bomb,
    ):
        for part in plain.infolist():
            bomb.writestr(part.filename, plain.read(part))
    assert (tmp_path / "bomb.pth").stat().st_size < 4_000
    assert "expected stored weights, got compressed ones" in refusal(tmp_path / "bomb.pth")


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}")
    assert "damaged" in refusal(tmp_path / "mine.safetensors")


HEAD = "head.projection.weight"


@pytest.mark.parametrize(
    ("tensor", "shape"),
    [
        (lambda: torch.zeros(1, 1).expand(10**13, 96), "(10000000000000, 96)"),
        (lambda: torch.zeros(10**15, 0), "(1000000000000000, 0)"),
        (lambda: torch.empty(10**12, 96, device="meta"), "(1000000000000, 96)"),
        (lambda: torch.eye(96).to_sparse().sparse_resize_((10**9, 96), 2, 0), "(1000000000, 96)"),
    ],
    ids=["expanded", "empty", "meta", "sparse"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_tensor_that_claims_more_numbers_than_are_stored_is_refused(
    tensor, shape, slowfast, tmp_path
):
    torch.save({**slowfast, HEAD: tensor()}, tmp_path / "bomb.pth")
    assert (tmp_path / "bomb.pth").stat().st_size < 10**6
    sentence = refusal(tmp_path / "bomb.pth")
    assert f"tensors that are stored whole, got {HEAD} of {shape} in" in sentence


def test_many_views_of_one_storage_are_refused_and_a_tied_weight_is_not(slowfast, mvit, tmp_path):
    slowfast["norm.bias"] = slowfast["norm.weight"]
    torch.save(slowfast, tmp_path / "tied.pth")
    load_published(tmp_path / "tied.pth", MVIT, size="tiny")
    shared = torch.zeros(10**6)
    torch.save({f"w{n}": shared for n in range(4)}, tmp_path / "many.pth")
    assert "got w0 of (1000000,) in 4,000,000 bytes" in refusal(tmp_path / "many.pth")


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (lambda: torch.zeros(10**6, 1), "is (1000000, 1) where the model has (1000000, 96)"),
        (lambda: torch.zeros(()), f"{MVIT} (len() of a 0-d tensor); name its family"),
    ],
    ids=["too wide a model", "a number"],
)
def test_sizes_of_which_no_model_can_be_built_end_in_a_sentence(
    tensor, complaint, slowfast, tmp_path
):
    torch.save({**slowfast, HEAD: tensor()}, tmp_path / "odd.pth")
    with pytest.raises(DataError) as refused:
        load_published(tmp_path / "odd.pth", MVIT, size="tiny")
    assert complaint in str(refused.value)


def test_a_clip_too_small_for_the_model_ends_in_a_sentence(slowfast):
    with pytest.raises(DataError, match=r"not a checkpoint of slowfast/mvitv2-s \(.*\); name its"):
        load_published(slowfast, MVIT, size="tiny", clip=(1, 1, 1))
