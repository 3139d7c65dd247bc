"""The run folder: the one hand-over between notebooks, and what a killed run starts again from.

runs/<task>-<8 hex of settings and data>/
    settings.json         what was asked for, and the data it was asked of
    provenance.json       versions, git commit, device, times, remarks on the data
    metrics.csv           one row an epoch, no clock times
    best.safetensors      weights of the best epoch, with what they may be loaded into
    last.safetensors      weights of the last epoch
    resume.pt             optimiser, scheduler, history: the state after the last whole epoch
    predictions.parquet   one row an interview or clip, keyed by id
    scores.json           the score table; written last: a run that has it is finished
"""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from imigue_lab.data.index import is_synthetic
from imigue_lab.data.workspace import workspace, write_atomically
from imigue_lab.errors import RunError
from imigue_lab.training.settings import Settings

Row = dict[str, float | int]  # one epoch of metrics.csv


@dataclass(frozen=True)
class Run:
    """A run folder; `open_run` makes or finds one."""

    folder: Path

    def settings(self) -> dict[str, Any]:
        return json.loads((self.folder / "settings.json").read_text())

    @property
    def finished(self) -> bool:
        return (self.folder / "scores.json").exists()

    def announce(self, remarks: Iterable[str]) -> bool:
        """Says where the run lies, and what a reader of its scores should know.

        Returns:
            Whether there is something left to train.
        """
        if self.finished:
            print(f"finished before: {self.folder}")
            return False
        print(f"run: {self.folder}")
        for remark in remarks:
            print(f"note: {remark}")
        return True

    def metrics(self) -> pd.DataFrame:
        """One row an epoch."""
        return pd.read_csv(self.folder / "metrics.csv")

    def predictions(self) -> pd.DataFrame:
        """One row an interview or clip, keyed by id."""
        return pd.read_parquet(self.folder / "predictions.parquet")

    def scores(self) -> pd.DataFrame:
        return pd.DataFrame(json.loads((self.folder / "scores.json").read_text()))

    def provenance(self) -> dict[str, Any]:
        """What made it.

        Raises:
            RunError: written in an older form, which named the machine by one string.
        """
        provenance = json.loads((self.folder / "provenance.json").read_text())
        if isinstance(provenance.get("machine"), str):
            raise RunError(
                f"{self.folder / 'provenance.json'} was written by an older version and does not"
                " say enough of its machine: move the folder away and train the run again"
            )
        return provenance

    @property
    def synthetic(self) -> bool:
        """Whether it learned from interviews that this package wrote."""
        provenance = self.provenance()
        return provenance.get("synthetic", is_synthetic(provenance["where"]["data"]))

    def write_json(self, name: str, content: Any) -> None:
        write_atomically(self.folder / name, json.dumps(content, indent=2, allow_nan=True))

    def write_predictions(self, predictions: pd.DataFrame) -> None:
        buffer = io.BytesIO()
        predictions.to_parquet(buffer, index=False)
        write_atomically(self.folder / "predictions.parquet", buffer.getvalue())

    def write_scores(self, scores: pd.DataFrame) -> None:
        """Marks the run as finished: to be written last."""
        write_atomically(self.folder / "scores.json", scores.to_json(orient="records", indent=2))

    def write_history(self, history: list[Row]) -> None:
        write_atomically(self.folder / "metrics.csv", pd.DataFrame(history).to_csv(index=False))

    def save_weights(self, name: str, weights: dict[str, Tensor], checkpoint: dict) -> None:
        """Weights with what they are for, as JSON in the safetensors header."""
        tensors = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
        content = save(tensors, metadata={"checkpoint": json.dumps(checkpoint, sort_keys=True)})
        write_atomically(self.folder / f"{name}.safetensors", content)

    def load_weights(self, name: str, checkpoint: dict | None = None) -> dict[str, Tensor]:
        """Weights by name; refused where `checkpoint` says something else than the file."""
        path = self.folder / f"{name}.safetensors"
        if checkpoint is not None:
            refuse_mismatch(path, self.read_checkpoint(name), checkpoint)
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}

    def read_checkpoint(self, name: str) -> dict:
        """What the weights are for: task, classes, encoders, and the model's arguments."""
        path = self.folder / f"{name}.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                return json.loads((file.metadata() or {})["checkpoint"])
        except FileNotFoundError:
            raise RunError(f"{path}: not there; the run has not finished an epoch") from None
        except (SafetensorError, KeyError) as error:
            raise RunError(f"{path}: not a checkpoint of imigue_lab ({error})") from error

    def save_resume(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.folder / "resume.pt", buffer.getvalue())

    def load_resume(self) -> dict[str, Any] | None:
        """The state after the last whole epoch; None in a new run."""
        path = self.folder / "resume.pt"
        return torch.load(path, weights_only=True, map_location="cpu") if path.exists() else None


def refuse_mismatch(path: Path, found: dict, wanted: dict) -> None:
    """One sentence naming each entry in which a checkpoint differs from what is asked for."""
    differing = [
        tell_apart(key, found.get(key), wanted.get(key))
        for key in sorted(found.keys() | wanted.keys())
        if found.get(key) != wanted.get(key)
    ]
    if differing:
        raise RunError(f"{path}: made for something else: {'; '.join(differing)}; take another run")


def tell_apart(key: str, found: Any, wanted: Any) -> str:
    """Two values beside each other; of two lists, such as of classes, where they part."""
    if not (isinstance(found, list) and isinstance(wanted, list)):
        return f"{key} is {found!r}, wanted {wanted!r}"
    pairs = enumerate(zip_longest(found, wanted, fillvalue="nothing"))
    place, (a, b) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
    return f"{key} has {a!r} at {place}, wanted {b!r}"


def runs_folder() -> Path:
    return workspace() / "runs"


def open_run(task: str, settings: Settings, data: dict[str, Any]) -> Run:
    """The folder of these settings on these data, made when absent.

    Args:
        data: says which data, by content; must hold `digest`.

    Raises:
        RunError: the named folder holds other settings or data; the sentence says which.
    """
    name = settings.name or f"{task}-{settings.fingerprint(json.dumps(data, sort_keys=True))}"
    run = Run(runs_folder() / name)
    asked = {"task": task, "settings": settings.result_settings(), "data": data}
    if (run.folder / "settings.json").exists():
        kept = run.settings()
        flat, kept_flat = flatten(asked), flatten(kept)
        differing = [
            f"{key} is {kept_flat.get(key)!r} there and {flat.get(key)!r} here"
            for key in sorted(flat.keys() | kept_flat.keys())
            if flat.get(key) != kept_flat.get(key)
        ]
        if differing:
            raise RunError(
                f"{run.folder}: holds another run: {'; '.join(differing)}; give another name"
            )
    else:
        run.write_json("settings.json", asked)
    return run


def flatten(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": asked["task"],
        **asked["settings"],
        **{f"data {key}": value for key, value in asked["data"].items()},
    }


def finished_runs(*tasks: str) -> list[Run]:
    """All of some tasks, by their folders' names."""
    runs = [Run(path.parent) for path in sorted(runs_folder().glob("*/scores.json"))]
    return [run for run in runs if run.settings()["task"] in tasks]


def find_run(name: str) -> Run:
    """A finished run by its folder's name or path.

    Raises:
        RunError: there is none; the sentence names those that are there.
    """
    here = runs_folder()
    for folder in (here / name, Path(name).expanduser()):
        if (folder / "scores.json").exists():
            return Run(folder.resolve())
    known = sorted(path.parent.name for path in here.glob("*/scores.json"))
    raise RunError(f"{here / name}: no finished run; there are: {', '.join(known) or 'none'}")
