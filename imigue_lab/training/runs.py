"""The run folder: the output of a trainer, read by every later notebook and by a resumed run.

runs/<task>-<8 hex digits of settings and data>/
    settings.json         task, settings, and the identity of the data
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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from imigue_lab.data.index import is_synthetic
from imigue_lab.data.workspace import workspace, write_atomically
from imigue_lab.errors import RunError
from imigue_lab.training.settings import Settings

Row = dict[str, float | int]  # one epoch of metrics.csv


@dataclass(frozen=True)
class Run:
    """A run folder; `open_run` creates or finds one."""

    folder: Path

    def settings(self) -> dict[str, Any]:
        return json.loads((self.folder / "settings.json").read_text())

    def refuse_other(self, parameter: str, expected: dict[str, Any]) -> None:
        """Raises a RunError if a setting differs; `parameter` is the one that names this run."""
        settings = self.settings()["settings"]
        for name, value in expected.items():
            if settings[name] != value:
                raise RunError(
                    f"{parameter}: run {self.folder.name!r} has {name} {settings[name]}, expected"
                    f" {value}; choose another run, or leave it empty"
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
        return pd.read_csv(self.folder / "metrics.csv")

    def predictions(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "predictions.parquet")

    def scores(self) -> pd.DataFrame:
        return pd.DataFrame(json.loads((self.folder / "scores.json").read_text()))

    def provenance(self) -> dict[str, Any]:
        """Environment, cost, sources and remarks."""
        return json.loads((self.folder / "provenance.json").read_text())

    @property
    def synthetic(self) -> bool:
        provenance = self.provenance()
        return provenance.get("synthetic", is_synthetic(provenance["where"]["data"]))

    def write_json(self, name: str, content: Any) -> None:
        write_atomically(self.folder / name, json.dumps(content, indent=2, allow_nan=True))

    def write_predictions(self, predictions: pd.DataFrame) -> None:
        buffer = io.BytesIO()
        predictions.to_parquet(buffer, index=False)
        write_atomically(self.folder / "predictions.parquet", buffer.getvalue())

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
        if checkpoint is not None:
            refuse_mismatch(path, self.read_checkpoint(name), checkpoint)
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}

    def read_checkpoint(self, name: str) -> dict:
        """The description of the weights, see `save_weights`."""
        path = self.folder / f"{name}.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                return json.loads((file.metadata() or {})["checkpoint"])
        except FileNotFoundError:
            raise RunError(f"{path}: not found; the run has not finished an epoch") from None
        except (SafetensorError, KeyError) as error:
            raise RunError(f"{path}: not a checkpoint of imigue_lab ({error})") from error

    def load_model(self, build: Callable[[dict], nn.Module], **expected: Any) -> Any:
        """The model of the best epoch in eval mode.

        Args:
            build: an untrained model from the description of the weights.
            expected: entries which that description must have.

        Raises:
            RunError: it has others; the sentence names them.
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
        path = self.folder / "resume.pt"
        return torch.load(path, weights_only=True, map_location="cpu") if path.exists() else None


def refuse_mismatch(path: Path, found: dict, expected: dict) -> None:
    """Raises a RunError that names each entry in which a checkpoint differs from what is needed."""
    differing = [
        describe_difference(key, found.get(key), expected.get(key))
        for key in sorted(found.keys() | expected.keys())
        if found.get(key) != expected.get(key)
    ]
    if differing:
        raise RunError(f"{path}: does not fit: {'; '.join(differing)}; choose another run")


def describe_difference(key: str, found: Any, expected: Any) -> str:
    """Both values; of two lists, such as of classes, the first elements that differ."""
    if not (isinstance(found, list) and isinstance(expected, list)):
        return f"{key} is {found!r}, expected {expected!r}"
    pairs = enumerate(zip_longest(found, expected, fillvalue="nothing"))
    place, (a, b) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
    return f"{key} has {a!r} at {place}, expected {b!r}"


def runs_folder() -> Path:
    return workspace() / "runs"


def open_run(task: str, settings: Settings, data: dict[str, Any]) -> Run:
    """The folder for these settings and data, created if absent.

    `data` identifies the data by content and must contain `digest`. Raises RunError if the named
    folder is of other settings or data; the sentence lists the differences.
    """
    name = settings.name or f"{task}-{settings.fingerprint(json.dumps(data, sort_keys=True))}"
    run = Run(runs_folder() / name)
    requested = {"task": task, "settings": settings.result_settings(), "data": data}
    if (run.folder / "settings.json").exists():
        new, old = flatten(requested), flatten(run.settings())
        differing = [
            f"{key} is {old.get(key)!r} there and {new.get(key)!r} here"
            for key in sorted(new.keys() | old.keys())
            if new.get(key) != old.get(key)
        ]
        if differing:
            raise RunError(
                f"{run.folder}: belongs to another run: {'; '.join(differing)}; choose another name"
            )
    else:
        run.write_json("settings.json", requested)
    return run


def flatten(settings: dict[str, Any]) -> dict[str, Any]:
    """The content of `settings.json` on one level."""
    data = {f"data {key}": value for key, value in settings["data"].items()}
    return {"task": settings["task"], **settings["settings"], **data}


def finished_runs(*tasks: str) -> list[Run]:
    """All of these tasks, sorted by folder name."""
    runs = [Run(path.parent) for path in sorted(runs_folder().glob("*/scores.json"))]
    return [run for run in runs if run.settings()["task"] in tasks]


def find_run(name: str) -> Run:
    """A finished run by the name or path of its folder; RunError lists those that exist."""
    for folder in (runs_folder() / name, Path(name).expanduser()):
        if (folder / "scores.json").exists():
            return Run(folder.resolve())
    known = sorted(path.parent.name for path in runs_folder().glob("*/scores.json"))
    raise RunError(
        f"{runs_folder() / name}: no finished run; there are: {', '.join(known) or 'none'}"
    )
