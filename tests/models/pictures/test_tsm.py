"""TSM gives what its published code gave; each frame sees its neighbours in the clip, no others."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.models import resnet50

from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.models.pictures.tsm import TemporalShift, build_tsm
from tests.models.recordings import made_weights, read_recording

SMALL = {"classes": 5, "segments": 4, "depths": (1, 1, 1, 1), "inner": 8}


@pytest.fixture(scope="module")
def recorded(shared):
    facts, arrays = read_recording(shared / "fixtures/video", "tsm_resnet50")
    state = made_weights(facts["state_dict"])
    for key, first in facts["weight_check"].items():
        assert_close(state[key].flatten()[:4], torch.tensor(first))
    state = {f"module.{key}": weight for key, weight in state.items()}
    file = {"epoch": 49, "arch": "resnet50", "state_dict": state, "best_prec1": torch.tensor(74.1)}
    return load_published(file, "tsm-r50", segments=8), facts, arrays


@pytest.mark.shared
@torch.no_grad()
def test_outputs_and_inner_features_equal_the_published_ones(recorded):
    model, facts, arrays = recorded
    near = facts["tolerance"]
    assert sum(p.numel() for p in model.parameters()) == facts["params"]
    seen = {}
    for name in ("net.layer1", "net.layer4", "net", "head"):
        part = model.get_submodule(name)
        part.register_forward_hook(lambda p, a, out, name=name: seen.__setitem__(name, out))
    assert_close(model(arrays["input"]), arrays["logits"], **near)
    assert_close(seen["head"], arrays["frame_logits"], **near)
    assert_close(seen["net"], arrays["frame_features"], **near)
    assert_close(seen["net.layer1"][:8, :32, :4, :4], arrays["layer1_slice"], **near)
    assert_close(seen["net.layer4"][:8, :256], arrays["layer4"], **near)


@pytest.mark.shared
def test_the_shift_equals_the_published_one(recorded):
    _, _, arrays = recorded
    assert torch.equal(TemporalShift(segments=8)(arrays["shift_in"]), arrays["shift_out"])


def test_channels_come_from_the_next_and_the_previous_frame():
    frames = torch.arange(1.0, 7.0)[:, None, None, None].expand(6, 8, 1, 1)  # two clips of three
    first, second, *rest = TemporalShift(segments=3)(frames)[..., 0, 0].T.tolist()
    assert first == [2, 3, 0, 5, 6, 0]
    assert second == [0, 1, 2, 0, 4, 5]
    assert rest == [[1, 2, 3, 4, 5, 6]] * 6


def test_the_number_of_parameters_is_as_published():
    with torch.device("meta"):
        model = build_tsm()
    assert sum(p.numel() for p in model.parameters()) == 23_573_600


def test_every_second_block_shifts_in_deep_networks():
    with torch.device("meta"):
        deep = build_tsm(depths=(3, 4, 23, 3))
    shifts = [isinstance(block.conv1, torch.nn.Sequential) for block in deep.net.layer1]
    assert shifts == [True, False, True]


@torch.no_grad()
def test_the_order_of_frames_matters_and_any_picture_size_works():
    torch.manual_seed(0)
    model = build_tsm(**SMALL).eval()
    frames = torch.randn(2, 12, 32, 40)
    assert model(frames).shape == (2, 5)
    backwards = frames.view(2, 4, 3, 32, 40).flip(1).flatten(1, 2)
    assert not torch.allclose(model(frames), model(backwards), atol=1e-4)


def test_another_number_of_segments_is_refused():
    with pytest.raises(ValueError, match="takes 4 segments of 3 channels, got 24 channels"):
        build_tsm(**SMALL)(torch.zeros(1, 24, 32, 32))


@torch.no_grad()
def test_without_a_shift_a_resnet_of_torchvision_decides_by_its_mean():
    torch.manual_seed(0)
    reference = resnet50(num_classes=5).eval()
    model = load_published(reference.state_dict(), "tsm-r50", segments=2, share=4096)
    frames = torch.randn(2, 2, 3, 64, 64)
    expected = reference(frames.flatten(0, 1)).unflatten(0, (2, 2)).mean(dim=1)
    assert_close(model(frames.flatten(1, 2)), expected)
    shifted = load_published(reference.state_dict(), "tsm-r50", segments=2)
    assert not torch.allclose(shifted(frames.flatten(1, 2)), expected, atol=1e-3)
