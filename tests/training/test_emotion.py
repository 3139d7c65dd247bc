"""Training end to end: run folders, exact resume, and predictions joined by id."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from imigue_lab.data.datasets import InterviewDataset, collate
from imigue_lab.errors import DataError, RunError, SettingsError
from imigue_lab.training.emotion.data import load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import (
    build_loss,
    checkpoint_of,
    load_emotion,
    mean_logit,
    predict,
    train_emotion,
)
from imigue_lab.training.loop import Stopping, best_epoch, is_over
from imigue_lab.training.runs import find_run
from imigue_lab.training.session import open_device
from tests.training.kills import check_kills


def test_a_run_leaves_everything_that_another_notebook_needs(trained):
    run, data = trained
    assert run.finished
    assert len(run.metrics()) == 3
    assert set(run.predictions().video_id) == set(data.split.videos.video_id)
    assert find_run("trained").folder == run.folder
    provenance = run.provenance()
    assert provenance["packages"]["torch"] == torch.__version__.split("+")[0]
    assert "are synthetic" in provenance["remarks"][0]


def test_predictions_are_keyed_by_id_whatever_the_batch(trained, quick):
    run, data = trained
    model = load_emotion(run, data)
    device = open_device("cpu")
    kept = run.predictions().set_index("video_id")
    for batch_size in (1, 5):
        again = predict(device, model, data, "test", quick(batch_size=batch_size))
        again = again.set_index("video_id")
        np.testing.assert_allclose(again.logit, kept.loc[again.index].logit, atol=1e-5)


def test_averaged_crops_give_the_mean_probability_of_what_training_sees(trained, quick):
    """In evaluation alone; an interview no longer than a crop is seen whole."""
    run, data = trained
    model, device = load_emotion(run, data), open_device("cpu")
    whole = predict(device, model, data, "test", quick())
    same = predict(device, model, data, "test", quick(average_crops=True, max_windows=10_000))
    np.testing.assert_allclose(same.logit, whole.logit, atol=1e-6)
    averaged = predict(device, model, data, "test", quick(average_crops=True, max_windows=4))
    dataset = InterviewDataset(data.features, data.split.part("test"))
    for number, row in enumerate(averaged.itertuples()):
        n = row.windows
        starts = [*range(0, n - 4, 2), n - 4]
        probability = []
        for start_of_crop in starts:
            own = dataset[number]
            crop = {f: getattr(own, f)[start_of_crop : start_of_crop + 4] for f in own._fields[1:4]}
            inputs = collate([own._replace(**crop)]).inputs()
            probability.append(model(**inputs).logit.sigmoid().item())
        assert len(starts) > 2 and row.probability == pytest.approx(np.mean(probability), abs=1e-5)
    assert not np.allclose(averaged.probability, whole.probability, atol=1e-4)
    assert averaged[["windows", "based_on"]].equals(whole[["windows", "based_on"]])
    with pytest.raises(SettingsError, match="average_crops: needs the length of a crop"):
        quick(average_crops=True, max_windows=0)


def test_the_mean_of_more_than_two_outcomes_is_of_probabilities():
    logit = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    mean = mean_logit(logit, [1, 4]).float()
    assert torch.equal(mean[0], logit[0])
    torch.testing.assert_close(mean[1].softmax(0), logit[1:].softmax(1).mean(0))
    two = mean_logit(torch.tensor([2.0, 1000.0, 1000.0]), [1, 2])
    assert two[0] == 2 and torch.isfinite(two).all()


def test_two_gammas_are_two_runs_and_the_first_returns_at_once(quick, capsys):
    first = train_emotion(quick(gamma=0.5, seed=11))
    other = train_emotion(quick(gamma=1.0, seed=11))
    assert first.folder != other.folder
    assert not first.predictions().logit.equals(other.predictions().logit)
    written = {p: p.stat().st_mtime_ns for p in first.folder.iterdir() if p.suffix != ".lock"}
    again = train_emotion(quick(gamma=0.5, seed=11))
    assert again.folder == first.folder
    assert "already finished" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == at for path, at in written.items())


def test_a_named_folder_with_other_settings_is_refused_by_name(quick):
    train_emotion(quick(name="taken", epochs=1))
    with pytest.raises(
        RunError, match=r"taken: belongs to another run: gamma is 0\.5, expected 1\.0"
    ):
        train_emotion(quick(name="taken", epochs=1, gamma=1.0))


def test_a_checkpoint_for_other_features_is_refused_by_name(trained, plain):
    run, _ = trained
    root = plain()
    own = {"data": str(root), "context": str(root / "context"), "face": str(root / "face")}
    data = load_emotion_data(EmotionSettings.from_arguments(own))
    with pytest.raises(RunError, match=r"does not fit: context is 'synthetic-context-"):
        load_emotion(run, data)


def test_a_checkpoint_of_another_configuration_is_refused_by_name(trained, quick):
    run, data = trained
    expected = checkpoint_of(quick(width=16), data)
    with pytest.raises(RunError, match=r"model is .*'width': 8.*expected .*'width': 16"):
        run.load_weights("best", expected)


def test_something_else_than_a_checkpoint_is_refused(trained, tmp_path):
    run, _ = trained
    broken = type(run)(tmp_path)
    (tmp_path / "best.safetensors").write_bytes(b"PK not tensors")
    with pytest.raises(RunError, match=r"best.safetensors: cannot be read \(SafetensorError\)"):
        broken.read_checkpoint("best")
    with pytest.raises(RunError, match="not found"):
        broken.read_checkpoint("last")


@pytest.mark.parametrize(
    "variant",
    [
        {"fusion": "late"},
        {"fusion": "face_only", "scheduler": "cosine"},
        {"stages": 1, "loss": "bce", "scheduler": "plateau", "class_weights": "none"},
        {"gate": "convex", "max_windows": 4, "fold": 2},
    ],
    ids=["late", "face_only", "bce", "fold"],
)
def test_every_variant_trains_and_scores(quick, variant):
    run = train_emotion(quick(epochs=2, **variant))
    assert np.isfinite(run.metrics().to_numpy(dtype=float)).all()
    assert set(run.scores().split) == {"validation", "test"}


def test_a_run_standardises_by_the_windows_of_train_and_keeps_their_numbers(quick):
    settings = quick(standardise=True, epochs=1, seed=12)
    data, run = load_emotion_data(settings), train_emotion(settings)
    model = load_emotion(run, data)
    for stream, features in (("context", data.features.context), ("face", data.features.face)):
        windows = torch.cat([features[v] for v in data.split.part("train").video_id]).float()
        windows = windows[(windows != 0).any(dim=1)]
        seen = getattr(model, stream).standardise(windows)
        torch.testing.assert_close(
            seen.mean(dim=0), torch.zeros(windows.shape[1]), atol=1e-3, rtol=0
        )
        torch.testing.assert_close(seen.std(dim=0), torch.ones(windows.shape[1]), atol=1e-2, rtol=0)


def test_class_weights_are_counted_after_negatives_have_moved(tmp_path):
    from imigue_lab.data.synthetic.story import SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    spec = SyntheticSpec(videos=60, pictures=False, all_win_validation=True)
    make_data(tmp_path / "tree", spec)
    settings = EmotionSettings(data=str(tmp_path / "tree"))
    data = load_emotion_data(settings)
    train = data.split.part("train")
    lose, win = (len(train) / (2 * (train.outcome == c).sum()) for c in (0, 1))
    weights = build_loss(settings, data.split).class_weights
    torch.testing.assert_close(weights, torch.tensor([lose, win], dtype=torch.float32))
    assert len(train) == 28 - 5


def test_patience_and_the_best_epoch():
    def rows(*losses):
        return [{"validation_loss": loss} for loss in losses]

    stopping = Stopping(epochs=10, patience=2)
    assert best_epoch(rows(3, 1, 2, 1), stopping) == 1
    assert not is_over(rows(3, 1, 2), stopping)
    assert is_over(rows(3, 1, 2, 1), stopping)
    assert is_over(rows(*range(10, 0, -1)), stopping)
    late = Stopping(epochs=10, patience=2, settled=3)
    assert best_epoch(rows(1, 2, 3), late) == 0  # it did not get so far
    assert best_epoch(rows(1, 2, 3, 5, 4, 4), late) == 4
    assert not is_over(rows(1, 2, 3), late) and not is_over(rows(1, 2, 3, 4, 5), late)
    assert is_over(rows(1, 2, 3, 4, 5, 4), late)


def test_a_loss_that_is_not_finite_stops_the_run(plain):
    root = plain()
    for path in (root / "context").iterdir():
        np.save(path, np.load(path) * 1e38)
    own = {"data": str(root), "context": str(root / "context"), "face": str(root / "face")}
    settings = EmotionSettings.from_arguments(own | {"width": 8, "move_negatives": 0})
    with pytest.raises(RunError, match="training loss is nan at step 0; lower lr"):
        train_emotion(settings)


def test_an_absent_device_is_refused(quick):
    if torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(RunError, match="device: expected one of this machine, got 'mps'; use auto"):
        train_emotion(quick(device="mps", name="elsewhere"))


def test_a_data_problem_stops_before_a_run_folder_is_made(plain):
    root = plain()
    (root / "face" / "v0.npy").unlink()
    own = {"data": str(root), "context": str(root / "context"), "face": str(root / "face")}
    with pytest.raises(DataError):
        train_emotion(EmotionSettings.from_arguments(own | {"name": "never"}))
    assert not (Path(os.environ["IMIGUE_LAB_HOME"]) / "runs" / "never").exists()


@pytest.mark.parametrize(
    ("more", "kills"),
    [
        ("--scheduler plateau", (("run", 1), ("run", 3))),
        (
            "--scheduler cosine --keep last --refit true --lr-warmup 2 --clip-grad 0.1 --ema 0.9",
            (("run-selection", 2), ("run", 1), ("run", 3)),
        ),
    ],
    ids=["plain", "refit"],
)
def test_a_run_that_was_killed_ends_with_the_same_numbers(tmp_path, synthetic, more, kills):
    words = f"train emotion --data {synthetic} --store {os.environ['IMIGUE_LAB_HOME']}/features"
    words += " --epochs 6 --width 8 --heads 2 --lr 0.001 --patience 9 --dropout 0.3 --max-windows 8"
    check_kills(f"{words} {more}", tmp_path, kills, epochs=6)
