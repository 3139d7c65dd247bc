"""Each encoder sees what its weights were trained on, and says what made its numbers."""

import numpy as np
import pytest
import torch
from torchvision.models.video import MViT_V2_S_Weights

from imigue_lab.features.encoders import FaceEncoder, FrameEncoder, VideoEncoder, fastest_precision
from imigue_lab.models.weights import load_lite0, load_mvit, load_swinface

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny_video():
    return VideoEncoder(*load_mvit("", "tiny"), CPU, "float32")


def test_faces_are_filled_with_grey_in_a_copy_of_the_frames_and_nothing_else_is(
    interview, centerface
):
    frame, nose = interview
    lite0, frames = load_lite0(), np.stack([frame] * 16)
    seen, blank = (
        FrameEncoder(*lite0, CPU, 2, detector).prepare(frames) for detector in (None, centerface)
    )
    assert (frames == frame).all()
    left = (frame.shape[1] * 256 / 288 - 224) / 2
    x, y = round(nose[0] * 256 / 288 - left), round(nose[1] * 256 / 288 - 16)
    assert (blank[:, :, y - 20 : y + 20, x - 15 : x + 15] == 127).all()
    assert (seen[:, :, 150:] == blank[:, :, 150:]).all()  # the body


@pytest.fixture(scope="module")
def tiny_face():
    return FaceEncoder(*load_swinface("", "tiny"), CPU, "float32")


@pytest.mark.parametrize("height_width", [(144, 192), (360, 640), (256, 256), (720, 540)])
def test_frames_are_prepared_as_torchvision_prepares_them_for_kinetics(height_width):
    frames = np.random.default_rng(0).integers(0, 256, (16, *height_width, 3), np.uint8)
    encoder = VideoEncoder.__new__(VideoEncoder)
    encoder.side = 224
    wanted = MViT_V2_S_Weights.KINETICS400_V1.transforms()(
        torch.from_numpy(frames).permute(0, 3, 1, 2)
    )
    seen = (encoder.prepare(frames).float() / 255 - 0.45) / 0.225
    grey_levels = (seen - wanted) * 0.225 * 255
    assert grey_levels.abs().max() < 1.01  # torchvision's preset rounds in float
    assert grey_levels.abs().mean() < 0.3


def test_faces_are_normalised_from_minus_one_to_one(tiny_face, monkeypatch):
    seen = []
    monkeypatch.setattr(
        tiny_face.model, "forward", lambda faces: seen.append(faces) or faces.mean(dim=(2, 3))
    )
    side = tiny_face.side
    face = np.zeros((side, side, 3), np.uint8)
    face[..., 0] = 255
    result = tiny_face.embed(torch.from_numpy(face.transpose(2, 0, 1)[None].copy()))
    assert result.tolist() == [[1.0, -1.0, -1.0]]
    assert seen[0].shape == (1, 3, side, side)


def test_pooled_and_places_come_from_one_model_in_float32(tiny_video):
    clip = tiny_video.prepare(
        np.random.default_rng(0).integers(0, 256, (16, 144, 192, 3), np.uint8)
    )
    pooled, places = tiny_video.pooled(clip[None]), tiny_video.places(clip[None])
    assert pooled.shape == (1, tiny_video.model.dim)
    assert places.shape == (1, *tiny_video.model.grid, tiny_video.model.dim)
    assert pooled.dtype == places.dtype == torch.float32
    assert not pooled.requires_grad


def test_bf16_stays_close_to_float32_and_has_another_fingerprint(tiny_video):
    rounded = VideoEncoder(*load_mvit("", "tiny"), CPU, "bf16")
    frames = np.random.default_rng(0).integers(0, 256, (16, 144, 192, 3), np.uint8)
    clip = tiny_video.prepare(frames)[None]
    exact, close = tiny_video.pooled(clip), rounded.pooled(clip)
    assert 0 < (exact - close).norm() / exact.norm() < 0.03
    assert rounded.recipe != tiny_video.recipe


def test_untrained_weights_are_noted(tiny_video, tiny_face):
    assert tiny_video.note == tiny_face.note == "untrained weights"


def test_the_fastest_precision_is_supported_by_the_processor():
    able = torch.cpu.get_capabilities()
    bf16 = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    assert fastest_precision(CPU) == ("bf16" if bf16 else "float32")
    assert fastest_precision(torch.device("mps")) == "float32"
