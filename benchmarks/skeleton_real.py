"""Real data: all streams of a graph network of Table 1 on actions recorded by a depth camera.

    python -m benchmarks.skeleton_real FILE.npz              test, three seeds
    python -m benchmarks.skeleton_real FILE.npz --folds      subject folds of train
    python -m benchmarks.skeleton_real FILE.npz --parts      what each part of a recipe gains

FILE is msraction3d.npz (557 clips of 20 actions, 10 subjects; cross-subject, 284 train, 273 test)
or utkinect.npz (199 clips of 10 actions; the first of its ten published subject draws, 100 train,
99 test); both contain 20 joints in space, x (clips, frames, joints, 3), lengths, y, subject.

The file is written as a plain data root of the workspace, as docs/your_data.md describes.
Everything else are the commands that are printed; run again they continue, or return at once.
`RECIPE` was chosen on the training subjects of msraction3d alone; nothing was tuned on test. To
choose another, give it by `--recipe` together with `--folds`. About 8 minutes a seed and file on
one busy core.

`--parts` is one ablation of a small CTR-GCN over the subject folds of train: each part is added to
a recipe without any. 30 runs of about 70 s on one busy core.
"""

import argparse
import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from imigue_lab.app import main as imigue_lab
from imigue_lab.data.workspace import short_hash, workspace
from imigue_lab.results.compare import compare, percent, show_comparison
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.statistics import interval_of_mean

LAYOUT_OF = {"msraction3d": "msraction20", "utkinect": "kinect20"}
RECIPE = (
    "--augment turn --balance 0 --batch-size 16 --lr 3e-3 --weight-decay 1e-2 --smoothing 0.1"
    " --scheduler cosine --lr-warmup 8 --epochs 40 --patience 40 --keep last"
)
PARTS = (
    "model:{} balance:0 batch_size:16 weight_decay:1e-2 scheduler:cosine lr_warmup:4 epochs:32"
    " patience:32 keep:last"
)


def write_root(file: Path, root: Path) -> None:
    """`videos.csv`, `clips.csv`, `classes.csv`, `keypoints.json` and one array a clip."""
    arrays = np.load(file, allow_pickle=False)
    ids, split = arrays["ids"], arrays["split"]
    if file.stem == "utkinect":
        split = np.where(arrays["vemulapalli_train_mask"][0], "train", "test")
    subjects = [f"subject{number:02}" for number in arrays["subject"]]
    names = arrays["class_names"]
    videos = pd.DataFrame({"video_id": ids, "split": split, "subject": subjects})
    clips = pd.DataFrame({"clip_id": ids, "video_id": ids, "start": 0})
    clips = clips.assign(end=arrays["lengths"] - 1, **{"class": names[arrays["y"]]})
    classes = pd.DataFrame({"class": range(1, len(names) + 1), "name": names})
    (root / "keypoints").mkdir(parents=True, exist_ok=True)
    for name, table in (("videos", videos), ("clips", clips), ("classes", classes)):
        table.to_csv(root / f"{name}.csv", index=False)
    (root / "keypoints.json").write_text(json.dumps({"layout": LAYOUT_OF[file.stem]}))
    for clip_id, points, frames in zip(ids, arrays["x"], arrays["lengths"], strict=True):
        np.save(root / "keypoints" / f"{clip_id}.npy", points[:frames])


def run_command(command: str) -> None:
    print(f"$ imigue-lab {command}", flush=True)
    imigue_lab(shlex.split(command))


def run_streams(root: Path, model: str, recipe: str, seed: int, fold: int) -> dict[str, Run]:
    """The finished runs of each stream and of their fusion."""
    name = f"{root.name}-{model}-{short_hash(recipe)}-{fold}-{seed}".replace("+", "p")
    chosen = f"--model {model} --stream all --fold {fold} --seed {seed} --name {name}"
    run_command(f"train baseline --data {shlex.quote(str(root))} {chosen} {recipe}")
    streams = BaselineSettings(model=model).streams
    return {stream: find_run(f"{name}-{stream}") for stream in streams} | {"all": find_run(name)}


def show_out_of_fold(runs: dict[str, list[Run]]) -> None:
    """Accuracy on the clips that the folds hold out, and what all streams gain over each."""
    tables = {name: pd.concat(run.predictions() for run in own) for name, own in runs.items()}
    for name, table in tables.items():
        held = table[table.split == "validation"].set_index("clip_id").sort_index()
        tables[name] = held.assign(correct=(held.predicted == held.label).astype(float))
    for name, held in tables.items():
        gain = tables["all"].correct - held.correct
        shown = [
            percent(values.mean(), *interval_of_mean(values.to_numpy(), held.subject), sign=sign)
            for values, sign in ((held.correct, ""), (gain, "+"))
        ]
        print(f"{name}: {shown[0]} % of {len(held)} clips of train; all over it {shown[1]} points")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="ctr-gcn")
    parser.add_argument("--recipe", default=RECIPE, help="options of the training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", action="store_true", help="do not read the test split")
    parser.add_argument("--parts", action="store_true", help="an ablation over folds of train")
    options = parser.parse_args()
    root = workspace() / "data" / options.file.stem
    write_root(options.file, root)
    run_command(f"check {root}")
    if options.parts:
        given = PARTS.format(options.model)
        how = "--task baseline --folds 5 --seeds 1 --variants all"
        run_command(f"ablate --data {shlex.quote(str(root))} {how} --given '{given}'")
        return
    cells = [(seed, -1) for seed in range(options.seeds)]
    if options.folds:
        cells = [(0, fold) for fold in range(5)]
    runs: dict[str, list[Run]] = {}
    for seed, fold in cells:
        own = run_streams(root, options.model, options.recipe, seed, fold)
        for name, run in own.items():
            runs.setdefault(name, []).append(run)
    if options.folds:
        show_out_of_fold(runs)
    else:
        table = compare(runs, "all", split="test")
        print(show_comparison(table).to_string(index=False))


if __name__ == "__main__":
    main()
