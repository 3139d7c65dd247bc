"""Recognises SMG, MA-52 and BoLD by a file that only one of them has; each has its own reader."""

import re
from importlib import import_module
from pathlib import Path

from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.inventory import Inventory

SIGNS = {  # module of the reader -> `sign_of` one of its files
    "smg": r".*/Sample\d{4}_(skeleton|finelabels|color)\.\w+",
    "ma52": r".*/(train|val|test)_list_videos\.txt",
    "bold": r"annotations/(train|val|test_meta)\.csv \d+/[^,]+\.mp4/\d+\.mp4,.*",
}


def survey_other(inventory: Inventory) -> Survey | None:
    """The survey of another data set, whose reader alone is imported; None for other trees."""
    signs = [sign_of(path) for path in (*inventory.lists, *inventory.unknown)]
    for name, pattern in SIGNS.items():
        if any(re.fullmatch(pattern, sign, re.DOTALL) for sign in signs):
            survey: Survey = import_module(f"{__package__}.{name}").survey_tree(inventory)
            return survey
    return None


def sign_of(path: Path) -> str:
    """Folder and name of a file; of a table in `annotations` also its first line."""
    name = f"{path.parent.name}/{path.name}"
    if path.parent.name != "annotations" or path.suffix != ".csv":
        return name
    with path.open(encoding="utf-8", errors="replace") as file:
        return f"{name} {file.readline(300)}"
