"""Settings of notebooks and commands: names, types, ranges, help texts and presets.

One pydantic model per notebook: its fields, in their order, are the notebook's parameters cell, and
its defaults are what the committed notebook runs with, on synthetic data. Presets are built in, or
saved by a search in `presets/<name>.json` of the workspace.

papermill only warns about an unknown parameter, and converts `-p name 0001` to the number 1. The
cell after the parameters therefore calls `guard(EmotionSettings)`, which parses the text of the
parameters cell and of papermill's injected one from the kernel's history, never the variables: the
result is the same under papermill, in JupyterLab, and when a cell is run again.
"""

import ast
import json
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from imigue_lab.data.workspace import short_hash, workspace, write_atomically
from imigue_lab.errors import SettingsError, without_password

S = TypeVar("S", bound="Settings")
NAME = r"[A-Za-z0-9][\w.-]*"
SCHEDULERS = r"^(none|plateau|cosine(:\d+(\.\d+)?(e-?\d+)?){0,2}|steps(:\d+)+)$"
LONGEST = 60  # characters of a derived name
INJECTED = "# Parameters"  # first line of papermill's cell

RUNS = ("rgb_run", "joint_run", "bone_run", "pose_run", "encoder_run", "checkpoint")
PATHS = ("data", "store", "context", "face", "rgb", "labels", "subjects", "corrections", *RUNS)
# Settings that do not identify a result. What PLACES refer to is in the data of settings.json;
# EXECUTION changes a result by rounding only.
PLACES = (*PATHS, "positive", "preset", "name", "device")
EXECUTION = ("accumulate", "deterministic")


def setting(default: Any, description: str, **bounds: Any) -> Any:
    """A field with its default, the help text of notebooks and commands, and its bounds."""
    return Field(default, description=description, **bounds)


class Settings(BaseModel):
    """Settings of every notebook."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    data: str = setting("synthetic", '"synthetic", or the root of an iMiGUE copy')
    store: str = setting("", "feature store; empty: features/ of the workspace")
    preset: str = setting("", '"paper": values of the paper instead of defaults')
    seed: int = setting(0, "seeds Python, NumPy, torch and the loaders", ge=0)
    name: str = setting(
        "", "run folder under runs/; empty: derived from the settings", pattern=rf"^({NAME})?$"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "auto, cpu, cuda or mps")

    @field_validator(*PATHS, check_fields=False)
    @classmethod
    def from_any_folder(cls, value: str, info: Any) -> str:
        """An absolute path where it exists, and no name: other folders read the same files."""
        path, field = os.path.abspath(os.path.expanduser(value)), info.field_name
        if field == "checkpoint" and "," in value and not os.path.exists(path):
            return ",".join(cls.from_any_folder(part.strip(), info) for part in value.split(","))
        run = field in RUNS and os.sep not in value
        run = run and not (field == "checkpoint" and os.path.isfile(path))  # a published file
        named = value in ("", "synthetic", "synthetic-long") or run
        return path if not named and (field == "store" or os.path.exists(path)) else value

    @classmethod
    def from_arguments(cls: type[S], arguments: dict[str, Any]) -> S:
        """Settings from arguments; the preset's values, then the defaults, fill in the others.

        Raises SettingsError for an unknown name, a wrong type or a value out of range.
        """
        for name in arguments:
            if name not in cls.model_fields:
                near = get_close_matches(name, cls.model_fields, n=1)
                known = f"there are: {', '.join(cls.model_fields)}"
                hint = f"did you mean {near[0]}?" if near else known
                raise SettingsError(f"{name}: no such parameter; {hint}")
        preset = arguments.get("preset", "")
        values = cls.find_preset(preset, arguments) if preset else {}
        try:
            return cls(**values | arguments)
        except ValidationError as error:
            raise SettingsError(describe_error(cls, error)) from error

    @classmethod
    def find_preset(cls, preset: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The values of a built-in preset, or of one that a search has saved in the workspace.

        A preset saved for another task counts as the preset that its search was based on.
        """
        saved = None if preset in cls.presets else read_preset(preset)
        if saved and saved["of"] == cls.__name__:
            return saved["settings"]
        if saved:
            return cls.find_preset(saved["base"], arguments) if saved["base"] else {}
        if preset not in cls.presets:
            known = ", ".join([*cls.presets, *kept_presets()]) or "none"
            raise SettingsError(f"preset: {preset!r} is not known; there are: {known}")
        return cls.built_in_preset(preset, arguments)

    @classmethod
    def built_in_preset(cls, preset: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The values of a preset, which may depend on the arguments."""
        return cls.presets[preset]

    def result_settings(self) -> dict[str, Any]:
        """The settings that change a result: all but PLACES and EXECUTION."""
        return self.model_dump(exclude={*PLACES, *EXECUTION})

    def fingerprint(self, data_digest: str) -> str:
        """8 hex digits of the data and all settings that change the result."""
        return short_hash(sorted(self.result_settings().items()), data_digest)

    def run_name(self, task: str, data_digest: str) -> str:
        """The task, what differs from the defaults, a task's own settings first, as far as LONGEST
        characters allow, and the fingerprint: ``emotion-late-gamma1-8f3a1234``."""
        words, end = [task], self.fingerprint(data_digest)
        kept = sorted(self.result_settings().items(), key=lambda own: own[0] in INHERITED)
        for name, value in kept:
            more, default = [*words, as_word(name, value)], type(self).model_fields[name].default
            if value != default and len("-".join([*more, end])) <= LONGEST:
                words = more
        return "-".join([*words, end])


class TrainSettings(Settings):
    """Settings of every trainer."""

    subjects: str = setting("", "CSV (video_id,subject); empty: those of the data")
    precision: Literal["float32", "bf16"] = setting("float32", "float32, or bf16 for products")
    accumulate: int = setting(1, "passes per step (gradient accumulation)", ge=1)
    deterministic: bool = setting(False, "bit-identical results; slower on a GPU")
    keep: Literal["best", "last"] = setting("best", "epoch that is kept: best or last")
    refit: bool = setting(False, "then train on train + validation for as many epochs")
    lr_warmup: float = setting(0.0, "epochs of linearly rising learning rate", ge=0)
    clip_grad: float = setting(0.0, "largest norm of the gradient; 0: no limit", ge=0)
    ema: float = setting(0.0, "decay of averaged weights; 0: not averaged", ge=0, lt=1)


INHERITED = frozenset(TrainSettings.model_fields)


class ClipSettings(TrainSettings):
    """Settings of the trainers that learn the classes of clips."""

    corrections: str = setting("", "CSV of labels that people corrected; empty: none")
    keypoints: str = setting("auto", "layout of joints; auto: the richest in the files")
    fold: int = setting(-1, "-1 the official split; 0-4 a subject fold", ge=-1, le=4)
    balance: float = setting(0.5, "0: clips once per epoch; 1: classes equally often", ge=0, le=1)
    prior: Literal["natural", "sampled"] = setting(
        "natural", "natural: scores are corrected for balance; sampled: they are not"
    )
    epochs: int = setting(10, "upper limit; may stop earlier", ge=1)
    patience: int = setting(10, "epochs without improvement of validation accuracy", ge=1)
    batch_size: int = setting(32, "clips per step", ge=1)

    @property
    def corrected(self) -> float:
        """The balance for which scores are corrected; 0: they are not."""
        return self.balance if self.prior == "natural" else 0.0


def as_word(name: str, value: Any) -> str:
    """A setting in a file name: ``gamma0.5``, ``refit``, ``no_refit``; of text the value alone."""
    if isinstance(value, bool) or value == "":
        return name if value else f"no_{name}"
    text = value.replace("+", "p") if isinstance(value, str) else f"{name}{value:g}"
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip("_.-") or name


def describe_error(cls: type[BaseModel], error: ValidationError) -> str:
    """The first error of pydantic as one sentence that says what to change."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if not name:
        return first["msg"].removeprefix("Value error, ")
    value, help_text = first["input"], cls.model_fields[name].description
    if first["type"] == "string_type":
        return (
            f"{name}: expected text, got the number {value!r}; papermill converts -p values to"
            f" numbers where it can: use -r {name}, with the text as you typed it"
        )
    got = repr(without_password(value) if isinstance(value, str) else value)
    return f"{name}: {first['msg'].lower()}, got {got} ({help_text})"


def presets_folder() -> Path:
    return workspace() / "presets"


def kept_presets() -> list[str]:
    """Names of the saved presets."""
    return sorted(path.stem for path in presets_folder().glob("*.json"))


def read_preset(name: str) -> dict[str, Any] | None:
    """The content of a saved preset; None if there is none of this name."""
    path = presets_folder() / f"{name}.json"
    if not re.fullmatch(NAME, name) or not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise SettingsError(f"{path}: is not JSON ({error}); delete it, or search again") from error


def write_preset(
    name: str, of: str, base: str, settings: dict[str, Any], origin: dict[str, Any]
) -> Path:
    """Saves settings of the class `of`, which a search found based on preset `base`."""
    path = presets_folder() / f"{name}.json"
    content = {"of": of, "base": base, "settings": settings, "origin": origin}
    write_atomically(path, json.dumps(content, indent=2))
    return path


def guard(cls: type[S]) -> S:
    """The settings of the running notebook, see `settings_from_cells`; prints the workspace and the
    values in force, because a cell that was edited and not run again does not count."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise SettingsError("guard() reads a notebook's cells; in a script, build the settings")
    cells, last = list(shell.user_ns["In"]), shell.last_execution_result
    if last and last.info:  # nbval keeps no history, only the cell before this one
        cells.append(last.info.raw_cell)
    settings = settings_from_cells(cls, cells)
    sys.stderr = sys.stdout  # progress bars are no errors: not on red
    print(f"workspace: {workspace()}\nin force: {in_force(settings)}")
    return settings


def in_force(settings: Settings) -> str:
    """The values that differ from the defaults, without passwords."""
    fields = type(settings).model_fields
    changed = {name: value for name, value in settings if value != fields[name].default}
    values = (f"{name}={without_password(repr(value))}" for name, value in changed.items())
    return ", ".join([*values, "the defaults" if not changed else "otherwise the defaults"])


def settings_from_cells(cls: type[S], cells: Sequence[str]) -> S:
    """Settings from the source of executed cells, oldest first.

    The last parameters cell counts, with the injected cells that ran after it. A literal of the
    parameters cell is an argument only if it differs from the default: others follow the preset.

    Raises SettingsError if no parameters cell was run, or one has what `cls` does not accept.
    """
    parameters, injected = None, []
    for text in cells:
        if text.lstrip().startswith(INJECTED):
            injected.append(text)
        elif is_parameters_cell(cls, text):
            parameters, injected = text, []
    if parameters is None:
        raise SettingsError("the parameters cell was not run; run it, then this cell")
    defaults = {name: repr(field.default) for name, field in cls.model_fields.items()}
    found = read_literals(parameters)
    arguments = {name: v for name, v in found.items() if repr(v) != defaults.get(name)}
    for text in injected:
        arguments |= read_literals(text)
    return cls.from_arguments(arguments)


def is_parameters_cell(cls: type[Settings], text: str) -> bool:
    """Whether every line is ``name: type = literal`` and most names are parameters."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    names = {declared(line) for line in body} - {""}
    return len(names) == len(body) and len(names & set(cls.model_fields)) > len(body) / 2


def declared(line: ast.stmt) -> str:
    """The name in ``name: type = value``; empty for any other statement."""
    if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
        return line.target.id
    return ""


def read_literals(text: str) -> dict[str, Any]:
    """Names and literals of a cell of assignments; SettingsError if a line is something else."""
    literals = {}
    for line in ast.parse(text).body:
        name, value = declared(line), getattr(line, "value", None)
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            name = line.targets[0].id
        if not name or value is None:
            raise SettingsError(f"parameters: {ast.unparse(line)!r} is not name = value")
        try:
            literals[name] = ast.literal_eval(value)
        except ValueError:
            raise SettingsError(
                f"{name}: {ast.unparse(value)!r} is not a plain value; write it out"
            ) from None
    return literals
