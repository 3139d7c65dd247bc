"""The parameters cell of a notebook, printed from its settings."""

from imigue_lab.training.settings import Settings, TrainSettings


def parameters_cell(cls: type[Settings]) -> str:
    """The parameters cell of a notebook in the form that papermill reads: typed, with comments."""
    lines = []
    for name, field in sorted(cls.model_fields.items(), key=lambda item: order(cls, item[0])):
        kind = type(field.default).__name__
        literal = '"' + field.default + '"' if kind == "str" else repr(field.default)
        lines.append(f"{name}: {kind} = {literal}  # {field.description}")
    return "\n".join(lines)


def order(cls: type[Settings], name: str) -> tuple[int, int]:
    """`data`, then a notebook's own parameters, those of all trainers, those of all notebooks."""
    place = list(cls.model_fields).index(name)
    if name == "data":
        return 0, place
    of_training = issubclass(cls, TrainSettings) and name in TrainSettings.model_fields
    return 1 + of_training + (name in Settings.model_fields), place
