"""Errors that stop a run: one sentence with the place, what is wrong, and what to do."""

import re
from collections.abc import Iterable


class LabError(Exception):
    """The data, the settings or a run has a problem; the message names it and the fix."""


class DataError(LabError):
    """A file or table of the data cannot be used."""


class SettingsError(LabError):
    """A parameter has an unknown name, a wrong type, or a value out of range."""


class RunError(LabError):
    """A run folder or checkpoint does not match what was requested."""


def some(ids: Iterable[object], limit: int = 5) -> str:
    """The first few of many ids, and the number of the others: ``0001, 0002 and 7 more``."""
    names = [str(i) for i in ids]
    more = len(names) - limit
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:limit])} and {more} more"


def without_password(text: str) -> str:
    """Masks the passwords of a database URL, before the host or among the parameters."""
    text = re.sub(r"(\w:/{0,2}[^:/@\s?]*):\S*@", r"\1:***@", text)
    return re.sub(r"((?:^|[?&;\s'])\w*(?:password|passwd|pwd)\s*=)[^&;\s']*", r"\1***", text)
