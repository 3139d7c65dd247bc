"""A trial times the first steps of any trainer and leaves no run."""

import pytest

from imigue_lab.app import main
from imigue_lab.errors import SettingsError
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.runs import runs_folder
from imigue_lab.training.trial import STEPS, Trial, try_training


def test_a_trial_of_each_task_counts_its_steps_and_leaves_no_run(looked, synthetic):
    given = {"data": str(synthetic), "epochs": 7}
    small = {**given, "frames": 8, "batch_size": 8}
    pose = {"joint_run": "looked-joint", "bone_run": "looked-bone"}
    before = {path: path.stat().st_mtime_ns for path in runs_folder().iterdir()}
    for task, settings, items in (
        ("emotion", EmotionSettings(**given, width=8, heads=2, batch_size=4), 4),
        ("baseline", BaselineSettings(**small, refit=True, lr_warmup=1), 8),
        ("gesture", GestureSettings.from_arguments({**small, **pose}), 8),
        ("pretraining", PretrainSettings(**small), 8),
    ):
        trial = try_training(task, settings)
        assert (len(trial.seconds), trial.items, trial.epochs) == (STEPS, items, 7), task
        assert trial.steps > STEPS and min(trial.seconds) > 0 and trial.stored == 0
        assert trial.cost["peak_memory_mib"] > 100
    assert {path: path.stat().st_mtime_ns for path in runs_folder().iterdir()} == before


def test_the_estimate_multiplies_the_last_step(capsys):
    trial = Trial([9.0, 2.0], 32, 100, 30, {"device": "cuda:0", "peak_memory_mib": 1500}, 2 * 10**9)
    assert str(trial).splitlines() == [
        "2 steps of 32 took 9.00, 2.00 s on cuda:0",
        "an epoch of 100 takes about 0:03:20, all 30 at most 1:40:00, without evaluation",
        "peak memory: 1,500 MiB of the process",
        "stored frames: 2.00 GB",
    ]
    trial = trial._replace(cost=trial.cost | {"peak_device_memory_mib": 12_000})
    assert "1,500 MiB of the process, 12,000 MiB of the GPU" in str(trial)


@pytest.mark.parametrize(
    "words", ["train baseline --model tsm --pictures rgb", "pretrain video --frames 4 --windows 8"]
)
def test_the_command_tries_a_network_of_pictures_and_counts_stored_frames(words, filmed, capsys):
    main([*words.split(), "--data", str(filmed), "--batch-size", "2", "--trial"])
    printed = capsys.readouterr().out
    assert "steps of 2 took" in printed and "stored frames: 0.0" in printed


def test_a_trial_trains_no_encoder_and_an_error_of_the_data_stays(synthetic):
    with pytest.raises(SettingsError, match="joint_run, bone_run: expected finished runs"):
        try_training("gesture", GestureSettings(data=str(synthetic)))


def test_a_trainer_with_its_own_loop_returns_what_that_returns(quick):
    """The trial is handed in; nothing else of the training knows it."""

    def ends(session, model, *rest, **named):
        raise InterruptedError(type(model).__name__)

    with pytest.raises(InterruptedError, match="EmotionModel"):
        train_emotion(quick(name="own-loop"), fit=ends)
