"""Every network that reads pictures or heatmaps trains an epoch on synthetic clips."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.baselines import ROWS, TABLE
from imigue_lab.results.fuse import fuse
from imigue_lab.training.baselines.data import load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import (
    cross_entropy,
    load_baseline,
    predict,
    start,
    train_baseline,
)
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device

OF_PICTURES = [row.name for row in TABLE if row.modality != "skeleton"]
PROBABILITIES = [f"p{c}" for c in range(32)]


@pytest.fixture(scope="module")
def settings(filmed):
    def build(model, **changes):
        given = {"data": str(filmed), "model": model, "epochs": 1, "batch_size": 8, "frames": 4}
        return BaselineSettings.from_arguments(given | changes)

    return build


@pytest.mark.parametrize("name", OF_PICTURES)
def test_a_network_of_pictures_trains_and_comes_back(name, settings):
    cutmix = ROWS[name].modality == "RGB"
    mixed = {"mixup": 0.8, "cutmix": float(cutmix), "smoothing": 0.1, "ema": 0.5}
    asked = settings(name, augment="mirror", name=f"pictures-{name}", **mixed)
    data = load_baseline_data(asked)
    run = train_baseline(asked, data)
    assert run.synthetic and np.isfinite(run.metrics().train_loss).all()
    kept = run.predictions().set_index("clip_id")
    assert set(kept.index) == set(data.split.clips.clip_id)
    clips = data.clips("test", asked)
    again = predict(open_device("cpu"), load_baseline(run), clips, data, batch_size=3)
    again = again.set_index("clip_id")[PROBABILITIES]
    np.testing.assert_allclose(again, kept.loc[again.index, PROBABILITIES], atol=1e-5)
    assert again.std().max() > 0


def test_a_run_on_pictures_that_was_broken_off_ends_with_the_same_numbers(settings, monkeypatch):
    given = {"epochs": 2, "augment": "mirror"}
    whole = train_baseline(settings("dscnet", name="whole-pictures", **given))
    write = Run.write_history

    def stop(run, history):
        if len(history) == 2:
            raise KeyboardInterrupt
        write(run, history)

    monkeypatch.setattr(Run, "write_history", stop)
    with pytest.raises(KeyboardInterrupt):
        train_baseline(settings("dscnet", name="broken-pictures", **given))
    monkeypatch.setattr(Run, "write_history", write)
    broken = train_baseline(settings("dscnet", name="broken-pictures", **given))
    pd.testing.assert_frame_equal(whole.metrics(), broken.metrics(), check_exact=True)
    pd.testing.assert_frame_equal(whole.predictions(), broken.predictions(), check_exact=True)


def test_limbs_are_drawn_uniformly_and_decide_together(settings):
    asked = settings("poseconv3d", stream="bone", sampling="uniform", test_clips=2)
    run = train_baseline(asked)
    assert run.read_checkpoint("best")["arguments"]["joints"] == 21  # bones of 22 joints
    data = load_baseline_data(asked)
    clips = data.clips("test", asked)
    draws = clips.collate(clips.draws(0))
    with torch.no_grad():
        alone = load_baseline(run)(*clips.enter(draws)).softmax(dim=1)
    kept = run.predictions().set_index("clip_id").loc[draws.clip_ids[0], PROBABILITIES]
    np.testing.assert_allclose(kept.astype(float), alone.mean(dim=0), atol=1e-5)


def test_streams_of_dscnet_learn_apart_and_see_the_same_clip(settings):
    asked = settings("dscnet")
    data = load_baseline_data(asked)
    clips = data.clips("train", asked, training=True)
    batch = clips.collate([clips.draws(number)[0] for number in (3, 1)])
    frames, joint, bone = clips.enter(batch)
    assert frames.shape == (2, 4 * 3 * 3, 64, 64) and joint.shape == bone.shape == (2, 1, 3, 4, 22)
    skeletons = data.gestures.clips("train", asked.frames, ["joint"])
    alone = {clip.clip_id: clip for clip in (skeletons[n] for n in range(len(skeletons)))}
    for row, clip_id in enumerate(batch.clip_ids):
        assert_close(joint[row].permute(0, 2, 3, 1), alone[clip_id].skeleton)
        assert batch.label[row] == alone[clip_id].label


def test_no_stream_of_dscnet_learns_from_another(settings):
    asked = settings("dscnet")
    data = load_baseline_data(asked)
    _, model, _ = start(asked, data)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    clips = data.clips("train", asked)
    batch = clips.collate([clips.draws(number)[0] for number in range(4)])
    frames, joint, bone = clips.enter(batch)

    def gradients(frames):
        model.zero_grad()
        cross_entropy(model, (frames, joint, bone), batch.label, smoothing=0.1).backward()
        return [p.grad.clone() for p in model.streams["joint"].parameters()]

    for first, second in zip(gradients(frames), gradients(-frames), strict=True):
        assert_close(first, second)
    loss = cross_entropy(model, (frames, joint, bone), batch.label, smoothing=0.0)
    parts = [
        torch.nn.functional.cross_entropy(stream(x), batch.label)
        for stream, x in zip(model.streams.values(), (frames, joint, bone), strict=True)
    ]
    assert_close(loss, sum(parts))


def test_pose_and_pictures_are_fused_by_clip(settings):
    names = []
    for model in ("tsm", "st-gcn"):
        asked = settings(model, name=f"to-fuse-{model}")
        names.append(train_baseline(asked).folder.name)
    fused = fuse(names, "1:1").predictions()
    assert len(fused) == fused.clip_id.nunique() > 20
