"""Taylor pictures: values of the published code, still and short clips."""

import numpy as np
import pytest

from imigue_lab.training.baselines.frames import taylor_pictures, taylor_series
from tests.models.recordings import read_recording


@pytest.mark.shared
def test_pictures_equal_the_published_ones(shared):
    facts, arrays = read_recording(shared / "fixtures/pretraining", "taylor_video")
    series = taylor_series(arrays["gray"].numpy())
    np.testing.assert_allclose(
        series, arrays["mmgesture_raw_f32"].numpy(), **facts["tolerance"]["raw"]
    )
    ours = taylor_pictures(arrays["frames_bgr"].numpy()[..., ::-1].copy()).astype(int)
    apart = abs(ours - arrays["mmgesture_f32"].numpy())
    assert apart.max() <= 1 and (apart > 0).mean() <= 0.005


def test_a_pixel_that_brightens_evenly_has_displacement_alone():
    frames = np.zeros((8, 2, 2, 3), np.uint8)
    frames[:, 0, 0] = 20 * np.arange(8)[:, None]
    pictures = taylor_pictures(frames)
    assert pictures.shape == (3, 2, 2, 3)
    assert pictures[:, 0, 0].tolist() == [[255, 0, 0]] * 3
    assert not pictures[:, 1].any()


def test_a_short_clip_repeats_its_last_frame():
    frames = np.full((2, 4, 4, 3), 9, np.uint8)
    frames[1] = 200
    longer = np.concatenate([frames, frames[[1, 1, 1, 1]]])
    assert np.array_equal(taylor_pictures(frames), taylor_pictures(longer))
    assert not taylor_pictures(frames[:1]).any()
