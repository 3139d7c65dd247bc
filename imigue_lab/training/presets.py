"""Presets that a search has kept: the best settings under a name, for `-p preset <name>`.

`presets/<name>.json` of the workspace holds whose settings they are (`of`), the preset they were
searched upon (`base`), the settings, and where they come from.
"""

import json
import re
from pathlib import Path
from typing import Any

from imigue_lab.data.workspace import workspace, write_atomically
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
