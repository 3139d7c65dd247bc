"""What the options of a command are made from: the settings of its notebook."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imigue_lab.training.settings import Settings


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def add_settings(parser: argparse.ArgumentParser, cls: "type[Settings]") -> None:
    """One option a setting, with its help and default; values are checked by the settings."""
    for name, field in cls.model_fields.items():
        default = "empty" if field.default == "" else field.default
        help_text = f"{field.description} (default: {default})".replace("%", "%%")
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(
            option, dest=name, default=argparse.SUPPRESS, metavar="", help=help_text
        )


def given_settings(cls: "type[Settings]", options: argparse.Namespace) -> Any:
    return cls.from_given({k: v for k, v in vars(options).items() if k in cls.model_fields})
