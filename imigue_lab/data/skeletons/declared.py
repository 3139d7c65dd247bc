"""Layouts that data declare by ``keypoints.json``, for files that do not name their points.

A known layout: {"layout": "ntu25"}, optionally with "unit" or "scores". An own one:

    {"name": "lab12", "joints": ["neck", "head", ...], "bones": [["neck", "head"], ...],
     "mirror": [["right_hand", "left_hand"], ...], "axes": 2, "unit": "pixels", "scores": true}

A bone leads from parent to child, and every joint but one is a child once. Checkpoints store own
layouts in this form, and known ones by name.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, Pairs, Unit
from imigue_lab.errors import DataError, some

FILE = "keypoints.json"
UNITS: dict[int, tuple[Unit, ...]] = {
    2: ("pixels", "fractions", "signed fractions", "percent"),
    3: ("metres", "pixels"),
}
REQUIRED = ("name", "joints", "bones")
OPTIONAL = ("mirror", "axes", "unit", "scores")
Refuse = Callable[..., DataError]  # what was expected, and what was found
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
        raise DataError(
            f"{path}: is not JSON ({error}); write it again, see docs/data.md"
        ) from None
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

    def refuse(expected: str, got: object, advice: str = "correct it") -> DataError:
        return DataError(f"{where}: expected {expected}, got {got!r:.120}; {advice}")

    if not isinstance(content, dict):
        raise refuse('an object such as {"layout": "ntu25"}', content)
    known = content.get("layout")
    if known is not None and (not isinstance(known, str) or known not in LAYOUTS):
        raise refuse(f"layout to be one of {', '.join(LAYOUTS)}", known)
    allowed = ("layout", "unit", "scores") if known else (*REQUIRED, *OPTIONAL)
    if other := set(content) - set(allowed):
        raise refuse(f"entries out of {', '.join(allowed)}", some(sorted(other)))
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
    return own_layout(content, axes, unit, scores, refuse)


def own_layout(
    content: dict[str, Any], axes: int, unit: Unit, scores: bool, refuse: Refuse
) -> Layout:
    if absent := [key for key in REQUIRED if key not in content]:
        raise refuse(f"entries {', '.join(REQUIRED)}, or layout", f"no {some(absent)}")
    name, joints = content["name"], content["joints"]
    if not isinstance(name, str) or not name.strip() or name in ("auto", "all", *LAYOUTS):
        raise refuse("a name of your own, of no known layout", name)
    if not isinstance(joints, list) or not all(isinstance(j, str) and j for j in joints):
        raise refuse("joints to be a list of names", joints)
    if not joints or len(set(joints)) < len(joints):
        twice = [joint for joint in dict.fromkeys(joints) if joints.count(joint) > 1]
        raise refuse("joints with a name each", some(twice))
    bones, mirror = (
        pairs_of(content.get(key, []), key, joints, refuse) for key in ("bones", "mirror")
    )
    check_tree(bones, joints, refuse)
    swapped = [joint for pair in mirror for joint in pair]
    if len(set(swapped)) < len(swapped):
        twice = [joints[j] for j in dict.fromkeys(swapped) if swapped.count(j) > 1]
        raise refuse("each joint in at most one mirror pair of two joints", some(twice))
    return Layout(name, tuple(joints), bones, mirror, axes, unit, scores)


def pairs_of(pairs: Any, key: str, joints: list[str], refuse: Refuse) -> Pairs:
    if not isinstance(pairs, list):
        raise refuse(f"{key} to be a list of pairs of joints", pairs)
    found = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(p in joints for p in pair):
            raise refuse(f"a pair of {key} to be two names of joints", pair)
        found.append((joints.index(pair[0]), joints.index(pair[1])))
    return tuple(found)


def check_tree(bones: Pairs, joints: list[str], refuse: Refuse) -> None:
    """Bones lead from one root to every joint."""
    parent: dict[int, int] = {}
    for start, child in bones:
        if child in parent:
            raise refuse("one bone to each joint", f"several to {joints[child]}")
        parent[child] = start
    roots = [joint for index, joint in enumerate(joints) if index not in parent]
    if len(roots) > 1:
        raise refuse("bones from one root to all joints", f"no bone to {some(roots)}")
    for joint in range(len(joints)):
        steps, place = 0, joint
        while place in parent and steps <= len(joints):
            steps, place = steps + 1, parent[place]
        if steps > len(joints):
            raise refuse("bones without a cycle", f"a cycle at {joints[joint]}")
