"""Video Swin: outputs of the published code, torchvision's sizes, windows read from weights."""

import re

import pytest
import torch
from torch.testing import assert_close
from torchvision.models import SwinTransformer, video

from imigue_lab.errors import DataError
from imigue_lab.models.checkpoints.pictures import read_window
from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.models.pictures.video_swin import build_video_swin
from tests.models.recordings import made_weights, read_recording

PARAMETERS = {"tiny": 27_875_078, "small": 49_533_686, "base": 87_671_784}


@pytest.mark.shared
@torch.no_grad()
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_outputs_and_inner_features_equal_the_published_ones(size, shared):
    facts, arrays = read_recording(shared / "fixtures/video", f"vswin_{size}")
    state = made_weights(facts["state_dict"])
    for key, first in facts["weight_check"].items():
        assert_close(state[key].flatten()[:4], torch.tensor(first))
    model, near = load_published({"state_dict": state}, "video-swin"), facts["tolerance"]
    assert sum(p.numel() for p in model.parameters()) == facts["params"] == PARAMETERS[size]
    seen = {}
    for name in ("features.1", "features.5", "norm", "avgpool"):
        part = model.get_submodule(name)
        part.register_forward_hook(lambda p, a, out, name=name: seen.__setitem__(name, out))
    assert_close(model(arrays["input"]), arrays["logits"], **near)
    assert_close(seen["avgpool"].flatten(1), arrays["pooled"], **near)
    maps = {name: x.movedim(-1, 1) for name, x in seen.items()}
    assert_close(maps["norm"], arrays["feature_map"], **near)
    assert_close(maps["features.1"][:, :16, :4, :4, :4], arrays["layer0_slice"], **near)
    assert_close(maps["features.5"][:, :64, :4], arrays["layer2_slice"], **near)


@pytest.mark.parametrize(("size", "theirs"), [("tiny", "t"), ("small", "s"), ("base", "b")])
def test_sizes_equal_torchvisions(size, theirs):
    with torch.device("meta"):
        ours = build_video_swin(size, drop_path=0.1)
        reference = getattr(video, f"swin3d_{theirs}")(num_classes=32)
    assert isinstance(ours, type(reference))
    assert str(ours).partition("\n")[2] == str(reference).partition("\n")[2]  # below the class
    assert sum(p.numel() for p in ours.parameters()) == PARAMETERS[size]


def by_its_authors(key):
    """The name of a weight of torchvision's Swin of pictures in the file of its authors."""
    key = key.replace("features.0.0", "patch_embed.proj").replace(
        "features.0.2", "patch_embed.norm"
    )
    key = key.replace("mlp.0", "mlp.fc1").replace("mlp.3", "mlp.fc2")
    stage = re.match(r"features\.(\d+)\.(?=\d)", key)
    if stage:
        return key.replace(stage[0], f"layers.{int(stage[1]) // 2}.blocks.", 1)
    return re.sub(r"features\.(\d+)\.", lambda m: f"layers.{int(m[1]) // 2 - 1}.downsample.", key)


@torch.no_grad()
@pytest.mark.parametrize("names", ["torchvision", "authors"])
def test_an_inflated_swin_sees_a_still_clip_as_the_swin_of_pictures_sees_its_frame(names):
    torch.manual_seed(0)
    reference = SwinTransformer([4, 4], 8, [2, 1], [1, 2], [7, 7], num_classes=5).eval()
    for name, weight in reference.named_parameters():
        if name.endswith("bias_table"):
            weight.copy_(torch.randn_like(weight))
    state = reference.state_dict()
    if names == "authors":
        state = {by_its_authors(key): weight for key, weight in state.items()}
    model = load_published({"model": state}, "video-swin")
    frame = torch.randn(2, 3, 64, 64)  # 16 x 16 patches in windows of 7 x 7, shifted
    still = frame[:, :, None].expand(-1, -1, 16, -1, -1)
    assert_close(model(still), reference(frame), atol=1e-5, rtol=1e-4)
    moving = torch.cat([still[:, :, :8], still[:, :, :8].flip(-1)], dim=2)
    assert not torch.allclose(model(moving), reference(frame), atol=1e-2)


def test_windows_are_read_from_the_relative_positions():
    assert read_window(15 * 13 * 13, {}) == (8, 7, 7)
    assert read_window(31 * 13 * 13, {}) == (16, 7, 7)
    assert read_window(3 * 7 * 7, {}) == (2, 4, 4)
    indexed = {"layers.0.blocks.0.attn.relative_position_index": torch.zeros(125, 125)}
    assert read_window(9**3, indexed) == (5, 5, 5)
    with pytest.raises(DataError, match=r"729 relative .* \(5, 5, 5\).*, window=\(frames"):
        read_window(9**3, {})
    with pytest.raises(DataError, match="no window as wide as high"):
        read_window(8, {})


@torch.no_grad()
@pytest.mark.parametrize("shape", [(5, 20, 36), (2, 16, 16)])
def test_clips_of_any_length_and_size_work(shape):
    model = build_video_swin(classes=3, stages=(8, (1, 1), (1, 2)), window=(2, 2, 2)).eval()
    assert model(torch.randn(2, 3, *shape)).shape == (2, 3)
