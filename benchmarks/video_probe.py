"""What masked pre-training on synthetic video teaches: a linear probe over the epochs.

    python -m benchmarks.video_probe [SEED]        about 8 minutes of one core

Long synthetic interviews are made with seed 1, or another one, and a small VideoMAE learns from
windows of them without labels; both commands are printed. The probe is fitted to features of the
labelled clips of train and scored on those of validation, of other persons. Fails unless it gains
over an untrained encoder (95 % interval over subjects, and a sign-flip test of their gains), or if
the reconstruction is no better than the mean visible token.
"""

import shlex
import sys

import torch

from benchmarks.processes import command
from imigue_lab.data.workspace import workspace
from imigue_lab.training.pretraining.data import load_pretraining_data
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.pretraining.train import (
    PROBES,
    build_pretraining,
    checkpoint_of,
    correct_by,
    features,
    load_pretraining,
)
from imigue_lab.training.runs import find_run
from imigue_lab.training.session import Device
from imigue_lab.training.statistics import interval_of_mean, sign_flip_p

VIDEOS, EPOCHS = 192, 8
SPLITS = "train", "validation"


def main(seed: str = "1") -> None:
    root, name = workspace() / "data" / f"video-probe-{seed}", f"video-probe-{seed}"
    made = f"make-data --size long --videos {VIDEOS} --seed {seed} {shlex.quote(str(root))}"
    given = f"--windows 2 --epochs {EPOCHS} --name {name}"
    learnt = f"pretrain video --data {shlex.quote(str(root))} {given}"
    for words in [made] * (not root.exists()) + [learnt]:
        print(f"$ imigue-lab {words}", flush=True)
        command(shlex.split(words), int, {})
    run = find_run(name)
    print(run.metrics()[["epoch", "validation_loss", "probe_accuracy"]].to_string(index=False))
    scores = run.scores()
    print(scores.to_string(index=False))
    settings = PretrainSettings.from_arguments(run.settings()["settings"] | {"data": str(root)})
    data = load_pretraining_data(settings)
    torch.manual_seed(settings.seed)
    untrained = build_pretraining(checkpoint_of(settings, data))
    device, right = Device(torch.device("cpu")), []
    for model in (load_pretraining(run), untrained):
        parts = [features(device, model, data.examples(own, settings), 64) for own in SPLITS]
        right.append(correct_by(PROBES["linear"], *parts).astype(float))
    subjects = data.labelled.split.clips.set_index("clip_id").subject.loc[parts[1].index]
    gain, cluster = right[0] - right[1], subjects.reset_index(drop=True)
    low, high = interval_of_mean(gain, cluster)
    p = sign_flip_p(gain, cluster)
    print(f"the probe gains {gain.mean():.3f} ({low:.3f} to {high:.3f}) on {len(gain)} clips of")
    print(f"{cluster.nunique()} subjects, sign-flip p {p:.3f}")
    print(cluster.to_frame().assign(gain=gain).groupby("subject").gain.mean().round(3).to_string())
    error = scores[scores.split == "validation"].set_index("predictor").error_interval
    if error["model"][1] >= error["mean visible token"][0]:
        sys.exit("the reconstruction is no better than the mean visible token")
    if low <= 0 or p >= 0.05:
        sys.exit("the probe does not gain over an untrained encoder")


if __name__ == "__main__":
    main(*sys.argv[1:])
