"""The face encoder: published embeddings and inner features, two sizes."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.models.swinface import build_swinface
from tests.models.recordings import made_weights, read_recording


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_swinface("tiny").eval()


@pytest.fixture(scope="module")
def recorded(shared):
    """The published model, its recorded facts and arrays."""
    facts, arrays = read_recording(shared / "fixtures/video", "swinface")
    parts = {part: made_weights(rows) for part, rows in facts["state_dict"].items()}
    for key, first in facts["weight_check"].items():
        part, name = key.split("::")
        assert_close(parts[part][name].flatten()[:4], torch.tensor(first))
    return load_published({"epoch": 25, **parts}, "swinface"), facts, arrays


@pytest.mark.shared
@torch.inference_mode()
def test_embedding_equals_the_published_one(recorded):
    model, facts, arrays = recorded
    assert_close(model(arrays["input"]), arrays["embedding"], **facts["tolerance"])


@pytest.mark.shared
@torch.inference_mode()
def test_stages_equal_the_published_ones(recorded):
    model, facts, arrays = recorded
    stages = [model.backbone.patch_embed(arrays["input"])]
    for stage in model.backbone.layers:
        stages.append(stage(stages[-1]))
    assert_close(stages[1].flatten(1, 2)[:1, ::49], arrays["layer0_slice"], **facts["tolerance"])
    assert_close(stages[3].flatten(1, 2)[:1, :8], arrays["layer2_slice"], **facts["tolerance"])


def test_the_full_model_has_the_published_number_of_parameters():
    """The published backbone counts 28,895,226 with a head that nothing uses; ours has none."""
    with torch.device("meta"):
        model = build_swinface()
        embedding = model(torch.zeros(2, 3, 112, 112))
    assert embedding.shape == (2, 512)
    unused = 768 * 512 + 512
    assert sum(p.numel() for p in model.parameters()) == 28_895_226 - unused


def test_every_second_block_crosses_the_borders_of_windows(tiny):
    """A pixel of the upper left window reaches its neighbours only through the shifted block."""
    x = torch.zeros(1, 14, 14, 32)
    touched = x.clone()
    touched[0, 6, 6] = torch.randn(32)
    first, second = tiny.backbone.layers[0].blocks
    with torch.no_grad():
        inside = (first(touched) - first(x)).abs().sum(-1)[0] > 0
        across = (second(touched) - second(x)).abs().sum(-1)[0] > 0
    rows = torch.arange(14)
    assert torch.equal(inside, (rows[:, None] < 7) & (rows < 7))
    middle = (rows >= 3) & (rows < 10)
    assert torch.equal(across, middle[:, None] & middle)


def test_a_face_of_another_size_is_refused_with_both_sizes(tiny):
    with pytest.raises(ValueError, match="56 x 56 pixels, got 112 x 112; align"):
        tiny(torch.zeros(1, 3, 112, 112))


def test_an_unknown_size_is_refused():
    with pytest.raises(Exception, match="size"):
        build_swinface("huge")
