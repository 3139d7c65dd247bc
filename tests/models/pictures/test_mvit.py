"""The context encoder: torchvision's MViTv2-S, its tokens in their places, clips of other sizes."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.models.video import mvit_v2_s

from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.models.pictures.mvit import MViT, build_mvit, build_mvitv2
from tests.models.recordings import made_weights, read_recording


def on_no_device(build, **arguments):
    """Builds names, shapes and structure only."""
    with torch.device("meta"):
        return build(**arguments)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_mvit("tiny", classes=5).eval()


@pytest.fixture(scope="module")
def recorded(shared):
    """The published model, its recorded facts and arrays."""
    facts, arrays = read_recording(shared / "fixtures/video", "mvitv2_s")
    state = made_weights(facts["state_dict"])
    for key, first in facts["weight_check"].items():
        assert_close(state[key].flatten()[:4], torch.tensor(first))
    net = load_published({"model_state": state}, "slowfast/mvitv2-s")
    return net, facts, arrays


@pytest.mark.shared
def test_outputs_equal_the_published_ones(recorded):
    net, facts, arrays = recorded
    model = MViT(net)
    assert model.clip == (8, 64, 64)  # read from the tables of relative positions
    assert sum(p.numel() for p in model.parameters()) == facts["params"]
    with torch.inference_mode():
        pooled, tokens = model(arrays["input"])
        logits = net(arrays["input"])
    assert_close(logits, arrays["logits"], **facts["tolerance"])
    assert_close(pooled, arrays["tokens"][:, 0], **facts["tolerance"])
    assert tokens.shape == (1, 4, 2, 2, 768)
    for place, (t, h, w) in enumerate((t, h, w) for t in range(4) for h in (0, 1) for w in (0, 1)):
        assert_close(tokens[:, t, h, w], arrays["tokens"][:, 1 + place], **facts["tolerance"])


@pytest.mark.shared
@pytest.mark.parametrize(("block", "every"), [(0, 16), (1, 8), (13, 1)])
def test_inner_tokens_equal_the_published_ones(recorded, block, every):
    net, facts, arrays = recorded
    seen = []
    hook = net.blocks[block].register_forward_hook(lambda *call: seen.append(call[2][0]))
    with torch.inference_mode():
        net(arrays["input"])
    hook.remove()
    expected = arrays[f"block{block}_slice"]
    assert_close(seen[0][:, ::every][:, : expected.shape[1]], expected, **facts["tolerance"])


def test_small_equals_torchvisions_model():
    ours, theirs = on_no_device(build_mvit).net, on_no_device(mvit_v2_s)
    assert isinstance(ours, type(theirs))
    assert str(ours).partition("\n")[2] == str(theirs).partition("\n")[2]  # below the class
    shapes = [{name: t.shape for name, t in net.state_dict().items()} for net in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in ours.parameters()) == 34_537_744
    heads = [[block.attn.num_heads for block in net.blocks] for net in (ours, theirs)]
    assert heads[0] == heads[1]


def test_the_full_size_has_768_features_and_a_map_of_8_7_7():
    with torch.device("meta"):
        pooled, tokens = build_mvit()(torch.zeros(2, 3, 16, 224, 224))
    assert pooled.shape == (2, 768)
    assert tokens.shape == (2, 8, 7, 7, 768)


def test_tiny_has_96_features_and_the_same_grid_in_time(tiny):
    pooled, tokens = tiny(torch.zeros(2, 3, 16, 64, 64))
    assert (pooled.shape, tokens.shape) == ((2, 96), (2, 8, 4, 4, 96))
    assert tiny.dim == 96


def test_logits_are_the_head_on_the_pooled_token(tiny):
    frames = torch.randn(2, 3, 16, 64, 64)
    assert_close(tiny.net(frames), tiny.net.head(tiny(frames).pooled.clone()))


def test_tokens_are_ordered_by_time_row_and_column(tiny):
    """A disturbance late, at the top, on the right shows most in the tokens near there."""
    frames = torch.zeros(1, 3, 16, 64, 64)
    disturbed = frames.clone()
    disturbed[:, :, 14:, :16, 48:] = 3
    with torch.no_grad():
        moved = (tiny(disturbed).tokens - tiny(frames).tokens).norm(dim=-1)[0]
    time, row, column = (int(i) for i in torch.unravel_index(moved.argmax(), (8, 4, 4)))
    assert time >= 6 and row <= 1 and column >= 2


def test_a_clip_can_be_non_square():
    model = build_mvit("tiny", clip=(8, 32, 96)).eval()
    assert model.clip == (8, 32, 96)
    assert model(torch.zeros(1, 3, 8, 32, 96)).tokens.shape == (1, 4, 2, 6, 96)


def test_frames_of_another_size_are_refused_with_both_sizes(tiny):
    with pytest.raises(ValueError, match="clips of 16 x 64 x 64, got 16 x 64 x 48; resize"):
        tiny(torch.zeros(1, 3, 16, 64, 48))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [({"size": "huge"}, "size"), ({"clip": (15, 64, 64)}, "multiples of 2 frames and 4 pixels")],
)
def test_impossible_models_are_refused(arguments, complaint):
    with pytest.raises(Exception, match=complaint):
        build_mvit(**arguments)


def test_the_classifier_equals_torchvisions():
    with torch.device("meta"):
        ours, theirs = build_mvitv2(), mvit_v2_s(num_classes=32)
    assert isinstance(ours, type(theirs))
    assert str(ours).partition("\n")[2] == str(theirs).partition("\n")[2]  # below the class
    assert sum(p.numel() for p in ours.parameters()) == 34_254_752
