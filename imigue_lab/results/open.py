"""Finished runs, opened: settings, predictions, scores, data, best model, and the command.

`load_run(name)` opens a run of any task; views open runs of one task, on the user's choice of data
root, feature store and device. ``"demo"`` is the run that the committed notebook trains, trained
first where it is absent.

The runs of one model on the five subject folds together hold out each item of train and validation
once: out-of-fold scores, to which weights can be fitted without a look at the test.
"""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import pandas as pd
from torch import nn

from imigue_lab.data.corrections import with_corrections
from imigue_lab.data.index import Index
from imigue_lab.data.source import open_data
from imigue_lab.data.splits import FOLDS
from imigue_lab.errors import RunError, some
from imigue_lab.training.emotion.data import EmotionData
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.gesture_clips import USED
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.tokens import GestureTokens
from imigue_lab.training.leaks import pose_runs_of
from imigue_lab.training.recognition.scores import read_truth
from imigue_lab.training.runs import Run, find_run, refuse_other_classes, runs_folder
from imigue_lab.training.scores import labelled, truth_of
from imigue_lab.training.settings import RUNS, Settings, setting
from imigue_lab.training.tasks import TASKS

DEMO = "demo"
OF_FOLD = ("digest", "rgb", "pose", "checkpoint")  # of the data: what another split may change
S = TypeVar("S", bound=Settings)
D = TypeVar("D")


class FusionSettings(Settings):
    """What is fused, and how (`results.fuse`)."""

    runs: str = setting("", "finished runs, with commas")
    weights: str = setting(
        "uniform",
        "uniform, search (on validation), folds (out of fold), or numbers: 2:2:1:1",
        pattern=r"^(uniform|search|folds|\d+(\.\d+)?(:\d+(\.\d+)?)*)$",
    )
    temperature: bool = setting(False, "calibrate by a temperature of validation, or out of fold")


class OpenRun(Generic[S, D]):
    """A finished run; data, index and model are loaded when they are first read.

    Attributes:
        predictions: one row per interview or clip, keyed by id.
        scores: see `training.scores.score_table`.
        settings: every setting, its places among them.
        data: what the model was trained and scored on; refused if changed since.
        index: the videos and clips of the data root.
        model: the best model in eval mode.
    """

    def __init__(self, run: Run, settings: S, data: D | None = None, index: Index | None = None):
        self.run, self.settings = run, settings
        if data is not None:
            self.data = data
        if index is not None:
            self.index = index

    @property
    def task(self) -> str:
        return self.run.settings()["task"]

    def predictions(self) -> pd.DataFrame:
        return self.run.predictions()

    def scores(self) -> pd.DataFrame:
        return self.run.scores()

    @cached_property
    def data(self) -> D:
        refuse_fusion(self.run)
        data = TASKS[self.task].load_data(self.settings)
        refuse_other_data(self.run, data.identity())
        return data

    @cached_property
    def index(self) -> Index:
        labels, subjects = (getattr(self.settings, n, "") for n in ("labels", "subjects"))
        return open_index(self.run, self.settings.data, labels, self.settings.store, subjects)

    @cached_property
    def model(self) -> nn.Module:
        refuse_fusion(self.run)
        return TASKS[self.task].load_model(self.run)

    def __repr__(self) -> str:
        return f"OpenRun({self.task}, {self.run.folder})"


EmotionRun = OpenRun[EmotionSettings, EmotionData]
GestureRun = OpenRun[GestureSettings, GestureTokens]


def load_run(name: str) -> OpenRun[Any, Any]:
    """A finished run of any task by its folder's name or path; "demo" is the demo emotion run.

    Raises RunError if there is none; the message lists those that exist.
    """
    requested = Settings.from_arguments({})
    if name == DEMO:
        return open_run_of("emotion", DEMO, requested)
    run = find_run(name)
    if (task := run.settings()["task"]) == "fusion":
        return OpenRun(run, settings_of(run))
    return open_run_of(task, name, requested)


def open_emotion_run(name: str, requested: Settings) -> EmotionRun:
    """A finished emotion run by its folder's name or path, with its data.

    The `data`, `store` and `device` of `requested` replace the run's own unless they are defaults.
    Raises RunError if there is no such run, it is of another task, or its data have changed;
    DataError if the data no longer exist.
    """
    opened = open_run_of("emotion", name, requested)
    return OpenRun(opened.run, opened.settings, opened.data)


def open_gesture_run(name: str, requested: Settings) -> GestureRun:
    """The same for a gesture run; its pose encoder comes from the runs it was trained with."""
    opened = open_run_of("gesture", name, requested)
    return OpenRun(opened.run, opened.settings, opened.data)


def open_run_of(task: str, name: str, requested: Settings) -> OpenRun[Any, Any]:
    """A run of one task; the demo run is trained where it is absent."""
    where = {name: getattr(requested, name) for name in ("data", "store", "device")}
    where = {n: v for n, v in where.items() if v != Settings.model_fields[n].default}
    found = TASKS[task]
    if name == DEMO:
        settings = found.settings.from_arguments(where)
        data = found.load_data(settings)
        return OpenRun(found.train(settings, data), settings, data)
    run = find_run(name)
    stored = stored_settings(run, task)
    if task == "gesture":
        stored |= pose_runs_of(run.provenance())
    return OpenRun(run, found.settings.from_arguments(stored | where))


def stored_settings(run: Run, task: str) -> dict[str, Any]:
    """Every setting of a run of this task, without its name and preset; RunError for another."""
    kept = run.settings()
    if kept["task"] != task:
        raise RunError(f"{run.folder}: is a run of {kept['task']}; name one of {task}")
    return kept["settings"] | places_of(run) | {"name": "", "preset": ""}


def places_of(run: Run) -> dict[str, Any]:
    """Where its data are, as in the provenance, and its own copy of a file of corrections."""
    where = run.provenance()["where"]
    return where | ({"corrections": str(run.folder / USED)} if where.get("corrections") else {})


def refuse_fusion(run: Run) -> None:
    settings = run.settings()
    if settings["task"] == "fusion":
        raise RunError(
            f"{run.folder}: is a fusion, which has predictions and scores only; load one of its"
            f" runs: {settings['settings']['runs'].replace(',', ', ')}"
        )


def refuse_other_data(run: Run, identity: dict[str, Any]) -> None:
    """What is not a part of the data: the checkpoint that a baseline started from, and the file of
    corrections, whose labels are.
    """
    trained_on, beside = run.settings()["data"], ("checkpoint", "corrections")
    differing = [k for k in trained_on if k not in beside and trained_on[k] != identity.get(k)]
    if differing:
        raise RunError(
            f"{run.folder}: was trained on other data ({', '.join(differing)} differ); name their"
            " root with `data`, or train again"
        )


def open_index(run: Run, data: str, labels: str = "", store: str = "", subjects: str = "") -> Index:
    """The videos and clips of a data root, with the labels that the run was trained on if it has
    its clips; RunError if the run knows an item by another class.
    """
    index = open_data(data, labels, store, subjects)
    segments = run.settings()["task"] == "recognition"
    predictions = read_truth(run) if segments else run.predictions()
    item, truth = predictions.columns[0], truth_of(predictions).name
    if truth == "label":
        both = f"run {run.folder.name} and {index.root}"
        refuse_other_classes(both, run.vocabulary(), index.vocabulary)
    seen = predictions[item][predictions.split != "test"]
    if truth == "label" and seen.isin(index.clips.clip_id).any():
        index = with_corrections(index, places_of(run).get("corrections", ""))
    table = (index.videos if item == "video_id" else index.clips).set_index(item)
    known = predictions[predictions[item].isin(table.index)]
    before, now = known[truth].astype("Int64"), table[truth].loc[known[item]].astype("Int64")
    if truth == "outcome":  # the order may be another one
        before = name_places(before, run.outcomes())
        now = name_places(now, index.vocabulary.outcomes)
    changed = known[item][(before != now.to_numpy()).fillna(False)]
    if len(changed):
        raise RunError(
            f"{index.root}: {len(changed)} items have another {truth} than in run"
            f" {run.folder.name}, {some(changed)}; name the data that it was trained on, or train"
            " again"
        )
    return replace(index, keypoints=run.settings()["settings"].get("keypoints", ""))


def name_places(places: pd.Series, names: Sequence[str]) -> pd.Series:
    return places.map(dict(enumerate(names))).astype("string")


def settings_of(run: Run) -> Settings:
    """Every setting of a run, its places, name, preset and device among them."""
    kept, where = run.settings(), places_of(run)  # of a fusion: its first member's
    own = FusionSettings if kept["task"] == "fusion" else TASKS[kept["task"]].settings
    places = {name: value for name, value in where.items() if name in own.model_fields}
    return own.from_arguments(kept["settings"] | places)


def base_of(settings: Settings) -> Settings:
    """The values of the preset, or the defaults; recipe and frames follow from the model."""
    return type(settings).from_arguments(leading_settings(settings))


def explicit_settings(settings: Settings) -> dict[str, Any]:
    """The settings to give in order to get all of them: those that differ from `base_of`."""
    base = base_of(settings).model_dump()
    differing = {name: v for name, v in settings.model_dump().items() if v != base[name]}
    return leading_settings(settings) | differing


def leading_settings(settings: Settings) -> dict[str, Any]:
    """Model and preset, on which the defaults of others depend, if they are not the default."""
    fields, values = type(settings).model_fields, settings.model_dump(include={"model", "preset"})
    return {name: v for name, v in values.items() if v != fields[name].default}


def command_of(run: Run, **other: Any) -> str:
    """The shell command that trains this run again, or with other settings, on the same data."""
    settings = settings_of(run)
    known = {name: value for name, value in other.items() if name in type(settings).model_fields}
    explicit = explicit_settings(settings := settings.model_copy(update=known))
    if isinstance(settings, FusionSettings):
        words = ["imigue-lab", "fuse", *settings.runs.split(",")]
        words += ["--temperature"] * settings.temperature
        explicit = {n: explicit[n] for n in ("weights", "name", "seed") if n in explicit}
    else:
        words = ["imigue-lab", "train", run.settings()["task"]]
    for name, value in explicit.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def finished_runs(*tasks: str) -> list[Run]:
    """All of these tasks, sorted by folder name; a damaged one is named and left out."""
    runs = []
    for path in sorted(runs_folder().glob("*/scores.json")):
        run = Run(path.parent)
        try:
            if run.settings()["task"] in tasks:
                run.scores(), run.provenance()
                runs.append(run)
        except RunError as error:
            print(f"note: left out: {error}")
    return runs


def fold_runs(run: Run) -> list[Run]:
    """The finished runs on subject folds 0 to 4 with the settings and data of this one.

    With `refit` they are those without: they hold out all that it trained or was selected on.
    Raises RunError if a fold has none, or several that differ, or the run itself is on a fold.
    """
    name, task = run.folder.name, run.settings()["task"]
    if (fold := run.settings()["settings"].get("fold")) != -1:
        raise RunError(
            f"{name}: expected a run on the official split, whose runs on folds are found by their"
            f" settings, got {task} of fold {fold}; name others, or weights"
        )
    found: dict[int, Run] = {}
    for other in finished_runs(task):
        kept = other.settings()
        fold, refit = kept["settings"]["fold"], kept["settings"].get("refit")
        if fold < 0 or refit or model_of(other) != model_of(run) or not holds_out(other, run):
            continue
        if fold in found and found[fold].settings()["data"] != kept["data"]:
            both = f"{found[fold].folder.name} and {other.folder.name}"
            raise RunError(f"{name}: {both} are both of fold {fold}; delete one")
        found.setdefault(fold, other)
    if missing := [fold for fold in range(FOLDS) if fold not in found]:
        given = {"fold": missing[0], "refit": False, "name": "", **dict.fromkeys(RUNS, "")}
        raise RunError(
            f"{name}: expected finished runs of these settings on folds 0 to 4, got none on"
            f" {', '.join(map(str, missing))}; train each, as by {command_of(run, **given)}"
        )
    return [found[fold] for fold in range(FOLDS)]


def model_of(run: Run) -> dict[str, Any]:
    """Settings and data, up to what the split decides."""
    kept = run.settings()
    data = {name: name in OF_FOLD or value for name, value in kept["data"].items()}
    return kept["settings"] | {"fold": -1, "refit": False, "data": data}


def holds_out(fold: Run, run: Run) -> bool:
    """Whether what a fold holds out is in train and validation of the run, with the same truth."""
    held, known = labelled(fold.predictions(), "validation"), run.predictions()
    known = known[known.split != "test"].set_index(known.columns[0])
    truth = truth_of(known).reindex(held[held.columns[0]])
    return len(held) > 0 and truth_of(held).tolist() == truth.tolist()


def pooled(folds: list[list[Run]]) -> list[pd.DataFrame]:
    """What each list of runs predicts of the items that they hold out, with the item's `fold`."""
    held = [[labelled(run.predictions(), "validation") for run in runs] for runs in folds]
    return shared_items(
        [pd.concat(t.assign(fold=fold) for fold, t in enumerate(own)) for own in held]
    )


def shared_items(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The items that all tables have, in the order of ids."""
    item = tables[0].columns[0]
    shared = set.intersection(*(set(table[item]) for table in tables))
    kept = [table[table[item].isin(shared)] for table in tables]
    return [table.sort_values(item, ignore_index=True) for table in kept]
