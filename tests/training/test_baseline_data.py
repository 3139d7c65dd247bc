"""Frames sampled from whole clips: anew in each training epoch, the same in every evaluation."""

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.data.clips import ClipDataset
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import SettingsError
from imigue_lab.models.baselines import TABLE
from imigue_lab.training.baselines.clips import How, Sampled, SkeletonClips, draws_in_order
from imigue_lab.training.baselines.data import load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.gesture_clips import WHOLE

IMIGUE = LAYOUTS["imigue22"]


class AsTheyAre(SkeletonClips):
    """Clips that are neither normalised nor turned into streams."""

    def whole(self, number, ordinal):
        return self.clips[number]


@pytest.fixture
def counted():
    """A long and a short clip whose joints all lie at the number of their frame."""
    lengths = {"long": 600, "short": 5}
    arrays = {}
    for name, length in lengths.items():
        points = np.ones((length, 22, 3), np.float32)
        points[..., 0] = points[..., 1] = 1 + np.arange(length)[:, None]
        arrays[name] = points
    table = pd.DataFrame(
        [(n, n, 0, m - 1, 0) for n, m in lengths.items()],
        columns=["clip_id", "video_id", "start", "end", "label"],
    )
    whole = ClipDataset(table, arrays.__getitem__, frames=0, longest=WHOLE)

    def drawn(draws, frames=10):
        return AsTheyAre(whole, IMIGUE, ["joint"], How("none", 3, Sampled(frames, draws)))

    return drawn


def frames_of(clip):
    return (clip.skeleton[0, :, 0, 0] - 1).int().tolist()


def test_one_frame_of_each_part_of_a_long_clip_is_drawn(counted):
    numbers = frames_of(counted(draws=0).draws(0)[0])
    assert [number // 60 for number in numbers] == list(range(10))


def test_a_short_clip_runs_on_from_its_start(counted):
    first, second = counted(draws=2).draws(1)
    assert frames_of(first) == [0, 1, 2, 3, 4] * 2
    assert frames_of(second) == [2, 3, 4, 0, 1] * 2


def test_training_draws_anew_in_each_epoch_and_tests_draw_the_same(counted):
    training, test = counted(draws=0), counted(draws=4)
    first = frames_of(training.draws(0)[0])
    assert frames_of(training.draws(0)[0]) == first
    training.epoch = 1
    assert frames_of(training.draws(0)[0]) != first
    draws = [frames_of(clip) for clip in test.draws(0)]
    test.epoch = 1
    assert [frames_of(clip) for clip in test.draws(0)] == draws
    assert len({tuple(draw) for draw in draws}) == 4


def test_training_draws_other_frames_each_time_within_an_epoch(counted):
    training, test = counted(draws=0), counted(draws=4)
    assert len({tuple(frames_of(training.draws(0, n)[0])) for n in range(13)}) == 13
    assert [frames_of(c) for c in test.draws(0, 5)] == [frames_of(c) for c in test.draws(0)]


@pytest.mark.parametrize("sampled", [None, Sampled(10, 0)], ids=["resample", "uniform"])
def test_a_temporal_crop_keeps_another_contiguous_part_at_each_draw(counted, sampled):
    whole = counted(draws=0).clips

    cropped = SkeletonClips(whole, IMIGUE, ["joint"], How("none", 3, sampled, crop=0.5))
    parts = [frames_of(cropped.cut(0, ordinal)) for ordinal in range(40)]
    assert all(part == list(range(part[0], part[-1] + 1)) for part in parts)
    sizes = [len(part) for part in parts]
    assert 300 <= min(sizes) < 330 and 570 < max(sizes) <= 600
    assert min(part[0] for part in parts) < 30 and max(part[-1] for part in parts) > 570
    assert frames_of(cropped.cut(0, 0)) == parts[0]
    cropped.epoch = 1
    assert frames_of(cropped.cut(0, 0)) != parts[0]
    assert len(cropped.draws(1)[0].present[0]) == (10 if sampled else len(cropped.cut(1, 0)[1][0]))


@pytest.mark.parametrize("model", ["ctr-gcn", "poseconv3d"])
def test_a_clip_is_rotated_and_cut_in_training_alone(synthetic, model):
    def seen(training, **given):
        settings = BaselineSettings.from_arguments({"data": str(synthetic), "model": model} | given)
        return data.clips("train", settings, training).draws(0)[0].skeleton

    data = load_baseline_data(BaselineSettings(data=str(synthetic), model=model))
    parts = [{"temporal_crop": 0.5}, *([{"rotation": 0.6}] if model == "ctr-gcn" else [])]
    for part in parts:
        assert torch.equal(seen(False, **part), seen(False))
        assert not torch.equal(seen(True, **part), seen(True))


def test_missing_joints_stay_missing_in_a_draw(counted):
    clips = counted(draws=2)
    points = clips.clips.keypoints("long")
    points[300:, 4] = 0
    for clip in clips.draws(0):
        assert clip.present[0, :, 4].tolist() == [True] * 5 + [False] * 5
        assert clip.present[0, :, 5].all()


def test_draws_are_of_the_streams_as_settings_say(synthetic):
    given = {"data": str(synthetic), "sampling": "uniform", "frames": 20, "augment": "turn"}
    settings = BaselineSettings.from_arguments({**given, "stream": "bone"})
    data = load_baseline_data(settings)
    training, test = (data.clips("test", settings, training=t) for t in (True, False))
    assert test.lengths == [20] * len(test)
    drawn = test.draws(0)[0].skeleton
    whole = data.gestures.clips("test", 0, ["bone"])[0].skeleton
    for frame in drawn.unbind(dim=1):
        assert (whole == frame[:, None]).all(dim=(0, 2, 3)).any()
    assert torch.equal(drawn, test.draws(0)[0].skeleton)
    assert not torch.allclose(training.draws(0)[0].skeleton, drawn, atol=1e-3)


def test_every_draw_of_every_clip_occurs_once(counted):
    batches = list(draws_in_order(counted(draws=3), batch_size=1))
    assert [[draw.clip_ids for draw in draws] for draws in batches] == [
        [["long"]] * 3,
        [["short"]] * 3,
    ]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_recipe_is_valid_settings(row):
    settings = BaselineSettings.from_arguments({"model": row.name, "preset": "paper"})
    for name, value in row.recipe._asdict().items():
        assert getattr(settings, name) == value, name
    assert settings.size == "paper"
    stops_early = row.recipe.scheduler == "plateau"
    assert (settings.patience < settings.epochs) == stops_early
    mine = BaselineSettings.from_arguments({"model": row.name, "preset": "paper", "lr": 0.5})
    assert mine.lr == 0.5 and mine.epochs == row.recipe.epochs


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"sampling": "uniform", "frames": 0}, "frames: uniform sampling needs a number"),
        ({"test_clips": 10}, "test_clips: 10 evenly resampled clips would be identical"),
        ({"model": "i3d", "preset": "paper"}, "model: input should be 'tsm'"),
        ({"model": "poseconv3d", "rotation": 0.3}, "rotation: poseconv3d reads heatmaps; leave"),
        ({"model": "tsm", "temporal_crop": 0.5}, "temporal_crop: tsm reads RGB; leave it at 1"),
        ({"model": "tsm", "test_crops": "2"}, "test_crops: expected 1 or 3, got 2"),
        ({"model": "tsm", "stream": "bone"}, "stream: tsm reads RGB; choose joint"),
        (
            {"model": "poseconv3d", "stream": "bone_motion"},
            "stream: poseconv3d reads heatmaps; choose joint or bone",
        ),
        ({"model": "dscnet", "sampling": "uniform"}, "sampling: dscnet sees the centres"),
        ({"model": "dscnet", "frames": 0}, "frames: dscnet needs clips of one length"),
        ({"scheduler": "steps"}, "scheduler: string should match pattern"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given, complaint):
    with pytest.raises(SettingsError) as caught:
        BaselineSettings.from_arguments(given)
    assert str(caught.value).startswith(complaint)
