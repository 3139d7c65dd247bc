"""Named keypoint layouts: the order of the joints, the bones that join them, the mirrored pairs.

A layout is a tuple of joint names; bones and mirror pairs are index pairs into it. `layouts.toml`
has the known ones, `declared_layout` reads a user's own. Joint order is that of the detector or
depth camera that writes it. Nobody counts columns: `imigue22` is a subset of `light_hand35`, and
`subset("imigue22", "light_hand35")` gives the indices of its joints. Where a layout has no neck or
middle of the hips, these are midpoints (`DERIVED`).

Left and right are the person's own: the right hand appears on the left of the picture. OpenPose's
70 face points are the 68 of iBUG, numbered from the right ear along the jaw, and both pupils.

Data declare a layout by ``keypoints.json``, for files that do not name their points. A known one:
{"layout": "ntu25"}, optionally with "unit" or "scores". An own one:

    {"name": "lab12", "joints": ["neck", "head", ...], "bones": [["neck", "head"], ...],
     "mirror": [["right_hand", "left_hand"], ...], "axes": 2, "unit": "pixels", "scores": true}

A bone leads from parent to child, and every joint but one is a child once. Checkpoints store own
layouts in this form, and known ones by name.

Sources: COCO-WholeBody (Jin et al., ECCV 2020) and Halpe (Fang et al., TPAMI 2022) for theirs.
"""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from imigue_lab.errors import DataError, bounded, some, unreadable

FINGERS = "thumb index middle ring pinky".split()
PARTS = {  # words in the names of joints
    "hand": ("hand", *FINGERS, "tip"),
    "head": "nose eye ear jaw chin brow nostril lip mouth head pupil".split(),
    "arm": "shoulder elbow wrist".split(),
    "leg": "hip knee ankle heel toe foot".split(),
}
Pairs = tuple[tuple[int, int], ...]  # of indices of joints
Source = int | tuple[int, int]  # a column, or two whose midpoint a joint is
Unit = Literal["pixels", "fractions", "signed fractions", "percent", "metres"]

# A joint that a layout lacks and two others define
DERIVED = {"neck": ("right_shoulder", "left_shoulder"), "mid_hip": ("right_hip", "left_hip")}


@dataclass(frozen=True)
class Layout:
    """A keypoint layout."""

    name: str
    joints: tuple[str, ...]  # names in the order of the columns
    bones: Pairs  # (parent, child); every joint but the root is a child once
    mirror: Pairs  # (right, left), swapped when the picture is flipped
    axes: int = 2  # 2 for joints in the picture, x, y and a score; 3 in space, x, y, z
    unit: Unit = "pixels"  # of files; fractions 0 to 1, signed -1 to 1; in metres y points up
    scores: bool = True  # of files in the picture: whether a third channel is a score

    @property
    def root(self) -> int:
        """The joint that is not the child of any bone."""
        children = {child for _, child in self.bones}
        return next(index for index in range(len(self.joints)) if index not in children)

    @property
    def mirrored(self) -> list[int]:
        """For each joint, the index of its source when left and right are swapped."""
        swapped = dict(self.mirror) | {left: right for right, left in self.mirror}
        return [swapped.get(joint, joint) for joint in range(len(self.joints))]


def read_layouts() -> dict[str, Layout]:
    """Those of `layouts.toml`: bones such as ``neck-nose-chin``, two of them; `right_x` is paired
    with `left_x`; joints in metres are in space."""
    file = tomllib.loads(Path(__file__).with_name("layouts.toml").read_text(encoding="utf-8"))
    joints, bones = file["joints"], file["bones"]
    mesh = [file["mesh"].get(f"{number}", f"mesh_{number}") for number in range(468)]
    joints["mesh"], bones["mesh"] = " ".join(mesh), " ".join(f"nose-{point}" for point in mesh)
    layouts = {}
    for name, own in file["layouts"].items():
        place = {joint: index for index, joint in enumerate(words_of(own["joints"], joints))}
        paths = words_of(own["bones"], bones)
        ends = (pair for path in paths for pair in pairwise(path.split("-")))
        pairs = tuple((place[parent], place[child]) for parent, child in ends)
        sides = ((n, place.get(joint.replace("right_", "left_", 1))) for joint, n in place.items())
        mirror = tuple((right, left) for right, left in sides if left not in (None, right))
        unit = own.get("unit", "pixels")
        flat = unit != "metres"
        layouts[name] = Layout(name, tuple(place), pairs, mirror, 2 if flat else 3, unit, flat)
    return layouts


def words_of(parts: str, lists: dict[str, str]) -> list[str]:
    """The words of lists by their names; a part that names none is a word."""
    return [word for part in parts.split() for word in lists.get(part, part).split()]


LAYOUTS = read_layouts()


def sources(joints: Sequence[str], of: Layout) -> list[Source | None]:
    """Where each joint is in a layout: its column, the two that it is between, or None."""
    column: dict[str, int] = {joint: index for index, joint in enumerate(of.joints)}
    found: list[Source | None] = []
    for joint in joints:
        ends = [column[end] for end in DERIVED.get(joint, ()) if end in column]
        pair = (ends[0], ends[1]) if len(ends) == 2 else None
        found.append(column.get(joint, pair))
    return found


def contains(whole: Layout, part: Layout) -> bool:
    """Whether `subset` finds every joint."""
    return whole.axes == part.axes and None not in sources(part.joints, whole)


def subset(wanted: str | Layout, of: str | Layout) -> list[Source]:
    """Where the joints of one layout are in another, in its order; for `geometry.pick`.

    Raises DataError if the other lacks some of them, or has other axes.
    """
    part, whole = (LAYOUTS[name] if isinstance(name, str) else name for name in (wanted, of))
    found = sources(part.joints, whole)
    absent = [joint for joint, place in zip(part.joints, found, strict=True) if place is None]
    if absent or part.axes != whole.axes:
        lacks = f"lacks {some(absent)}" if absent else f"has {whole.axes} axes, not {part.axes}"
        raise DataError(
            f"{part.name} is not a subset of {whole.name}, which {lacks}; read a layout that"
            " contains them"
        )
    return [place for place in found if place is not None]


def body_parts(layout: Layout) -> list[int]:
    """The part of each joint, by its name: head, trunk, or an arm, a hand or a leg of one side."""
    names = []
    for joint in layout.joints:
        part = next((p for p, words in PARTS.items() if any(w in joint for w in words)), "trunk")
        side = joint.split("_")[0] if part in ("hand", "arm", "leg") else ""
        names.append((part, side))
    return [names.index(name) for name in names]


FILE = "keypoints.json"
UNITS: dict[int, tuple[Unit, ...]] = {
    2: ("pixels", "fractions", "signed fractions", "percent"),
    3: ("metres", "pixels"),
}
MOST_BYTES = 1_000_000  # of a declaration
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
        content = json.loads(bounded(path, MOST_BYTES).read_text(encoding="utf-8-sig"))
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
