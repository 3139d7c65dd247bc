"""Reconstructions: what a figure shows is what the model predicts."""

import numpy as np
import pytest
import torch

from imigue_lab.models.mamp import motion_of
from imigue_lab.training.pretraining.data import load_pretraining_data
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.pretraining.train import load_pretraining, pretrain
from imigue_lab.views.reconstruction import rebuild_motion, rebuild_video, reconstruction


@pytest.fixture(scope="module", params=["motion", "video"])
def made(request, filmed):
    frames = {"motion": 8, "video": 4}[request.param]
    given = {"data": str(filmed.root), "kind": request.param, "frames": frames, "epochs": 1}
    settings = PretrainSettings.from_arguments(given | {"windows": 8.0, "probe": False})
    data = load_pretraining_data(settings)
    return settings, data, pretrain(settings, data)


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
        assert (shown.rebuilt[shown.masked] != shown.original[shown.masked]).mean() > 0.5
        assert shown.masked.mean() == pytest.approx(57 / 64)


def test_a_figure_plays_three_panels_and_marks_what_was_masked(made):
    settings, data, run = made
    figure = reconstruction(run, data, settings)
    assert len(figure.frames) == settings.frames
    titles = [own.text for own in figure.layout.annotations]
    assert titles == ["input", "original", "reconstruction"]
    if settings.kind == "motion":
        _, last = figure.frames[0].data[-2:]
        assert {"circle", "circle-open"} == set(last.marker.symbol)
