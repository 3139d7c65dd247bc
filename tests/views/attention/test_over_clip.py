"""Rollout over a clip: the encoder's input frames, the model's values, or a note."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from imigue_lab.data.videos.video import Video
from imigue_lab.models.pictures.mvit import rollout
from imigue_lab.models.weights import load_mvit
from imigue_lab.views.attention.maps import SEEN, read_rollout
from imigue_lab.views.attention.over_clip import rollout_over_clip
from imigue_lab.views.footage import clip_pictures
from tests.views.texts import text_of


def test_the_encoder_sees_the_centres_of_sixteen_segments(filmed):
    clip = filmed.clips.set_index("clip_id").loc["0001_2"]
    frames = clip_pictures(filmed, "0001_2", SEEN, short_side=0).pictures
    length = clip.end - clip.start + 1
    with Video(filmed.videos.video[0]) as video:
        for place in (0, 7, 15):
            number = int(clip.start + (place + 0.5) * length / 16)
            assert_allclose(frames[place], video.frame(number))


def test_the_figure_draws_the_models_rollout_and_names_its_weights(filmed, looked):
    found = read_rollout(filmed, "0001_2")
    model, _ = load_mvit("", "tiny")
    pictures = torch.nn.functional.interpolate  # the crop by hand: 144 rows to 73, the middle 64
    filmed_frames = clip_pictures(filmed, "0001_2", SEEN, short_side=0).pictures
    frames = torch.from_numpy(np.stack(filmed_frames)).permute(3, 0, 1, 2).float()
    small = pictures(frames, size=(73, 97), mode="bilinear", align_corners=False)
    crop = small[:, :, 4:68, 16:80].round()
    own = rollout(model, ((crop / 255 - 0.45) / 0.225)[None])
    assert_allclose(found.places, own.numpy() * own.numel(), atol=0.05)
    assert found.own == pytest.approx(1 - float(own.sum()), abs=1e-3)
    shown = clip_pictures(filmed, "0001_2", found.places.shape[0])
    figure = rollout_over_clip(looked.run, "0001_2", found, shown)
    heats = [np.array(trace.z) for trace in figure.data]
    assert_allclose(heats, found.places, atol=6e-3)
    assert len(figure.layout.images) == 8
    assert "untrained weights, not by the encoder" in text_of(figure)


def test_a_figure_without_pictures_says_why(looked):
    found = read_rollout(looked.index, "0001_0")
    figure = rollout_over_clip(
        looked.run, "0001_0", found, clip_pictures(looked.index, "0001_0", 8)
    )
    assert "is not under this root" in figure.layout.annotations[0].text
