"""Training of recognisers: runs, resume, folds, frozen thresholds, features of other runs."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from imigue_lab.data.source import open_data
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError, RunError, SettingsError
from imigue_lab.results.published_tables import table_one
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.loop import EpochBatches
from imigue_lab.training.recognition import train as trainer
from imigue_lab.training.recognition.data import (
    TrainingWindows,
    load_recognition_data,
    pose_features,
)
from imigue_lab.training.recognition.scores import of_split, read_truth, score_segments
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import read_choice, recognise, train_recognition
from imigue_lab.training.runs import runs_folder
from imigue_lab.training.trial import try_training
from tests.training.kills import check_kills

TINY = {"epochs": 2, "width": 16, "depth": 3, "lr": 1e-2, "window": 256}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """16 long interviews of four subjects, two of whom train."""
    root = tmp_path_factory.mktemp("long") / "interviews"
    make_data(root, SyntheticSpec(videos=16, size="long", pictures=False))
    return root


def settings_of(root, **given):
    return RecognitionSettings.from_arguments({"data": str(root)} | TINY | given)


@pytest.fixture(scope="module")
def data(root):
    return load_recognition_data(settings_of(root))


@pytest.fixture(scope="module", params=["frames", "pyramid"])
def run(request, root, data):
    epochs = {"frames": 12, "pyramid": 4}[request.param]
    return train_recognition(settings_of(root, model=request.param, epochs=epochs), data)


def test_a_run_scores_its_segments_beside_the_references(run, data):
    scores = run.scores().set_index(["split", "predictor"])
    videos, true = data.labelled("test")
    row = scores.loc["test", "model"]
    assert row.n == len(true) and row.rule == "one-to-one"
    found = run.predictions()
    kept = found[found.kept & (found.split == "test")]
    (again,) = score_segments({"model": kept}, true, videos).to_dict("records")
    assert again["f1_50"] == pytest.approx(row.f1_50)
    assert again["found"] == row.found == len(kept)
    assert scores.loc["test", "nothing found"].f1_50 == 0
    assert sum(name.startswith("always ") for _, name in scores.index) == 2
    assert set(found.split) == {"train", "validation", "test"}
    assert (found.end >= found.start).all() and (found.start >= 0).all()
    frames = found.video_id.map(data.videos.set_index("video_id").frames)
    assert (found.end < frames).all()
    choice = read_choice(run)
    assert (found.kept == (found.confidence >= choice.threshold)).all()


def test_table_1_refuses_its_segments_in_a_sentence(run):
    with pytest.raises(RunError, match="got segments of whole videos"):
        table_one([run])


def test_the_true_segments_are_stored_with_the_run(root, data):
    quiet, *_ = data.frames("validation")
    clips = data.split.clips
    clips = clips.assign(label=clips.label.where(clips.split != "test"))
    clips = clips[clips.video_id != quiet]
    changed = replace(data, split=replace(data.split, clips=clips))
    settings = settings_of(root, model="frames", epochs=1, name="one-is-quiet")
    run = train_recognition(settings, changed)
    for split in ("train", "validation", "test"):
        (videos, true), known = of_split(read_truth(run), split), changed.labelled(split)
        assert videos.video_id.tolist() == known[0].video_id.tolist()
        columns = ["video_id", "label", "start", "end"]
        assert true[columns].to_numpy().tolist() == known[1][columns].to_numpy().tolist()
    assert quiet in set(of_split(read_truth(run), "validation")[0].video_id) and videos.empty


def test_frames_learn_simulated_gestures(root, data):
    run = train_recognition(settings_of(root, model="frames", epochs=12), data)
    assert run.scores().set_index(["split", "predictor"]).loc["test", "model"].f1_50 > 0.6


def test_recognising_new_features_gives_the_segments_of_the_run(run, data):
    found = run.predictions()
    kept = found[found.kept & (found.split == "test")]
    ids = sorted(data.frames("test"))
    again = recognise(run, {video_id: data.features(video_id) for video_id in ids}, "cpu")
    own = kept[again.columns].sort_values(list(again.columns), ignore_index=True)
    pd.testing.assert_frame_equal(again, own)
    assert len(recognise(run, {ids[0]: data.features(ids[0])}, "cpu", threshold=1.0)) == 0


@pytest.mark.parametrize("model", ["frames", "pyramid"])
def test_a_killed_run_ends_with_the_same_numbers(root, data, model, monkeypatch):
    settings = settings_of(root, model=model, epochs=3, ema=0.9, name=f"whole-{model}")
    whole = train_recognition(settings, data)
    real, calls = EpochBatches.steps, []

    def killed(self, epoch, *rest):
        calls.append(epoch)
        if epoch == 2 and calls.count(2) == 1:
            raise KeyboardInterrupt
        yield from real(self, epoch, *rest)

    monkeypatch.setattr(EpochBatches, "steps", killed)
    again = settings.model_copy(update={"name": f"killed-{model}"})
    with pytest.raises(KeyboardInterrupt):
        train_recognition(again, data)
    resumed = train_recognition(again, data)
    pd.testing.assert_frame_equal(whole.metrics(), resumed.metrics())
    pd.testing.assert_frame_equal(whole.predictions(), resumed.predictions())


def test_a_process_that_is_killed_twice_resumes_to_the_same_numbers(root, tmp_path):
    words = f"train recognition --data {root} --store {os.environ['IMIGUE_LAB_HOME']}/features"
    words += " --model pyramid --epochs 5 --width 16 --depth 3 --window 128 --ema 0.9"
    check_kills(words, tmp_path, [("run", 1), ("run", 3)], epochs=5)


def test_no_test_video_is_read_before_the_last_epoch(root, data):
    test, read, done = set(data.frames("test")), [], []

    def watched(video_id):
        read.append((video_id, bool(done)))
        return data.features(video_id)

    def fit(*given, **named):
        best = trainer.fit(*given, **named)
        done.append(True)
        return best

    settings = settings_of(root, model="frames", name="unseen")
    train_recognition(settings, replace(data, features=watched), fit)
    early = {video_id for video_id, after in read if not after}
    assert early and not early & test
    assert test <= {video_id for video_id, after in read if after}


def test_the_threshold_is_that_of_validation_whatever_the_test_says(root, data):
    settings = settings_of(root, model="frames", name="frozen")
    choice = read_choice(train_recognition(settings, data))
    clips = data.split.clips
    other = clips.assign(label=clips.label.where(clips.split != "test", 0))
    changed = replace(data, split=replace(data.split, clips=other))
    again = train_recognition(settings.model_copy(update={"name": "frozen-too"}), changed)
    assert read_choice(again) == choice
    assert choice.split == "validation"


def test_a_refit_trains_on_validation_with_the_threshold_of_its_selection(root, data):
    given = {"model": "frames", "refit": True, "name": "segments-refit"}
    run = train_recognition(settings_of(root, **given), data)
    selection = trainer.Run(run.folder.with_name("segments-refit-selection"))
    assert read_choice(run) == read_choice(selection)
    assert set(run.scores().split) == {"test"}


def test_a_fold_keeps_its_subjects_out_of_train(tmp_path_factory):
    root = tmp_path_factory.mktemp("folds") / "interviews"
    make_data(root, SyntheticSpec(videos=32, size="long", pictures=False))
    index = open_data(str(root))
    first = index.videos.video_id[index.videos.split == "train"].iloc[0]
    index = replace(index, clips=index.clips[index.clips.video_id != first])  # quiet throughout
    for fold in range(5):
        data = load_recognition_data(settings_of(root, fold=fold), index)
        splits = data.videos.groupby("subject").split.nunique()
        assert (splits == 1).all()
        assert first in set(data.videos.video_id)


def test_hidden_segments_are_predicted_and_not_scored(root):
    index = open_data(str(root))
    hidden = index.clips.label.where(index.clips.split != "test")
    data = load_recognition_data(
        settings_of(root), replace(index, clips=index.clips.assign(label=hidden))
    )
    run = train_recognition(settings_of(root, model="frames", epochs=8, name="unlabelled"), data)
    assert set(run.scores().split) == {"validation"}
    assert "test" in set(run.predictions().split)


def test_windows_overlap_by_half_and_keep_the_segments_that_they_contain(data):
    windows = TrainingWindows(data, 256, seed=0)
    starts = pd.DataFrame(windows.starts, columns=["video_id", "start"])
    steps = starts.groupby("video_id").start.diff().dropna()
    assert steps.le(128).all() and steps.eq(128).mean() > 0.5
    assert starts.groupby("video_id").start.max().add(256).to_dict() == data.frames("train")
    batch = windows.read([(0, 0), (1, 0)])
    assert batch.features.shape[:2] == batch.mask.shape
    video_id, _ = windows.starts[0]
    features = data.features(video_id)
    place = next(n for n in range(257) if np.array_equal(features[n], batch.features[0, 0]))
    track = np.full(len(features), -1)
    for label, start, stop in data.truth(video_id):
        track[start:stop] = label
    cut = np.full(256, -1)
    for label, start, stop in batch.truth[0].tolist():
        cut[max(0, start) : stop] = label if label >= 0 else -1
    assert cut.tolist() == track[place : place + 256].tolist()
    windows.epoch = 1
    assert not torch.equal(windows.read([(0, 0), (1, 0)]).features, batch.features)


def test_a_segment_after_the_end_of_its_video_is_refused(root):
    index = open_data(str(root))
    clips = index.clips.copy()
    clips.loc[0, "end"] = 5000
    with pytest.raises(DataError, match="clips end after the last frame of their video"):
        load_recognition_data(settings_of(root), replace(index, clips=clips))


def test_a_missing_joint_has_neither_place_nor_velocity(data):
    points = np.random.default_rng(0).uniform(1, 2, (1, 9, 22, 3)).astype(np.float32)
    points[0, 4, 7] = 0
    features = pose_features(points, data.layout)
    assert features.shape == (9, 22 * 5)
    places, velocity, seen = np.split(features, [44, 88], axis=1)
    assert (places[4, 14:16] == 0).all() and seen[4, 7] == 0 and seen.sum() == 9 * 22 - 1
    assert (velocity[3:6, 14:16] != 0).any(axis=1).tolist() == [False, True, False]
    assert (velocity[[0, -1]] == 0).all()


def test_features_of_a_run_are_stored_once_and_join_the_pose(root, monkeypatch):
    given = {"data": str(root), "epochs": 1, "frames": 8}
    encoder = train_baseline(BaselineSettings.from_arguments(given | {"name": "encoder"}))
    own = {"inputs": "both", "encoder_run": "encoder", "step": 16, "model": "frames"}
    settings = settings_of(root, **own, epochs=1)
    data = load_recognition_data(settings)
    width = data.features(data.videos.video_id.iloc[0]).shape[1]
    assert width > 110
    run = train_recognition(settings, data)
    assert run.read_checkpoint("best")["inputs"] == "both"
    monkeypatch.setattr(
        "imigue_lab.training.recognition.encoder.encode", lambda *_: pytest.fail("encoded again")
    )
    again = load_recognition_data(settings)
    assert again.identity() == data.identity()
    alone = load_recognition_data(settings.model_copy(update={"inputs": "run"}))
    video_id = alone.videos.video_id.iloc[-1]
    np.testing.assert_array_equal(alone.features(video_id), data.features(video_id)[:, 110:])
    assert encoder.finished


def test_features_of_pictures_need_no_keypoints(filmed):
    given = {"data": str(filmed), "model": "tsm", "frames": 2, "epochs": 1, "name": "pictures"}
    train_baseline(BaselineSettings.from_arguments(given))
    index = open_data(str(filmed))
    index = replace(index, videos=index.videos.assign(keypoints=None))
    settings = settings_of(filmed, inputs="run", encoder_run="pictures", step=64)
    data = load_recognition_data(settings, index)
    assert data.layout is None
    for video_id, frames in data.frames("train").items():
        features = data.features(video_id)
        assert features.shape == (frames, 2048)
        changes = np.flatnonzero((np.diff(features, axis=0) != 0).any(axis=1))
        assert 0 < len(changes) <= frames // 64 + 1
    assert train_recognition(settings, data).read_checkpoint("best")["keypoints"] == ""


def test_an_encoder_that_saw_a_held_out_clip_is_refused(root):
    index = open_data(str(root))
    train_baseline(
        BaselineSettings.from_arguments(
            {"data": str(root), "epochs": 1, "frames": 8, "name": "whole-encoder"}
        )
    )
    clips, videos = index.clips, index.videos
    moved = replace(
        index,
        clips=clips.assign(split=clips.split.replace({"train": "test", "test": "train"})),
        videos=videos.assign(split=videos.split.replace({"train": "test", "test": "train"})),
    )
    with pytest.raises(RunError, match="encoder_run: expected weights that have not seen"):
        load_recognition_data(settings_of(root, inputs="run", encoder_run="whole-encoder"), moved)


def test_inputs_of_a_run_need_one():
    with pytest.raises(SettingsError, match="expected a run if and only if inputs are run or both"):
        RecognitionSettings.from_arguments({"inputs": "both"})


def test_a_trial_times_the_first_steps_and_leaves_no_run(root):
    trial = try_training("recognition", settings_of(root))
    assert trial.items == 8 and trial.epochs == 2
    assert not list(runs_folder().glob("trial-*"))


def test_keypoints_that_are_not_numbers_are_refused(root, monkeypatch):
    index = open_data(str(root))
    broken = np.full((5000, 35, 3), np.nan, np.float32)
    monkeypatch.setattr("imigue_lab.data.clips.KeypointFiles.__call__", lambda *_: broken)
    with pytest.raises(DataError, match="NaN or infinity at a joint in frame 0 of the video"):
        load_recognition_data(settings_of(root, keypoints="imigue22"), index)


def test_keypoints_of_single_clips_are_no_untrimmed_video(root):
    index = open_data(str(root))
    files = index.clips.video_id.map(index.videos.set_index("video_id").keypoints)
    index = replace(
        index,
        videos=index.videos.assign(keypoints=None),
        clips=index.clips.assign(keypoints=files),
    )
    with pytest.raises(DataError, match="of whole videos, got those of single clips"):
        load_recognition_data(settings_of(root), index)
