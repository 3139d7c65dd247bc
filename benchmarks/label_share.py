"""What masked pre-training gains, by the share of clips with a label: MAMP on recorded actions.

    python -m benchmarks.label_share FILE.npz                test, three seeds
    python -m benchmarks.label_share FILE.npz --folds        subject folds of train

FILE is msraction3d.npz or utkinect.npz, see `benchmarks.skeleton_real`. MAMP is pre-trained on all
clips of train without their labels. The same network is then trained on 10, 25, 50 and 100 % of the
labels, once from there and once from random weights, for equally many steps at each share. The
clips of a share are a part of those of each larger share; within each, classes are as even as
possible. Unlabelled ones are left out of clips.csv.

Every run is a command that is printed; run again, finished ones are read. The recipes were chosen
on the training subjects of msraction3d alone; to choose others, give them by options together with
`--folds`. About 50 minutes of one core; `--jobs` are processes that train at the same time.
"""

import argparse
import shlex
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from benchmarks.processes import PRELOADED, command
from benchmarks.skeleton_real import write_root
from imigue_lab.data.workspace import short_hash, workspace
from imigue_lab.results.compare import compare, show_comparison
from imigue_lab.training.runs import find_run

SHARES = 10, 25, 50, 100  # percent of the training clips
PRETRAIN = "--epochs 200 --lr-warmup 10 --batch-size 32 --rotation 0.3 --temporal-crop 0.5"
BOTH = (
    "--augment turn --temporal-crop 0.5 --balance 0 --batch-size 16 --weight-decay 0.05"
    " --smoothing 0.1 --scheduler cosine --patience 100000"
)
TUNE, SCRATCH = "--lr 1e-3 --layer-decay 0.8", "--lr 1e-3"
EPOCHS = 40  # with all labels; with fewer, as many more as make the same number of steps


def write_shares(file: Path, root: Path, seed: int, without: str) -> None:
    """A root of each share; `without` a subject of train, that one is its test split."""
    every = root / "100"
    write_root(file, every)
    videos, clips = (pd.read_csv(every / f"{name}.csv") for name in ("videos", "clips"))
    if without:
        videos = videos[videos.split == "train"]
        videos.loc[videos.subject == without, "split"] = "test"
        videos.to_csv(every / "videos.csv", index=False)
        clips = clips[clips.video_id.isin(videos.video_id)]
    of_train = clips.video_id.isin(videos.video_id[videos.split == "train"])
    shuffled = clips[of_train].sample(frac=1, random_state=seed)
    order = shuffled.groupby("class").cumcount().sort_values(kind="stable").index
    for share in SHARES:
        own = root / f"{share}"
        own.mkdir(exist_ok=True)
        kept = clips[~of_train | clips.index.isin(order[: round(share / 100 * len(order))])]
        kept.to_csv(own / "clips.csv", index=False)
        for name in ("videos.csv", "classes.csv", "keypoints.json", "keypoints"):
            if not (own / name).exists():
                (own / name).symlink_to(every / name)


def run_commands(commands: Iterable[str], jobs: int) -> None:
    """Several at a time, each in its process on one thread; the first error ends all."""
    server = get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(jobs, server, torch.set_num_threads, (1,)) as pool:
        started = []
        for own in commands:
            print(f"$ imigue-lab {own}", flush=True)
            started.append(pool.submit(command, shlex.split(own), int, {}))
        for own in started:
            own.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--shares", type=int, nargs="+", default=SHARES, choices=SHARES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", action="store_true", help="do not read the test split")
    parser.add_argument("--jobs", type=int, default=1, help="processes at the same time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="with all labels")
    parser.add_argument("--pretrain", default=PRETRAIN, help="options of pre-training")
    parser.add_argument("--both", default=BOTH, help="options of both trainings")
    parser.add_argument("--tune", default=TUNE, help="options after pre-training")
    parser.add_argument("--scratch", default=SCRATCH, help="options from random weights")
    options = parser.parse_args()
    file, cells = options.file, [(seed, "") for seed in range(options.seeds)]
    if options.folds:
        write_root(file, workspace() / "data" / file.stem)
        videos = pd.read_csv(workspace() / "data" / file.stem / "videos.csv")
        subjects = videos.subject[videos.split == "train"]
        cells = [(0, subject) for subject in sorted(subjects.unique())]
    first, second = list[str](), list[str]()
    names: dict[int, dict[str, list[str]]] = {share: {} for share in options.shares}
    for seed, without in cells:
        cell = f"{file.stem}{without}-{seed}"
        root = workspace() / "data" / "label_share" / cell
        write_shares(file, root, seed, without)
        common = f"--seed {seed} --keep last --device {options.device}"
        start = f"mamp-{cell}-{short_hash(options.pretrain)}"
        data = f"--data {shlex.quote(str(root / '100'))}"
        unlabelled = f"--windows 0 --probe false {options.pretrain}"
        first.insert(0, f"pretrain motion {data} {common} --name {start} {unlabelled}")
        for share in options.shares:
            data = f"--data {shlex.quote(str(root / str(share)))}"
            epochs = f"--epochs {options.epochs * 100 // share}"
            for arm, commands, how in (
                ("from random weights", first, options.scratch),
                ("pre-trained", second, f"{options.tune} --checkpoint {start}"),
            ):
                recipe = f"{epochs} {options.both} {how}"
                name = f"share-{cell}-{share}-{short_hash(recipe)}"
                given = f"--model mamp {data} {common} --name {name} {recipe}"
                commands.append(f"train baseline {given}")
                names[share].setdefault(arm, []).append(name)
    run_commands(first, options.jobs)
    run_commands(second, options.jobs)
    tables = []
    for share, arms in names.items():
        runs = {arm: [find_run(name) for name in own] for arm, own in arms.items()}
        table = show_comparison(compare(runs, "from random weights", split="test"))
        tables.append(table.assign(labels=f"{share} %").set_index("labels"))
    print(pd.concat(tables).to_string())


if __name__ == "__main__":
    main()
