"""Actions of a depth camera in streams: both recognisers against sliding windows of a clip model.

    python -m benchmarks.recognition_real FILE.npz [--seeds 3] [--clips 14] [--epochs 60]

FILE is msraction3d.npz (see `benchmarks.skeleton_real`). The clips of each subject, in random
order, become streams of so many, with rest of 0.5 to 2 s between: the last pose is held, then
blended into the next first one. Of the 5 training subjects the last is the validation split, on
which all thresholds are chosen; the other 5 are the test. Nothing was tuned on test.

The clip model is a graph network trained on the same clips; its windows are as long as the
quartiles of the training clips. A seed decides streams and training; gains over sliding windows
are paired by subject and seed. Run again it continues, or returns at once. 3 minutes a seed on one
core.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32

from imigue_lab.data.index import Index
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.segments import slide, with_windows
from imigue_lab.data.workspace import workspace
from imigue_lab.inference.segments import choose_threshold, segments_of
from imigue_lab.results.score_tables import with_intervals
from imigue_lab.training.baselines.data import load_baseline_data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import load_baseline, predict, train_baseline
from imigue_lab.training.recognition.data import load_recognition_data
from imigue_lab.training.recognition.scores import IOUS, count_segments, ratios, score_segments
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import train_recognition
from imigue_lab.training.runs import Run
from imigue_lab.training.session import open_device
from imigue_lab.training.statistics import draw_groups, percentiles

FPS = 15.0
REST = (8, 30)  # frames
MODELS = ("frames", "pyramid")
RECIPE = {"augment": "turn", "balance": 0, "batch_size": 16, "lr": 3e-3, "weight_decay": 1e-2}
RECIPE |= {"smoothing": 0.1, "scheduler": "cosine", "lr_warmup": 8, "keep": "last"}
Stream = Float32[np.ndarray, "T V 3"]
Compared = tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.DataFrame]


def rest(last: Stream, first: Stream, rng: np.random.Generator) -> Stream:
    """Frames between two poses of one frame: the first half still, the others blended."""
    frames = int(rng.integers(*REST))
    share = np.clip(2 * np.arange(frames) / frames - 1, 0, 1)[:, None, None]
    return ((1 - share) * last + share * first).astype(np.float32)


def write_streams(file: Path, root: Path, clips: int, seed: int) -> None:
    """A plain root, see docs/your_data.md, of streams of so many clips, or one more."""
    arrays = np.load(file, allow_pickle=False)
    rng, rows, spans = np.random.default_rng(seed), [], []
    held_out = arrays["subject"][arrays["split"] == "train"].max()
    (root / "keypoints").mkdir(parents=True, exist_ok=True)
    for subject in np.unique(arrays["subject"]):
        own = rng.permutation(np.flatnonzero(arrays["subject"] == subject))
        split = "validation" if subject == held_out else arrays["split"][own[0]]
        for number, chosen in enumerate(np.array_split(own, max(1, len(own) // clips))):
            video_id = f"subject{subject:02}_{number}"
            parts, frames = list[Stream](), 0
            for clip in chosen:
                points = arrays["x"][clip][: arrays["lengths"][clip]]
                parts.append(rest(parts[-1][-1:] if parts else points[:1], points[:1], rng))
                start = frames + len(parts[-1])
                frames = start + len(points)
                parts.append(points)
                name = arrays["class_names"][arrays["y"][clip]]
                spans.append((f"{video_id}_{start}", video_id, start, frames - 1, name))
            parts.append(rest(points[-1:], points[-1:], rng))
            np.save(root / "keypoints" / f"{video_id}.npy", np.concatenate(parts))
            rows.append((video_id, split, f"subject{subject:02}"))
    names = arrays["class_names"]
    tables = {
        "videos": pd.DataFrame(rows, columns=["video_id", "split", "subject"]),
        "clips": pd.DataFrame(spans, columns=["clip_id", "video_id", "start", "end", "class"]),
        "classes": pd.DataFrame({"class": range(1, len(names) + 1), "name": names}),
    }
    for name, table in tables.items():
        table.to_csv(root / f"{name}.csv", index=False)
    (root / "keypoints.json").write_text(json.dumps({"layout": "msraction20"}))


def slide_over(run: Run, index: Index, frames: dict[str, int]) -> dict[str, pd.DataFrame]:
    """Probabilities of windows over streams of so many frames, by a finished baseline."""
    own = BaselineSettings(**run.settings()["settings"])
    train = index.clips[index.clips.split == "train"]
    lengths = np.quantile((train.end - train.start + 1) / FPS, [0.25, 0.75]).tolist()
    windows = {video: slide(count, FPS, lengths) for video, count in frames.items()}
    alone = replace(index, videos=index.videos.assign(split="train"))
    data, device = load_baseline_data(own, with_windows(alone, windows)), open_device("cpu")
    scored = predict(device, load_baseline(run), data.clips("train", own), data, own.batch_size)
    spans = data.split.clips[["clip_id", "start", "end"]]
    return {str(video): rows for video, rows in spans.merge(scored).groupby("video_id")}


def compare(root: Path, seed: int, epochs: int, model: str) -> Compared:
    """Segments in the test streams by sliding windows and both recognisers; true ones; streams."""
    index, found = read_index(root), dict[str, pd.DataFrame]()
    place = {"data": str(root), "seed": seed, "epochs": epochs, "patience": epochs}
    recipe = RECIPE | {"model": model, "name": f"{root.name}-{model}-{epochs}-{seed}"}
    sliding = train_baseline(BaselineSettings.from_arguments(place | recipe))
    settings = RecognitionSettings.from_arguments(place | {"lr": 2e-3})
    data = load_recognition_data(settings)
    windows, times = dict[str, dict[str, pd.DataFrame]](), {}
    for split in ("validation", "test"):
        windows[split] = slide_over(sliding, index, data.frames(split))
        for video_id, frames in data.frames(split).items():
            times[video_id] = np.arange(frames + 1) / FPS
    threshold, _ = choose_threshold(windows["validation"], data.labelled("validation")[1], times)
    found["sliding windows"] = segments_of(windows["test"], times, threshold)
    for name in MODELS:
        changes = {"model": name, "name": f"{root.name}-{name}-{epochs}-{seed}"}
        table = train_recognition(settings.model_copy(update=changes), data).predictions()
        found[name] = table[table.kept & (table.split == "test")]
    videos, true = data.labelled("test")
    return found, true, videos


def gains(seeds: list[Compared]) -> pd.DataFrame:
    """F1 of each finder, mean and standard deviation over seeds, and its gain over the first one
    with the 95 % interval over draws of subjects, who are those of every seed.
    """
    subjects = sorted(set(seeds[0][2].subject))
    draws = np.vstack([np.ones(len(subjects)), draw_groups(len(subjects), seed=0)])

    def drawn(finder: str, iou: float) -> np.ndarray:
        """F1 by seed, of all subjects and of each draw."""
        rows = []
        for found, true, videos in seeds:
            ids = videos.video_id.tolist()
            counts = count_segments(found[finder], true, ids, iou, "one-to-one")
            sums = counts.groupby(videos.subject.to_numpy()).sum().loc[subjects]
            rows.append(
                ratios(**{name: draws @ own.to_numpy() for name, own in sums.items()})["f1"]
            )
        return np.stack(rows)

    finders, rows = list(seeds[0][0]), []
    for iou in IOUS:
        first = drawn(finders[0], iou)
        for finder in finders:
            own = drawn(finder, iou)
            each = own - first
            gain = each.mean(axis=0)
            low, high = percentiles({"gain": gain[1:]}, len(subjects))["gain"]
            row = {
                "finder": finder,
                "iou": iou,
                "f1": own[:, 0].mean(),
                "sd": own[:, 0].std(ddof=1),
            }
            by_seed = ", ".join(f"{value:+.2f}" for value in each[:, 0])
            rows.append(row | {"gain": gain[0], "low": low, "high": high, "by": by_seed})
    return pd.DataFrame(rows).round(3)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=14, help="of a stream")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--model", default="st-gcn", help="of the sliding windows")
    options = parser.parse_args(arguments)
    compared = []
    for seed in range(options.seeds):
        root = workspace() / "data" / f"{options.file.stem}-streams-{options.clips}-{seed}"
        write_streams(options.file, root, options.clips, seed)
        compared.append(compare(root, seed, options.epochs, options.model))
        scores = score_segments(*compared[-1])
        for name in ("f1_10", "f1_30", "f1_50"):
            scores[name] = with_intervals(scores, name)
        shown = [column for column in scores if not column.endswith("_interval")]
        print(f"seed {seed}", scores[shown].to_string(index=False), sep="\n")
    print(gains(compared).to_string(index=False))


if __name__ == "__main__":
    main()
