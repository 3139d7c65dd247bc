"""Reconstructions: what a figure shows is what the model predicts."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image

from imigue_lab.models.mamp import motion_of
from imigue_lab.models.pictures.videomae import patches_of
from imigue_lab.training.pretraining.data import load_pretraining_data
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.pretraining.train import load_pretraining, pretrain
from imigue_lab.views.reconstruction import rebuild_motion, rebuild_video, reconstruction
from tests.views.texts import labels_of


@pytest.fixture(scope="module", params=["motion", "video"])
def made(request, filmed):
    frames = {"motion": 8, "video": 4}[request.param]
    given = {"data": str(filmed.root), "kind": request.param, "frames": frames, "epochs": 1}
    settings = PretrainSettings.from_arguments(given | {"windows": 8.0, "probe": False})
    data = load_pretraining_data(settings)
    return settings, data, pretrain(settings, data)


def decoded(source):
    picture = Image.open(BytesIO(b64decode(source.partition(",")[2])))
    return np.asarray(picture).astype(int)


@torch.no_grad()
def test_masked_parts_are_as_predicted_and_others_as_they_were(made):
    settings, data, run = made
    windows, model = data.clips("validation", settings), load_pretraining(run)
    inputs = windows.enter(windows.collate(windows.draws(0)))
    found = model(*inputs)
    if settings.kind == "motion":
        shown = rebuild_motion(run, windows, 0)
        assert np.array_equal(shown.rebuilt[~shown.masked], shown.original[~shown.masked])
        assert np.allclose(shown.rebuilt[::4], shown.original[::4], atol=1e-6)
        motion = motion_of(inputs[0][..., :2], inputs[2])
        steps = (found.predicted * motion.deviation + motion.mean)[0].view(2, -1, 4, 2)
        moved = np.diff(shown.rebuilt, axis=0)[:3]
        masked = shown.masked[0]
        assert np.allclose(
            moved[:, masked], steps[0].numpy()[masked][:, :3].swapaxes(0, 1), atol=1e-5
        )
    else:
        shown = rebuild_video(run, windows, 0)
        assert np.array_equal(shown.rebuilt[~shown.masked], shown.original[~shown.masked])
        form = "1 n (f p q c) -> n f p q c"
        patches = patches_of(inputs[0], model.patch)
        painted = inputs[1] & ~inputs[2]
        mean, deviation = patches.mean[painted], patches.deviation[painted]
        size = {"f": 2, "p": model.patch, "q": model.patch}
        predicted = found.predicted[found.counted].view(1, -1, found.predicted.shape[-1])
        pixels = rearrange(predicted, form, **size) * deviation[:, None, None] + mean[:, None, None]
        for n, place in ((0, 0), (-1, -1)):
            t, h, w = np.unravel_index(painted[0].nonzero()[place].item(), model.encoder.grid)
            own = shown.rebuilt[2 * t : 2 * t + 2, 8 * h : 8 * h + 8, 8 * w : 8 * w + 8]
            expected = (pixels[n].clamp(0, 1) * 255).numpy()
            assert np.allclose(own, expected, atol=0.51)
        assert shown.masked.mean() == pytest.approx(57 / 64)


def test_a_figure_plays_three_panels_and_marks_what_was_masked(made):
    settings, data, run = made
    figure = reconstruction(run, data, settings)
    assert len(figure.frames) == settings.frames
    titles = labels_of(figure)
    assert titles == ["input", "original", "reconstruction"]
    if settings.kind == "motion":
        _, last = figure.frames[0].data[-2:]
        assert {"circle", "circle-open"} == set(last.marker.symbol)
        shown = rebuild_motion(run, data.clips("validation", settings), 0)
        for t, frame in enumerate(figure.frames):
            seen = np.where(shown.seen[t, :, None], shown.rebuilt[t, :, :2], np.nan)
            drawn = np.stack([frame.data[-1].x, frame.data[-1].y], axis=1).astype(float)
            assert np.allclose(drawn, seen, atol=6e-5, equal_nan=True)
            hidden = np.isnan(np.asarray(frame.data[len(frame.data) // 3 - 1].x, dtype=float))
            assert np.array_equal(hidden, shown.masked[t] | ~shown.seen[t])
    else:
        shown = rebuild_video(run, data.clips("validation", settings), 0)
        for t, frame in enumerate(figure.frames):
            sources = [decoded(trace.source) for trace in frame.data]
            plain = ~shown.masked[t]
            assert np.abs(sources[1] - shown.original[t]).mean() < 6  # JPEG
            assert np.abs(sources[2] - shown.rebuilt[t])[plain].mean() < 12
