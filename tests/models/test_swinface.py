"""The face encoder: published outputs and inner features, 42 named outputs, two sizes."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.models.swinface import BRANCHES, EXPRESSIONS, build_swinface
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
def test_embedding_and_outputs_equal_the_published_ones(recorded):
    model, facts, arrays = recorded
    with torch.inference_mode():
        assert_close(model(arrays["input"]), arrays["embedding"], **facts["tolerance"])
        outputs = model.analyse(arrays["input"])
    for name in ("age", "gender", "smiling", "expression"):
        assert_close(outputs[name.capitalize()], arrays[name], **facts["tolerance"])
    everything = torch.cat([outputs[name] for name, _ in facts["all_tasks_order"]], dim=1)
    assert_close(everything, arrays["all_tasks_concat"], **facts["tolerance"])


@pytest.mark.shared
def test_maps_and_branches_equal_the_published_ones(recorded):
    model, facts, arrays = recorded
    with torch.inference_mode():
        stages = model.backbone.stages(arrays["input"])
        maps = model.maps(arrays["input"])
        attended = torch.stack([branch.attend(maps) for branch in model.heads])
        refined = [branch.refine(a) for branch, a in zip(model.heads, attended, strict=True)]
    assert_close(stages[0].flatten(1, 2)[:1, ::49], arrays["layer0_slice"], **facts["tolerance"])
    assert_close(stages[2].flatten(1, 2)[:1, :8], arrays["layer2_slice"], **facts["tolerance"])
    assert_close(torch.cat(maps[:3], dim=1), arrays["local_features"], **facts["tolerance"])
    assert_close(maps[3], arrays["global_features"], **facts["tolerance"])
    assert_close(attended, arrays["fam_out"], **facts["tolerance"])
    assert_close(torch.stack(refined), arrays["tss_out"], **facts["tolerance"])


def test_the_full_model_has_the_published_number_of_parameters():
    """The published backbone counts 28,895,226 with a head that nothing uses; ours has none."""
    with torch.device("meta"):
        model = build_swinface()
        embedding = model(torch.zeros(2, 3, 112, 112))
    assert embedding.shape == (2, 512)
    unused = 768 * 512 + 512
    assert sum(p.numel() for p in model.backbone.parameters()) == 28_895_226 - unused
    assert sum(p.numel() for p in model.heads.parameters()) == 33_090_464 + 5_778_432 + 45_144


def test_forty_two_outputs_have_names_and_widths(tiny):
    outputs = tiny.analyse(torch.zeros(2, 3, 56, 56))
    assert list(outputs) == [name for names in BRANCHES for name in names]
    assert len(outputs) == 42
    widths = {name: tuple(logits.shape) for name, logits in outputs.items()}
    assert (widths.pop("Age"), widths.pop("Expression")) == ((2, 1), (2, len(EXPRESSIONS)))
    assert set(widths.values()) == {(2, 2)}


def test_a_backbone_without_heads_has_embeddings_only(tiny):
    alone = build_swinface("tiny", heads=False).eval()
    alone.backbone.load_state_dict(tiny.backbone.state_dict())
    faces = torch.randn(2, 3, 56, 56)
    assert_close(alone(faces), tiny(faces))
    with pytest.raises(ValueError, match="backbone alone; load the whole"):
        alone.analyse(faces)


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
    for run in (tiny, tiny.analyse):
        with pytest.raises(ValueError, match="56 x 56 pixels, got 112 x 112; align"):
            run(torch.zeros(1, 3, 112, 112))


def test_an_unknown_size_is_refused():
    with pytest.raises(Exception, match="size"):
        build_swinface("huge")
