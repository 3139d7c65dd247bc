"""The run folder: the output of a trainer, read by every later notebook and by a resumed run.

runs/<task>-<settings that differ from the defaults>-<8 hex digits of settings and data>/
    settings.json         task, settings, and the identity of the data
    vocabulary.json       classes of the data: names, ids, groups
    provenance.json       versions, git commit, device, times, remarks on the data
    metrics.csv           one row per epoch, without clock times
    best.safetensors      weights of the best epoch, with a description of what they fit
    last.safetensors      weights of the last epoch
    resume.pt             optimiser, scheduler, history: the state after the last complete epoch
    predictions.parquet   one row per interview or clip, keyed by id
    scores.json           the score table; written last: it marks a finished run
"""

import io
import json
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pyarrow.parquet import read_metadata
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from imigue_lab.data.index import is_synthetic
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.data.workspace import short_hash, workspace, write_atomically
from imigue_lab.errors import RECORDING, WEIGHTS, RunError, advice, bounded
from imigue_lab.training.settings import Settings

Row = dict[str, float | int]  # one epoch of metrics.csv
NEW = "delete the folder and train again"
REWRITE = "delete scores.json and start the same command again, which writes the results anew"
LAST = f"copy last.safetensors over it to go on with the last epoch's weights, or {NEW}"
ADVICE = {
    **dict.fromkeys(("settings.json", "resume.pt", "training_clips.parquet"), NEW),
    **dict.fromkeys(("scores.json", "provenance.json", "predictions.parquet"), REWRITE),
    **dict.fromkeys(("metrics.csv", "truth.parquet"), REWRITE),
    "best.safetensors": LAST,
}
ROWS = 20_000_000  # of a table: a short file can repeat one without end
AGAIN = "delete what is there and start the same command again, which makes it anew"
UNREADABLE = (  # what the readers of these formats raise for a cut, empty or other file
    *(OSError, ValueError, LookupError, TypeError, RuntimeError, EOFError),
    *(SafetensorError, pickle.UnpicklingError),
)


@dataclass(frozen=True)
class Run:
    """A run folder; `open_run` creates or finds one."""

    folder: Path

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """The path of a file; if it is damaged, a RunError says what to do."""
        path, otherwise = self.folder / name, ADVICE.get(name, AGAIN)
        try:
            bounded(path, WEIGHTS if path.suffix in (".pt", ".safetensors") else RECORDING)
            if path.suffix == ".parquet" and (rows := read_metadata(path).num_rows) > ROWS:
                raise OSError(0, f"it has {rows:,} rows, the most are {ROWS:,}")
            yield path
        except FileNotFoundError:
            raise RunError(f"{path}: not found; {otherwise}") from None
        except UNREADABLE as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise RunError(f"{path}: cannot be read ({why}); {advice(error, otherwise)}") from error

    def read_json(self, name: str, *keys: str) -> Any:
        """An object with these keys, or without keys a list of rows."""
        with self.reading(name) as path:
            content = json.loads(path.read_text())
            rows = [content] if keys else content
            fits = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
            if not fits or not all(key in row for row in rows for key in keys):
                raise ValueError("other content")
            return content

    def settings(self) -> dict[str, Any]:
        return self.read_json("settings.json", "task", "settings", "data")

    def vocabulary(self) -> Vocabulary:
        """Of the data that it was trained on."""
        content = self.read_json("vocabulary.json", "name", "classes", "ids")
        with self.reading("vocabulary.json"):
            return Vocabulary.from_dict(content)

    def refuse_other(self, parameter: str, expected: dict[str, Any]) -> None:
        """Raises a RunError if a setting differs; `parameter` is the one that names this run."""
        settings = self.settings()["settings"]
        if differing := differences({name: settings[name] for name in expected}, expected):
            raise RunError(
                f"{parameter}: run {self.folder.name!r} does not fit: {differing}; choose another"
                " run, or leave it empty"
            )

    @property
    def finished(self) -> bool:
        return (self.folder / "scores.json").exists()

    def announce(self, remarks: Iterable[str]) -> bool:
        """Prints the folder and the remarks on the scores; whether something is left to train."""
        if self.finished:
            print(f"already finished: {self.folder}")
            return False
        print(f"run: {self.folder}", *(f"note: {remark}" for remark in remarks), sep="\n")
        return True

    def metrics(self) -> pd.DataFrame:
        with self.reading("metrics.csv") as path:
            metrics = pd.read_csv(path)
            if "epoch" not in metrics:
                raise ValueError("other content")
            return metrics

    def predictions(self) -> pd.DataFrame:
        with self.reading("predictions.parquet") as path:
            predictions = pd.read_parquet(path)
            if "split" not in predictions:  # of a folder in its place, too
                raise ValueError("other content")
            return predictions

    def scores(self) -> pd.DataFrame:
        scores = pd.DataFrame(self.read_json("scores.json"))
        if len(scores) and "clusters" not in scores:
            path = self.folder / "scores.json"
            raise RunError(f"{path}: was written by an earlier version; {REWRITE}")
        return scores

    def provenance(self) -> dict[str, Any]:
        """Environment, cost, sources and remarks."""
        return self.read_json("provenance.json", "where", "remarks")

    @property
    def synthetic(self) -> bool:
        known = self.provenance()
        return known["synthetic"] if "synthetic" in known else is_synthetic(known["where"]["data"])

    def write_json(self, name: str, content: Any) -> None:
        write_atomically(self.folder / name, json.dumps(content, indent=2, allow_nan=True))

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_atomically(self.folder / name, buffer.getvalue())

    def write_predictions(self, predictions: pd.DataFrame) -> None:
        self.write_table("predictions.parquet", predictions)

    def write_scores(self, scores: pd.DataFrame) -> None:
        """Marks the run as finished, so it is written last."""
        write_atomically(self.folder / "scores.json", scores.to_json(orient="records", indent=2))

    def write_history(self, history: list[Row]) -> None:
        write_atomically(self.folder / "metrics.csv", pd.DataFrame(history).to_csv(index=False))

    def save_weights(self, name: str, weights: dict[str, Tensor], checkpoint: dict) -> None:
        """Stores weights with what they fit, as JSON in the safetensors header.

        That `checkpoint` has the task, classes, encoders, and the arguments of the model.
        """
        tensors = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
        content = save(tensors, metadata={"checkpoint": json.dumps(checkpoint, sort_keys=True)})
        write_atomically(self.folder / f"{name}.safetensors", content)

    def load_weights(self, name: str, checkpoint: dict | None = None) -> dict[str, Tensor]:
        """Weights by name; RunError if the description in the file differs from `checkpoint`."""
        path = self.folder / f"{name}.safetensors"
        differing = differences(self.read_checkpoint(name), checkpoint) if checkpoint else ""
        if differing:
            raise RunError(f"{path}: does not fit: {differing}; choose another run")
        with self.reading(path.name), safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}

    def weights_digest(self) -> str:
        """Changes with the weights of the best epoch."""
        return short_hash((self.folder / "best.safetensors").read_bytes())

    def read_checkpoint(self, name: str) -> dict:
        """The description of the weights, see `save_weights`."""
        with self.reading(f"{name}.safetensors") as path, safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {})["checkpoint"])

    def outcomes(self) -> tuple[str, ...]:
        """In the order of an emotion run's predictions; of two the last is the positive."""
        return self.vocabulary().outcomes

    def load_model(self, build: Callable[[dict], nn.Module], **expected: Any) -> Any:
        """The model of the best epoch in eval mode.

        `build` makes an untrained one from the description of the weights, which must have the
        entries `expected`. Raises RunError if it has others; the sentence names them.
        """
        found = self.read_checkpoint("best")
        weights = self.load_weights("best", found | expected)
        model = build(found)
        model.load_state_dict(weights)
        return model.eval()

    def save_resume(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.folder / "resume.pt", buffer.getvalue())

    def load_resume(self) -> dict[str, Any] | None:
        """The state after the last complete epoch; None in a new run."""
        if not (self.folder / "resume.pt").exists():
            return None
        with self.reading("resume.pt") as path:
            return torch.load(path, weights_only=True, map_location="cpu")


def differences(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """Each entry that differs, with both values; empty if none does."""
    return "; ".join(
        describe_difference(key, found.get(key), expected.get(key))
        for key in sorted(found.keys() | expected.keys())
        if found.get(key) != expected.get(key)
    )


def refuse_other_classes(both: str, first: Vocabulary, second: Vocabulary) -> None:
    """Raises a RunError unless they have the same classes; `both` names the two owners."""
    if first.classes != second.classes:
        lists = list(second.classes), list(first.classes)
        raise RunError(
            f"{both}: their classes differ: {describe_difference('the second', *lists)}; choose"
            " runs of one vocabulary, or give both data the same classes.csv"
        )


def describe_difference(key: str, found: Any, expected: Any) -> str:
    """Both values; of two lists, such as of classes, the first elements that differ; of two things
    with a name, such as own keypoint layouts, their names."""
    if isinstance(found, dict) and isinstance(expected, dict):
        names = [value.get("name") for value in (found, expected)]
        found, expected = names if names[0] != names[1] else (found, expected)
    if not (isinstance(found, list) and isinstance(expected, list)):
        return f"{key} is {found!r}, expected {expected!r}"
    pairs = enumerate(zip_longest(found, expected, fillvalue="nothing"))
    place, (a, b) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
    return f"{key} has {a!r} at {place}, expected {b!r}"


def runs_folder() -> Path:
    return workspace() / "runs"


def open_run(task: str, settings: Settings, data: dict[str, Any], vocabulary: Vocabulary) -> Run:
    """The folder for these settings and data, created if absent.

    `data` identifies the data, names of classes included, by content and must contain `digest`; the
    ids and groups of the vocabulary are those of the last call. Raises RunError if the named folder
    is of other settings or data; the sentence lists the differences.
    """
    name = settings.name or settings.run_name(task, json.dumps(data, sort_keys=True))
    run = Run(runs_folder() / name)
    requested = {"task": task, "settings": settings.result_settings(), "data": data}
    if (run.folder / "settings.json").exists():
        if others := differences(flatten(run.settings()), flatten(requested)):
            raise RunError(f"{run.folder}: belongs to another run: {others}; choose another name")
    else:
        run.write_json("settings.json", requested)
    if not (run.folder / "vocabulary.json").exists() or vocabulary != run.vocabulary():
        run.write_json("vocabulary.json", vocabulary.to_dict())
    return run


def flatten(settings: dict[str, Any]) -> dict[str, Any]:
    """The content of `settings.json` on one level."""
    data = {f"data {key}": value for key, value in settings["data"].items()}
    return {"task": settings["task"], **settings["settings"], **data}


def find_run(name: str) -> Run:
    """A finished run by the name or path of its folder; RunError lists those that exist."""
    for folder in (runs_folder() / name, Path(name).expanduser()):
        if os.path.exists(folder / "scores.json"):  # false, too, for a name that is too long
            return Run(folder.resolve())
    known = ", ".join(sorted(path.parent.name for path in runs_folder().glob("*/scores.json")))
    raise RunError(f"{runs_folder() / name}: no finished run; there are: {known or 'none'}")
