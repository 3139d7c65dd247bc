"""Skeleton classifiers end to end: exact resume, tables by id, described checkpoints."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from imigue_lab.app import main
from imigue_lab.data.samplers import quotas
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.models.baselines import TABLE
from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.results.score_tables import class_table
from imigue_lab.training.baselines.data import load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import (
    average_probability,
    load_baseline,
    predict,
    train_baseline,
)
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.scores import point_scores
from imigue_lab.training.session import open_device
from tests.models.skeleton_recordings import recording

IMIGUE = builtin("imigue")


@pytest.fixture(scope="module")
def data(tiny):
    return load_baseline_data(tiny())


@pytest.fixture(scope="module")
def tiny(synthetic):
    """Settings that train in a second or two."""

    def settings(**changes):
        given = {"data": str(synthetic), "epochs": 2, "frames": 16, "batch_size": 16}
        return BaselineSettings.from_arguments(given | changes)

    return settings


@pytest.fixture(scope="module")
def pose_run(data, tiny):
    return train_baseline(tiny(name="pose"), data)


def test_a_run_leaves_a_table_with_every_clip_by_its_id(pose_run, data, index):
    table = pose_run.predictions().set_index("clip_id")
    known = index.clips.set_index("clip_id")
    assert set(table.index) == set(known.index)
    for column in ("video_id", "split", "label"):
        assert (table[column] == known[column].loc[table.index]).all()
    probability = table[[f"p{c}" for c in range(32)]].to_numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert (table.predicted == probability.argmax(axis=1)).all()
    assert table.seen.between(0.5, 1).all()
    assert set(table.based_on) == {"pose"}
    scores = pose_run.scores().set_index(["split", "predictor"])
    test = table[table.split == "test"]
    assert scores.loc[("test", "model")].top1 == pytest.approx(point_scores(test)["top1"])
    assert scores.loc[("test", "model")].n == len(test)
    assert len(class_table(pose_run.predictions(), "test", IMIGUE)) >= test.label.nunique()
    metrics = pose_run.metrics()
    np.testing.assert_allclose(metrics.validation_error, 1 - metrics.validation_top1)


@pytest.mark.parametrize("frames", [0, 16])
def test_predictions_do_not_depend_on_the_batch(data, tiny, frames):
    run = train_baseline(tiny(frames=frames, epochs=1, name=f"batch{frames}"), data)
    kept = run.predictions().set_index("clip_id")
    model, clips = load_baseline(run, data.gestures), data.clips("test", tiny(frames=frames))
    for batch_size in (1, 7):
        again = predict(open_device("cpu"), model, clips, data, batch_size).set_index("clip_id")
        columns = [f"p{c}" for c in range(32)]
        np.testing.assert_allclose(again[columns], kept.loc[again.index, columns], atol=1e-5)


def test_an_interrupted_run_ends_with_the_same_numbers(data, tiny, monkeypatch):
    given = {"epochs": 4, "stream": "bone", "augment": "mirror", "patience": 2, "lr": 1e-2}
    whole = train_baseline(tiny(name="whole-baseline", **given), data)
    write = Run.write_history

    def stop_after(epochs):
        def write_or_stop(run, history):
            if len(history) == epochs:
                raise KeyboardInterrupt
            write(run, history)

        monkeypatch.setattr(Run, "write_history", write_or_stop)

    for epochs in (1, 3):
        stop_after(epochs)
        with pytest.raises(KeyboardInterrupt):
            train_baseline(tiny(name="broken", **given), data)
        monkeypatch.setattr(Run, "write_history", write)
    broken = train_baseline(tiny(name="broken", **given), data)
    assert len(whole.metrics()) > 2
    pd.testing.assert_frame_equal(whole.metrics(), broken.metrics(), check_exact=True)
    pd.testing.assert_frame_equal(whole.predictions(), broken.predictions(), check_exact=True)
    for name in ("best", "last"):
        first, second = whole.load_weights(name), broken.load_weights(name)
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_same_settings_return_at_once_and_other_streams_are_other_runs(data, tiny, capsys):
    joint = train_baseline(tiny(epochs=1), data)
    assert train_baseline(tiny(epochs=1), data).folder == joint.folder
    assert "already finished" in capsys.readouterr().out
    motion = train_baseline(tiny(epochs=1, stream="joint_motion", fold=1, scheduler="none"))
    assert motion.folder != joint.folder
    assert motion.settings()["settings"]["stream"] == "joint_motion"


def test_a_checkpoint_describes_classes_layout_and_arguments(pose_run):
    says = pose_run.read_checkpoint("best")
    assert says["classes"] == list(IMIGUE.classes) and says["keypoints"] == "imigue22"
    assert (says["model"], says["stream"]) == ("2s-agcn", "joint")
    assert says["arguments"]["width"] == 16


def test_a_checkpoint_of_another_layout_is_refused_in_a_sentence(pose_run, data, tmp_path):
    other = replace(data.gestures, layout=LAYOUTS["coco17"])
    with pytest.raises(
        RunError, match=r"keypoints is 'imigue22', expected 'coco17'; choose another"
    ):
        load_baseline(pose_run, other)


def test_a_checkpoint_of_other_classes_is_refused_by_the_first_that_differs(pose_run):
    renamed = ("turtle neck", "covering nose", *IMIGUE.classes[2:])
    with pytest.raises(RunError) as caught:
        load_baseline(pose_run, vocabulary=replace(IMIGUE, classes=renamed))
    assert "classes has 'bulging face, deep breath' at 1, expected 'covering nose'" in str(
        caught.value
    )
    assert len(str(caught.value)) < 250


def test_a_checkpoint_of_another_task_is_refused(trained):
    with pytest.raises(RunError, match=r"task is 'emotion', expected 'baseline'"):
        load_baseline(trained[0])


@pytest.mark.parametrize(
    ("model", "stream"),
    [
        (row.name, "bone_motion" if row.name == "aagcn" else "joint")
        for row in TABLE
        if row.modality == "skeleton"
    ],
)
def test_every_network_of_skeletons_trains_and_comes_back(model, stream, data, tiny):
    given = {"model": model, "stream": stream, "epochs": 1, "optimizer": "sgd", "lr": 0.02}
    run = train_baseline(
        tiny(**given, scheduler="steps:1", name=f"row-{model.replace('+', 'p')}"), data
    )
    assert run.read_checkpoint("best")["model"] == model
    kept = run.predictions().set_index("clip_id")
    clips = data.clips("test", tiny(**given))
    again = predict(open_device("cpu"), load_baseline(run, data.gestures), clips, data, 16)
    columns = [f"p{c}" for c in range(32)]
    again = again.set_index("clip_id")[columns]
    np.testing.assert_allclose(again, kept.loc[again.index, columns], atol=1e-5)
    assert again.std().max() > 0  # clips differ


def test_uniform_draws_are_averaged_and_an_interrupted_run_ends_with_the_same_numbers(
    data, tiny, monkeypatch
):
    given = {"model": "ctr-gcn", "stream": "joint_motion", "sampling": "uniform", "test_clips": 3}
    given |= {"ema": 0.9, "mixup": 0.4, "lr_warmup": 1, "scheduler": "cosine"}
    whole = train_baseline(tiny(name="drawn", **given), data)
    write = Run.write_history

    def stop(run, history):
        if len(history) == 1:
            raise KeyboardInterrupt
        write(run, history)

    monkeypatch.setattr(Run, "write_history", stop)
    with pytest.raises(KeyboardInterrupt):
        train_baseline(tiny(name="drawn-broken", **given), data)
    monkeypatch.setattr(Run, "write_history", write)
    broken = train_baseline(tiny(name="drawn-broken", **given), data)
    pd.testing.assert_frame_equal(whole.predictions(), broken.predictions(), check_exact=True)
    assert whole.metrics().equals(broken.metrics())

    model, clips = load_baseline(whole), data.clips("test", tiny(**given))
    draws = clips.collate(clips.draws(0))
    with torch.no_grad():
        alone = model(*draws.inputs).softmax(dim=1)
    assert not torch.allclose(alone[0], alone[1], atol=1e-4)
    kept = whole.predictions().set_index("clip_id").loc[draws.clip_ids[0]]
    columns = [f"p{c}" for c in range(32)]
    np.testing.assert_allclose(kept[columns].astype(float), alone.mean(dim=0), atol=1e-6)


@pytest.mark.shared
@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "family"),
    [("ctrgcn_pyskl_ntu25", "pyskl/ctrgcn"), ("stgcnpp_coco17", "pyskl/stgcn++")],
)
def test_two_draws_are_averaged_as_in_the_published_evaluation(shared, name, family):
    recorded = recording(shared, name)
    model = load_published(recorded.state, family)
    found = average_probability(model, [(x,) for x in recorded.tensor("input")[:2, None]])
    assert_close(found, recorded.tensor("avg_prob_2clip"), rtol=1e-4, atol=1e-6)


def test_the_command_line_trains_and_prints_the_constant_predictors(synthetic, capsys):
    words = [
        "train",
        "baseline",
        "--data",
        str(synthetic),
        "--model",
        "2s-agcn",
        "--stream",
        "bone",
    ]
    main([*words, "--epochs", "1", "--frames", "8"])
    output = capsys.readouterr().out
    assert "always" in output and "mean class accuracy" in output
    with pytest.raises(SystemExit) as end:
        main([*words[:4], "--stream", "skin"])
    assert end.value.code == 2
    assert "stream: input should be 'joint', 'bone'" in capsys.readouterr().err


def test_the_natural_prior_takes_the_balance_of_the_draws_out_of_the_scores(data, tiny):
    given = {"epochs": 1, "balance": 0.5}
    runs = [train_baseline(tiny(prior=prior, **given), data) for prior in ("natural", "sampled")]
    natural, sampled = (run.load_weights("last") for run in runs)
    assert all(torch.equal(natural[key], sampled[key]) for key in natural)
    columns = [f"p{c}" for c in range(32)]
    logits = [np.log(run.predictions()[columns].to_numpy()) for run in runs]
    labels = data.split.part("train").label.astype(int)
    counts = np.bincount(labels, minlength=32)
    expected = np.log(counts[counts > 0] / quotas(counts[counts > 0], 0.5))
    found = (logits[0] - logits[1])[:, counts > 0]
    assert abs(found - found[:, :1] - (expected - expected[0])).max() < 1e-3


def test_a_refit_trains_on_validation_and_does_not_score_it(tiny, data):
    run = train_baseline(
        tiny(name="refit-baseline", refit=True, keep="last", scheduler="steps:1"), data
    )
    first = find_run("refit-baseline-selection")
    assert run.metrics().lr.tolist() == first.metrics().lr.tolist() == pytest.approx([3e-3, 3e-4])
    assert set(run.predictions().split) == {"train", "test"}
    assert set(run.scores().split) == {"test"}
    assert set(first.scores().split) == {"validation", "test"}
    assert (run.metrics().train_loss != first.metrics().train_loss).all()
    assert any("refit-baseline-selection" in remark for remark in run.provenance()["remarks"])


def test_without_a_validation_split_all_epochs_are_trained_and_the_last_is_kept(tiny, data):
    alone = data.refitted("none")
    run = train_baseline(tiny(name="alone", epochs=3, patience=1, keep="last"), alone)
    assert run.metrics().columns.tolist() == ["epoch", "lr", "train_loss"]
    assert len(run.metrics()) == 3
    best, last = run.load_weights("best"), run.load_weights("last")
    assert all(torch.equal(best[key], last[key]) for key in last)
    with pytest.raises(SettingsError, match="keep: expected last without a validation split"):
        train_baseline(tiny(name="best-alone"), alone)
