"""Layouts that data declare by ``keypoints.json``, for files that do not name their points.

A known layout: {"layout": "ntu25"}, optionally with "unit" or "scores". An own one:

    {"name": "lab12", "joints": ["neck", "head", ...], "bones": [["neck", "head"], ...],
     "mirror": [["right_hand", "left_hand"], ...], "axes": 2, "unit": "pixels", "scores": true}

A bone leads from parent to child, and every joint but one is a child once. Checkpoints store own
layouts in this form, and known ones by name.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, Pairs, Unit
from imigue_lab.errors import DataError, some, unreadable

FILE = "keypoints.json"
UNITS: dict[int, tuple[Unit, ...]] = {
    2: ("pixels", "fractions", "signed fractions", "percent"),
    3: ("metres", "pixels"),
}
REQUIRED = ("name", "joints", "bones")
OPTIONAL = ("mirror", "axes", "unit", "scores")
Stored = str | dict[str, Any]


def declared_layout(root: Path) -> Layout | None:
    """The layout that `keypoints.json` in this folder declares; None without the file.

    Raises DataError for a file that declares none.
    """
    path = root / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, "is not JSON", error, "write it again, see docs/data.md") from None
    return parse_layout(content, f"{path}")


def layout_of(stored: Stored | Layout) -> Layout:
    """A layout as `to_stored` gives it."""
    if isinstance(stored, Layout):
        return stored
    return LAYOUTS[stored] if isinstance(stored, str) else parse_layout(stored, "checkpoint")


def to_stored(layout: Layout) -> Stored:
    """For checkpoints: the name of a known layout, the declaration of an own one."""
    if known := LAYOUTS.get(layout.name):
        differing = {"unit": layout.unit, "scores": layout.scores}
        return known.name if known == layout else {"layout": known.name} | differing
    pairs = {
        key: [[layout.joints[end] for end in pair] for pair in getattr(layout, key)]
        for key in ("bones", "mirror")
    }
    plain = {key: getattr(layout, key) for key in ("name", "axes", "unit", "scores")}
    return plain | {"joints": list(layout.joints)} | pairs


def to_declaration(layout: Layout) -> dict[str, Any]:
    """The content of a `keypoints.json`."""
    stored = to_stored(layout)
    return {"layout": stored} if isinstance(stored, str) else stored


def parse_layout(content: Any, where: str) -> Layout:
    """Raises DataError, one sentence that starts with `where`, for the first fault."""

    def refuse(expected: str, got: object) -> DataError:
        return DataError(f"{where}: expected {expected}, got {got!r:.120}; correct it")

    if not isinstance(content, dict):
        raise refuse('an object such as {"layout": "ntu25"}', content)
    known = content.get("layout")
    if known is not None and known not in list(LAYOUTS):
        raise refuse(f"layout to be one of {', '.join(LAYOUTS)}", known)
    entries = ("layout", "unit", "scores") if known else (*REQUIRED, *OPTIONAL)
    absent = [f"no {key}" for key in REQUIRED if key not in content and not known]
    if wrong := absent + [key for key in content if key not in entries]:
        raise refuse(f"the entries {', '.join(entries)}", some(wrong))
    axes = LAYOUTS[known].axes if known else content.get("axes", 2)
    if axes not in (2, 3):
        raise refuse("axes to be 2 or 3", axes)
    unit, scores = content.get("unit", UNITS[axes][0]), content.get("scores", axes == 2)
    if unit not in UNITS[axes]:
        raise refuse(f"unit of {axes} axes to be {' or '.join(UNITS[axes])}", unit)
    if type(scores) is not bool or (scores and axes == 3):
        raise refuse("scores to be true or false, and false in space", scores)
    if known:
        return replace(LAYOUTS[known], unit=unit, scores=scores)
    name, joints = content["name"], content["joints"]
    if not isinstance(name, str) or not name.strip() or name in ("auto", "all", *LAYOUTS):
        raise refuse("a name of your own, of no known layout", name)
    if not isinstance(joints, list) or not joints or not all(isinstance(j, str) for j in joints):
        raise refuse("joints to be a list of names", joints)
    if twice := [joint for number, joint in enumerate(joints) if joint in joints[:number]]:
        raise refuse("joints with a name each", some(twice))
    pairs: dict[str, Pairs] = {}
    for key in ("bones", "mirror"):
        found = content.get(key, [])
        for pair in found if isinstance(found, list) else [found]:
            if not isinstance(pair, list) or len(pair) != 2 or not all(p in joints for p in pair):
                raise refuse(f"a pair of {key} to be two names of joints", pair)
        pairs[key] = tuple((joints.index(a), joints.index(b)) for a, b in found)
    children, reached = [child for _, child in pairs["bones"]], set[int]()
    root = next((joint for joint in range(len(joints)) if joint not in children), 0)
    for _ in joints:
        reached |= {root, *(child for parent, child in pairs["bones"] if parent in reached)}
    lost = [joint for number, joint in enumerate(joints) if number not in reached]
    if lost or len(children) != len(joints) - 1:
        got = f"none to {some(lost)}" if lost else f"{len(children)} bones of {len(joints)} joints"
        raise refuse(f"bones from {joints[root]} to each other joint, without a cycle", got)
    swapped = [joints[end] for pair in pairs["mirror"] for end in pair]
    if twice := [joint for number, joint in enumerate(swapped) if joint in swapped[:number]]:
        raise refuse("each joint in at most one mirror pair of two joints", some(twice))
    return Layout(name, tuple(joints), pairs["bones"], pairs["mirror"], axes, unit, scores)
