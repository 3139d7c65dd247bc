"""The settings guard: reads a notebook's parameters back as text, and refuses what it cannot take.

papermill only warns of an unknown parameter, and turns `-p name 0001` into the number 1. So the
cell after the parameters calls `guard(EmotionSettings)`, which reads the parameters cell and
papermill's injected one from the kernel's history (`ast`), never from the variables: the same under
papermill, in JupyterLab, and when a cell is run again.
"""

import ast
from collections.abc import Sequence
from typing import Any

from imigue_lab.data.workspace import workspace
from imigue_lab.errors import SettingsError
from imigue_lab.training.settings import S, Settings, TrainSettings

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
    return cls.from_given(given)


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
