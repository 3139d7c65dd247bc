"""Presets that a search has kept: the best settings under a name, for `-p preset <name>`.

`presets/<name>.json` of the workspace holds whose settings they are (`of`), the preset they were
searched upon (`base`), the settings, and where they come from.

The parameters of notebooks and commands: names, types, ranges, help, and presets.

One pydantic model a notebook. Its fields, in their order, are the notebook's parameters cell; the
defaults are what the committed notebook runs with, on synthetic data.

The settings guard: reads a notebook's parameters back as text, and refuses what it cannot take.

papermill only warns of an unknown parameter, and turns `-p name 0001` into the number 1. So the
cell after the parameters calls `guard(EmotionSettings)`, which reads the parameters cell and
papermill's injected one from the kernel's history (`ast`), never from the variables: the same under
papermill, in JupyterLab, and when a cell is run again.
"""

import ast
import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imigue_lab.data.workspace import short_hash, workspace, write_atomically
from imigue_lab.errors import SettingsError

NAME = r"[A-Za-z0-9][\w.-]*"


def presets_folder() -> Path:
    return workspace() / "presets"


def kept_presets() -> list[str]:
    """Their names."""
    return sorted(path.stem for path in presets_folder().glob("*.json"))


def read_preset(name: str) -> dict[str, Any] | None:
    """A kept preset, or None."""
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
    """Keeps settings of the class `of`, found on top of the preset `base`; returns the file."""
    path = presets_folder() / f"{name}.json"
    content = {"of": of, "base": base, "settings": settings, "origin": origin}
    write_atomically(path, json.dumps(content, indent=2))
    return path


S = TypeVar("S", bound="Settings")
WHERE = (
    *("data", "store", "context", "face", "rgb", "rgb_run", "joint_run", "bone_run", "labels"),
    *("checkpoint", "preset", "name", "device"),
)
# They say where, not what: what they lead to is in the digest of the data.
HOW = ("accumulate", "deterministic")  # the same result but for rounding
# What every run had before there was a choice.
UNSAID = (("precision", "float32"), ("finetune_rgb", False))


class Settings(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    data: str = Field("synthetic", description='"synthetic", or the root of an iMiGUE copy')
    store: str = Field("", description="feature store; empty: features/ of the workspace")
    preset: str = Field("", description='"paper" for the paper\'s values where nothing is said')
    seed: int = Field(0, ge=0, description="seeds Python, NumPy, torch and the loaders")
    name: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][\w.-]*)?$",
        description="run folder under runs/; empty: made from the settings",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto, cpu, cuda or mps"
    )

    @classmethod
    def from_arguments(cls: type[S], given: dict[str, Any]) -> S:
        """Settings from what was said: given values first, then the preset's, then the defaults.

        Raises:
            SettingsError: an unknown name, a wrong type or a value out of range, in one sentence.
        """
        for name in given:
            if name not in cls.model_fields:
                near = get_close_matches(name, cls.model_fields, n=1)
                known = f"there are: {', '.join(cls.model_fields)}"
                hint = f"did you mean {near[0]}?" if near else known
                raise SettingsError(f"{name}: no such parameter; {hint}")
        preset = given.get("preset", "")
        try:
            return cls(**{**(cls.find_preset(preset, given) if preset else {}), **given})
        except ValidationError as error:
            raise SettingsError(say(cls, error)) from error

    @classmethod
    def find_preset(cls, preset: str, given: dict[str, Any]) -> dict[str, Any]:
        """What a preset says: one of ours, or one that a search has kept in the workspace.

        One that was kept for another task's settings stands for the preset it was searched upon.
        """
        kept = None if preset in cls.presets else read_preset(preset)
        if kept and kept["of"] == cls.__name__:
            return kept["settings"]
        if kept:
            return cls.find_preset(kept["base"], given) if kept["base"] else {}
        if preset not in cls.presets:
            known = ", ".join([*cls.presets, *kept_presets()]) or "none"
            raise SettingsError(f"preset: {preset!r} is not known; there are: {known}")
        return cls.values_of(preset, given)

    @classmethod
    def values_of(cls, preset: str, given: dict[str, Any]) -> dict[str, Any]:
        """What a preset says where nothing is given."""
        return cls.presets[preset]

    def what(self) -> dict[str, Any]:
        """The settings that change a result: all but places, names, the device and memory."""
        aside = (*WHERE, *HOW)
        said = [(name, value) for name, value in self.model_dump().items() if name not in aside]
        return dict(pair for pair in said if pair not in UNSAID)

    def fingerprint(self, data_digest: str) -> str:
        """8 hex digits of all settings that change the result, and of the data."""
        return short_hash(sorted(self.result_settings().items()), data_digest)


def say(cls: type[BaseModel], error: ValidationError) -> str:
    """The first complaint of pydantic as one sentence a person can act on."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if not name:
        return first["msg"].removeprefix("Value error, ")
    value, help_text = first["input"], cls.model_fields[name].description
    if first["type"] == "string_type":
        return (
            f"{name}: text is due and the number {value!r} arrived; papermill reads -p values as"
            f" numbers where it can: use -r {name} {value} as you typed it"
        )
    return f"{name}: {first['msg'].lower()}, got {value!r} ({help_text})"


class TrainSettings(Settings):
    """What every training takes beside its own parameters."""

    precision: Literal["float32", "bf16"] = Field(
        "float32", description="float32, or bf16: products in bfloat16"
    )
    accumulate: int = Field(1, ge=1, description="pieces of a step, for less memory")
    deterministic: bool = Field(False, description="the same bits every time, slower on a GPU")


INJECTED = "# Parameters"  # first line of papermill's cell


def guard(cls: type[S]) -> S:
    """The settings of the running notebook; prints the workspace first.

    Raises:
        SettingsError: no parameters cell was run, or it holds what `cls` does not take.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise SettingsError("guard() reads a notebook's cells; in a script, build the settings")
    settings = settings_from_cells(cls, executed_cells(shell))
    print(f"workspace: {workspace()}")
    return settings


def executed_cells(shell: Any) -> list[str]:
    """Texts of the cells that ran, oldest first.

    nbval runs cells without history: there the cell before this one is all that can be known, and
    it is the parameters cell.
    """
    last = shell.last_execution_result
    return [*shell.user_ns["In"], *([last.info.raw_cell] if last and last.info else [])]


def settings_from_cells(cls: type[S], cells: Sequence[str]) -> S:
    """Settings from the texts of executed cells, oldest first.

    The last parameters cell counts, with the injected cells that ran after it. A literal of the
    parameters cell counts as said when it differs from the default: a preset does not override it.
    """
    parameters, injected = None, []
    for text in cells:
        if text.lstrip().startswith(INJECTED):
            injected.append(text)
        elif is_parameters_cell(cls, text):
            parameters, injected = text, []
    if parameters is None:
        raise SettingsError("the parameters cell was not run; run it, then this cell")
    given = {
        name: value
        for name, value in read_literals(parameters).items()
        if name not in cls.model_fields or differs(value, cls.model_fields[name].default)
    }
    for text in injected:
        given |= read_literals(text)
    return cls.from_arguments(given)


def differs(value: Any, default: Any) -> bool:
    return type(value) is not type(default) or value != default


def is_parameters_cell(cls: type[Settings], text: str) -> bool:
    """Whether every line is ``name: type = literal`` and most names are parameters."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    names = {declared(line) for line in body} - {""}
    return len(names) == len(body) and len(names & set(cls.model_fields)) > len(body) / 2


def declared(line: ast.stmt) -> str:
    """The name in ``name: type = value``; empty for anything else."""
    if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
        return line.target.id
    return ""


def read_literals(text: str) -> dict[str, Any]:
    """Names and literals of a cell of assignments.

    Raises:
        SettingsError: a line is something else.
    """
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


def parameters_cell(cls: type[Settings]) -> str:
    """The parameters cell of a notebook, the one form that papermill reads: typed and explained."""
    lines = []
    for name, field in sorted(cls.model_fields.items(), key=lambda item: order(cls, item[0])):
        kind = type(field.default).__name__
        literal = '"' + field.default + '"' if kind == "str" else repr(field.default)
        lines.append(f"{name}: {kind} = {literal}  # {field.description}")
    return "\n".join(lines)


def order(cls: type[Settings], name: str) -> tuple[int, int]:
    """First `data`, then a notebook's own parameters, those of all trainings, those of all."""
    place = list(cls.model_fields).index(name)
    if name == "data":
        return 0, place
    of_training = issubclass(cls, TrainSettings) and name in TrainSettings.model_fields
    return 1 + of_training + (name in Settings.model_fields), place
