"""Trains a recogniser of gestures in whole videos: settings in, a finished run folder out.

`predictions.parquet` has the candidates of every video; those above the threshold are `kept`. The
threshold, and the option of the decoding, are chosen on validation and frozen for the test.
`truth.parquet` has the true segments (`read_truth`).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from imigue_lab.data.index import SPLITS
from imigue_lab.data.samplers import BucketSampler
from imigue_lab.data.skeletons.keypoints import to_stored
from imigue_lab.models.recognition import BUILDERS, Found, FrameNetwork, paint, read
from imigue_lab.training.gesture_clips import open_clip_run
from imigue_lab.training.loop import EpochBatches, Stopping, fit, select_epochs
from imigue_lab.training.ranks import ALONE, Ranks
from imigue_lab.training.recognition.data import (
    Features,
    RecognitionData,
    TrainingWindows,
    frames_of,
    load_recognition_data,
)
from imigue_lab.training.recognition.scores import (
    TRUTH_FILE,
    best_constant,
    best_threshold,
    constant_windows,
    mean_average_precision,
    score_segments,
)
from imigue_lab.training.recognition.settings import RecognitionSettings, Rule
from imigue_lab.training.runs import Row, Run
from imigue_lab.training.session import Device, open_device, open_session

THRESHOLD_FILE = "threshold.json"  # in a run's folder
COLUMNS = ["video_id", "label", "start", "end", "confidence"]


class Choice(NamedTuple):
    """What validation has decided, the content of `THRESHOLD_FILE`."""

    threshold: float
    option: float  # of `FrameNetwork.find` or `Pyramid.find`
    f1: float
    iou: float
    matching: Rule
    split: str
    videos: int


def train_recognition(
    settings: RecognitionSettings,
    loaded: RecognitionData | None = None,
    fit: Callable[..., nn.Module] = fit,
) -> Run:
    """Trains or resumes a run; a finished one is returned at once.

    The test split is read once, after the last epoch, by the model of the kept epoch. With `refit`
    another run finds the number of epochs and the threshold first. `loaded` is what
    `load_recognition_data(settings)` returns, if it is loaded already; `fit` trains: a trial
    (`training.trial`) has its own.
    """
    data = loaded or load_recognition_data(settings)
    selection, data = select_epochs(train_recognition, settings, data)
    run = open_clip_run("recognition", settings, data.identity(), data.split.vocabulary)
    with open_session(run, settings, data.remarks()) as session:
        if session is None:
            return run
        device, ranks = session.device, session.ranks
        checkpoint = checkpoint_of(settings, data)
        model = build_recognition(checkpoint)
        prepare(model, data)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        windows = TrainingWindows(data, settings.window, settings.seed)
        sampler = BucketSampler(windows.lengths, settings.batch_size, settings.seed)
        validating = len(data.labelled("validation")[0]) > 0

        def evaluate(model: Any) -> Row:
            found = choose(device, model, data, settings, "validation", 1, ranks)
            return {"validation_error": 1 - found.f1, "validation_f1": found.f1}

        best: Any = fit(
            session,
            model,
            optimizer,
            settings.scheduler,
            EpochBatches(sampler, windows.read, windows),
            lambda model, batch: model.loss(*batch),
            evaluate if validating else None,
            checkpoint,
            Stopping(settings.epochs, settings.patience, "validation_error", keep=settings.keep),
            selection=selection,
        )
        if selection:
            choice = read_choice(selection)
        else:
            held_out = "validation" if validating else "train"
            choice = choose(device, best, data, settings, held_out, None, ranks)
        tables = [
            candidates(device, best, data.features, data.frames(split), choice.option, ranks)
            for split in SPLITS
        ]
        found = pd.concat(tables, ignore_index=True)
        found["kept"] = found.confidence >= choice.threshold
        found = found.merge(data.videos[["video_id", "subject", "split"]], on="video_id")
        found.insert(0, "segment_id", found.video_id + "_" + found.index.astype(str))
        if ranks.first:
            run.write_json(THRESHOLD_FILE, choice._asdict())
            run.write_table(TRUTH_FILE, data.known)
        scores = score_table(found, data, settings)
        session.finish(
            [found],
            checkpoint["classes"],
            data.remarks() + [f"threshold chosen on {choice.split}"] * (choice.split == "train"),
            scores=scores,
        )
    return run


def checkpoint_of(settings: RecognitionSettings, data: RecognitionData) -> dict[str, Any]:
    """Describes the weights: what they see, and the model's arguments."""
    classes = data.split.vocabulary.classes
    dim = data.features(data.videos.video_id.iloc[0]).shape[1]
    own = {name: getattr(settings, name) for name in ("width", "depth", "dropout")}
    return {
        "task": "recognition",
        "classes": list(classes),
        "keypoints": to_stored(data.layout) if data.layout else "",
        "inputs": settings.inputs,
        "length": data.length,
        "model": settings.model,
        "arguments": {"dim": dim, "classes": len(classes), **own},
    }


def build_recognition(checkpoint: dict[str, Any]) -> FrameNetwork:
    """An untrained model, from the description of the weights."""
    return BUILDERS[checkpoint["model"]](**checkpoint["arguments"])


def load_recognition(run: Run, data: RecognitionData | None = None) -> FrameNetwork:
    """The kept model of a run in eval mode; RunError if it is of another task or other classes."""
    expected: dict[str, Any] = {"task": "recognition"}
    if data:
        expected["classes"] = list(data.split.vocabulary.classes)
    return run.load_model(build_recognition, **expected)


def prepare(model: FrameNetwork, data: RecognitionData) -> None:
    """Sets what is counted in train: means and deviations of features, transitions of classes."""
    known = frames_of(data.labelled("train")[0])
    rows = [torch.from_numpy(data.features(video_id)[::4]) for video_id in known]
    model.trunk.standardise.set(torch.cat(rows))
    true = (torch.from_numpy(data.truth(video_id)) for video_id in known)
    pairs = zip(true, known.values(), strict=True)
    model.count_transitions([paint(own, frames, model.classes) for own, frames in pairs])


def read_choice(run: Run) -> Choice:
    return Choice(**run.read_json(THRESHOLD_FILE, *Choice._fields))


def choose(
    device: Device,
    model: FrameNetwork,
    data: RecognitionData,
    settings: RecognitionSettings,
    split: str,
    options: int | None,
    ranks: Ranks = ALONE,
) -> Choice:
    """The threshold and the option, one of the first so many, with the best F1 on a split."""
    videos, true = data.labelled(split)
    best = Choice(1.0, model.options[0], -1.0, settings.iou, settings.matching, split, len(videos))
    for option in model.options[:options]:
        found = candidates(device, model, data.features, frames_of(videos), option, ranks)
        threshold, f1 = best_threshold(found, true, settings.iou, settings.matching)
        if f1 > best.f1:
            best = best._replace(threshold=threshold, option=option, f1=f1)
    return best


def candidates(
    device: Device,
    model: FrameNetwork,
    features: Callable[[str], Features],
    frames: Mapping[str, int],
    option: float,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """Every candidate in videos of so many frames: `COLUMNS`, by video, class, start and end."""
    model.eval()
    ids, tables = list(frames), [as_table("", Found(*np.empty((4, 0))))]
    for (number,) in ranks.batches_by_length([*frames.values()], 1):
        own = torch.from_numpy(features(ids[number])).to(device.torch_device)
        with device.autocast():
            outputs = read(model, own)
        tables.append(as_table(ids[number], model.find(outputs, option)))
    return ranks.gather_rows(tables).sort_values(COLUMNS, kind="stable", ignore_index=True)


def as_table(video_id: str, found: Found) -> pd.DataFrame:
    """Candidates in whole frames, at least one, the end inclusive."""
    end = np.maximum(np.round(found.stop).astype(int) - 1, 0)
    start = np.minimum(np.round(found.start).astype(int), end)
    columns = {"label": found.label.astype(int), "start": start, "end": end}
    table = pd.DataFrame(columns | {"confidence": found.confidence.astype(float)})
    table.insert(0, "video_id", pd.Series([video_id] * len(table), dtype=str))
    return table


def recognise(
    run: Run, features: dict[str, Features], device: str = "auto", threshold: float = 0.0
) -> pd.DataFrame:
    """The segments that a finished run finds in videos: `COLUMNS`, by video, class and start.

    Args:
        features: of each video, as the run was trained on (`pose_features`).
        threshold: least confidence; 0: the one chosen on validation.
    """
    opened, choice = open_device(device), read_choice(run)
    model = load_recognition(run).to(opened.torch_device)
    frames = {video_id: len(own) for video_id, own in features.items()}
    table = candidates(opened, model, features.__getitem__, frames, choice.option)
    return table[table.confidence >= (threshold or choice.threshold)].reset_index(drop=True)


def score_table(
    found: pd.DataFrame, data: RecognitionData, settings: RecognitionSettings
) -> pd.DataFrame:
    """`score_segments` of validation and test, where labelled, with split, and mAP of the model.

    References: nothing found; and one class in windows side by side, the best on train.
    """
    rule = settings.matching
    trained, true = data.labelled("train")
    label, length = best_constant(true, frames_of(trained), settings.iou, rule)
    constant = f"always {data.split.vocabulary.classes[label]}"
    tables = []
    for split in ("validation", "test"):
        videos, true = data.labelled(split)
        if videos.empty:
            continue
        own = found[found.video_id.isin(videos.video_id)]
        predictors = {"model": own[own.kept], "nothing found": own.iloc[:0]}
        predictors[constant] = constant_windows(frames_of(videos), label, length)
        table = score_segments(predictors, true, videos, rule, settings.seed)
        table["map"] = [mean_average_precision(own, true), np.nan, np.nan]
        table.insert(0, "split", split)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
