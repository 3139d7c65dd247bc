"""Two processes train the same model as one; a lost process ends the run, which can be resumed."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from imigue_lab.data.source import open_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.ranks import ALONE, Ranks, find_process, open_ranks
from imigue_lab.training.runs import find_run, runs_folder
from tests.forks import start_python
from tests.training.two_processes import TRAININGS

CHECKOUT = Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def start(*words: str) -> subprocess.Popen:
    # Outside pytest nothing turns warnings into errors, or numbers of threads into one.
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*TORCHRUN, *words], env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize("items", [1, 2, 7, 8])
def test_a_global_batch_is_divided_without_repetition(count, pieces, items):
    numbers = list(range(100, 100 + items))
    dealt = [pair for rank in range(count) for pair in Ranks(rank, count, pieces).deal(numbers)]
    assert sorted(n for own, _ in dealt for n in own) == numbers
    assert sum(weight for _, weight in dealt) == pytest.approx(1)
    assert all(own and weight == len(own) / items for own, weight in dealt)
    assert all(len(Ranks(rank, count, pieces).deal(numbers)) <= pieces for rank in range(count))


TORCHRUN_STEP = {"TORCHELASTIC_RUN_ID": "a", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
SRUN_STEP = {"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ALONE),
        (TORCHRUN_STEP, Ranks(5, 8, local=1)),
        (SRUN_STEP, Ranks(2, 4)),
        (SRUN_STEP | TORCHRUN_STEP, Ranks(5, 8, local=1)),
        (SRUN_STEP | {"SLURM_JOB_NAME": "interactive"}, ALONE),
        ({"SLURM_NTASKS": "4"}, ALONE),
    ],
    ids=["alone", "torchrun", "srun", "torchrun in srun", "interactive", "no step"],
)
def test_the_rank_is_that_of_torchrun_or_srun(variables, expected, monkeypatch):
    for name in SRUN_STEP | TORCHRUN_STEP | {"SLURM_JOB_NAME": ""}:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_process() == expected


def test_training_does_not_join_under_srun_alone(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    for name, value in SRUN_STEP.items():
        monkeypatch.setenv(name, value)
    assert open_ranks() == Ranks()


# Video Swin has neither BatchNorm nor dropout; every part of the loop is on.
MIXED = {"model": "video-swin-t", "frames": 4, "epochs": 4, "batch_size": 9, "drop_path": 0.0}
MIXED |= {"mixup": 0.8, "cutmix": 1.0, "smoothing": 0.1, "ema": 0.9, "lr_warmup": 0.5}
MIXED |= {"scheduler": "cosine", "clip_grad": 1.0, "layer_decay": 0.8, "decay_norms": False}


MASKED = {"windows": 4.0, "epochs": 2, "batch_size": 9, "ema": 0.9, "scheduler": "cosine:0:1e-4"}


RECOGNITION = {"epochs": 3, "width": 16, "depth": 3, "lr": 1e-2, "window": 128, "dropout": 0.0}
RECOGNITION |= {"batch_size": 7, "ema": 0.9, "clip_grad": 1.0, "lr_warmup": 0.5}


@pytest.fixture(scope="module")
def trained_twice(synthetic, filmed, tmp_path_factory):
    """Runs of each task by one process and by two: {task: (one, two)}; dropout 0, one last item."""
    data = load_gesture_data(open_data(str(synthetic)))
    for stream in ("joint", "bone"):
        given = {"data": str(synthetic), "frames": 8, "epochs": 1, "name": f"tiny-{stream}"}
        train_baseline(BaselineSettings.from_arguments({**given, "stream": stream}), data)
    common = {"data": str(synthetic), "device": "cpu"}
    clips = len(data.split.part("train"))
    odd = next(size for size in range(8, 20) if clips % size == 1)
    streams = {"joint_run": "tiny-joint", "bone_run": "tiny-bone", "batch_size": odd}
    # No merging: where two scores are as near as rounding (here to 1e-6, about once an epoch), the
    # other pair may merge in half a batch. That a clip's merging is its own is held by test_cmtf.
    streams["merge"] = 0
    small = {
        "clip_grad": 1.0,
        "ema": 0.9,
        "frames": 8,
        "epochs": 9,
        "warmup": 2,
        "ramp": 1,
        "lr": 2e-3,
        "bank": 4,
        "top_k": 2,
    }
    asked = {
        "emotion": {"dropout": 0.0, "epochs": 3, "width": 8, "heads": 2, "batch_size": 5}
        | {"clip_grad": 0.05, "lr_warmup": 2, "ema": 0.9, "scheduler": "cosine"},
        "gesture": small | streams,
        "baseline": {"frames": 8, "epochs": 2, "batch_size": odd, "mixup": 0.4, "ema": 0.9},
    }
    asked["pictures"] = MIXED | {"data": str(filmed)}
    asked["motion"] = MASKED | {"frames": 8, "temporal_crop": 0.5, "rotation": 0.3}
    asked["video"] = MASKED | {"frames": 4, "kind": "video", "skipped": 0.5, "data": str(filmed)}
    for model in ("frames", "pyramid"):
        asked[model] = RECOGNITION | {"model": model}
    two = {task: {**common, **given, "name": f"two-{task}"} for task, given in asked.items()}
    script = [str(CHECKOUT / "tests/training/two_processes.py"), json.dumps(two)]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    group = TORCHRUN_STEP | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    folder, ranks = tmp_path_factory.mktemp("ranks"), ("0", "1")
    processes = [
        start_python(
            script, os.environ | group | {"RANK": rank, "LOCAL_RANK": rank}, output=folder / rank
        )
        for rank in ranks
    ]
    for task, given in asked.items():
        train, settings = TRAININGS[task]
        train(settings.from_arguments({**common, **given, "name": f"one-{task}"}))
    for rank, process in zip(ranks, processes, strict=True):
        assert process.wait(timeout=300) == 0, (folder / rank).read_text()[-3000:]
    return {task: (find_run(f"one-{task}"), find_run(f"two-{task}")) for task in asked}


@pytest.mark.parametrize("task", [task for task in TRAININGS if task != "baseline"])
def test_two_processes_train_what_one_trains(trained_twice, task):
    one, two = trained_twice[task]
    np.testing.assert_allclose(two.metrics(), one.metrics(), atol=1e-5)
    # Not the weights: AdamW makes steps of what rounding leaves of gradients that are 0.
    first, second = one.predictions(), two.predictions()
    key = first.columns[0]
    assert second[key].is_unique and second[key].tolist() == first[key].tolist()
    numbers = first.select_dtypes("number").columns
    a, b = (table[numbers].to_numpy(dtype=float) for table in (first, second))
    np.testing.assert_allclose(b, a, atol=1e-5)
    assert two.provenance()["machine"]["processes"] == 2


def test_two_processes_have_one_bank(trained_twice):
    one, two = (run.load_weights("last") for run in trained_twice["gesture"])
    bank = "gesture.memory.bank."
    assert torch.equal(one[bank + "source"], two[bank + "source"])
    assert torch.equal(one[bank + "age"], two[bank + "age"])
    assert (one[bank + "source"] >= 0).sum() >= 5
    torch.testing.assert_close(one[bank + "entries"], two[bank + "entries"], atol=1e-5, rtol=1e-4)


def test_batch_norm_of_two_processes_stays_near(trained_twice):
    """Each norms its own half of a batch: the deviation is stated in docs/scaling.md."""
    one, two = trained_twice["baseline"]
    assert len(two.predictions()) == len(one.predictions())
    assert two.predictions().clip_id.is_unique
    difference = (one.metrics().train_loss - two.metrics().train_loss).abs()
    assert 0 < difference.max() < 0.2


def test_a_lost_process_ends_the_run_with_a_sentence_and_it_resumes(synthetic, quick):
    words = {"dropout": 0.0, "epochs": 30, "patience": 30, "name": "lost", "data": synthetic}
    words |= {"width": 8, "heads": 2, "lr": 1e-3, "device": "cpu"}
    options = [str(w) for name, value in words.items() for w in (f"--{name}", value)]
    torchrun = start("-m", "imigue_lab", "train", "emotion", *options)
    history = runs_folder() / "lost" / "metrics.csv"
    while not history.exists() or len(history.read_text().splitlines()) < 4:
        assert torchrun.poll() is None, torchrun.communicate()[0][-2000:]
        time.sleep(0.02)
    workers = psutil.Process(torchrun.pid).children()
    next(w for w in workers if w.environ()["RANK"] == "1").kill()
    output, _ = torchrun.communicate(timeout=60)
    assert torchrun.returncode != 0
    assert output.count("imigue-lab: another process of this run has ended") == 1
    assert "Start the same command again" in output
    before = len(pd.read_csv(history))
    assert 3 <= before < 30
    again = train_emotion(EmotionSettings.from_arguments({**words, "data": str(synthetic)}))
    assert len(again.metrics()) == 30 and again.finished
    whole = train_emotion(
        EmotionSettings.from_arguments({**words, "data": str(synthetic), "name": "w"})
    )
    np.testing.assert_allclose(again.metrics(), whole.metrics(), atol=1e-4)


def test_a_step_in_pieces_is_the_same_step(quick):
    given = {"dropout": 0.0, "batch_size": 5, "seed": 3}
    whole = train_emotion(quick(**given, name="whole-steps"))
    pieces = train_emotion(quick(**given, name="pieces", accumulate=3))
    np.testing.assert_allclose(pieces.metrics(), whole.metrics(), atol=1e-5)


def test_pieces_update_the_memory_as_one_step(trained_twice, synthetic):
    one, _ = trained_twice["gesture"]
    kept = one.settings()["settings"] | {"data": str(synthetic), "name": "in-pieces"}
    kept |= {"joint_run": "tiny-joint", "bone_run": "tiny-bone", "accumulate": 2}
    train, settings = TRAININGS["gesture"]
    again = train(settings.from_arguments(kept))
    np.testing.assert_allclose(again.metrics(), one.metrics(), atol=1e-5)
    source = "gesture.memory.bank.source"
    assert torch.equal(again.load_weights("last")[source], one.load_weights("last")[source])


def test_averaged_and_mixed_curves_are_those_of_one_pass_and_near_in_bfloat16(
    trained_twice, filmed
):
    one, _ = trained_twice["pictures"]
    asked = MIXED | {"data": str(filmed)}
    pieces, bf16 = (
        train_baseline(BaselineSettings(**asked, name=f"mixed-{name}", **{name: value}))
        for name, value in (("accumulate", 3), ("precision", "bf16"))
    )
    np.testing.assert_allclose(pieces.metrics(), one.metrics(), atol=1e-5)
    difference = (bf16.metrics().train_loss - one.metrics().train_loss).abs()
    assert 0 < difference.max() < 0.02  # docs/scaling.md


@pytest.mark.parametrize("task", ["emotion", "gesture", "baseline"])
def test_bfloat16_stays_near_float32_and_is_another_run(trained_twice, synthetic, task):
    one, _ = trained_twice[task]
    kept = one.settings()["settings"] | {"data": str(synthetic), "precision": "bf16", "name": ""}
    if task == "gesture":
        kept |= {"joint_run": "tiny-joint", "bone_run": "tiny-bone"}
    train, settings = TRAININGS[task]
    run = train(settings.from_arguments(kept))
    assert run.settings()["settings"]["precision"] == "bf16"
    assert one.settings()["settings"]["precision"] == "float32"
    difference = (run.metrics().train_loss - one.metrics().train_loss).abs()
    assert 0 < difference.max() < 0.3
    weights = run.load_weights("last").values()
    assert all(w.dtype != torch.bfloat16 for w in weights)


def test_deterministic_runs_configure_torch_and_keep_their_folder(quick, monkeypatch):
    modes = []
    monkeypatch.setattr(torch, "set_deterministic_debug_mode", modes.append)
    run = train_emotion(quick(epochs=1, seed=77, deterministic=True))
    assert modes == ["error"]
    assert train_emotion(quick(epochs=1, seed=77)).folder == run.folder
    assert (
        GestureSettings(deterministic=True).result_settings() == GestureSettings().result_settings()
    )
