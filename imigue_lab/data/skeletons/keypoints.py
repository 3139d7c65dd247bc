"""Named keypoint layouts: the order of the joints, the bones that join them, the mirrored pairs.

A layout is a tuple of joint names; bones and mirror pairs are index pairs into it. `layouts.toml`
has the known ones, `declared.py` reads a user's own. Joint order is that of the detector or depth
camera that writes it. Nobody counts columns: `imigue22` is a subset of `light_hand35`, and
`subset("imigue22", "light_hand35")` gives the indices of its joints. Where a layout has no neck or
middle of the hips, these are midpoints (`DERIVED`).

Left and right are the person's own: the right hand appears on the left of the picture. OpenPose's
70 face points are the 68 of iBUG, numbered from the right ear along the jaw, and both pupils.

Sources: COCO-WholeBody (Jin et al., ECCV 2020) and Halpe (Fang et al., TPAMI 2022) for theirs.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from imigue_lab.errors import DataError, some

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
    """Those of `layouts.toml`."""
    file = tomllib.loads(Path(__file__).with_name("layouts.toml").read_text(encoding="utf-8"))
    joints, bones = file["joints"], file["bones"]
    mesh = [file["mesh"].get(f"{number}", f"mesh_{number}") for number in range(468)]
    joints["mesh"], bones["mesh"] = " ".join(mesh), " ".join(f"nose-{point}" for point in mesh)
    return {
        name: build_layout(
            name,
            words_of(own["joints"], joints),
            words_of(own["bones"], bones),
            own.get("unit", "pixels"),
        )
        for name, own in file["layouts"].items()
    }


def words_of(parts: str, lists: dict[str, str]) -> list[str]:
    """The words of lists by their names; a part that names none is a word."""
    return [word for part in parts.split() for word in lists.get(part, part).split()]


def build_layout(name: str, joints: list[str], paths: list[str], unit: Unit) -> Layout:
    """Reads bones such as ``neck-nose-chin``, two of them; pairs `right_x` with `left_x`.

    Joints in metres are in space.
    """
    place = {joint: index for index, joint in enumerate(joints)}
    ends = (pair for path in paths for pair in pairwise(path.split("-")))
    pairs = tuple((place[parent], place[child]) for parent, child in ends)
    sides = (
        (index, place.get(joint.replace("right_", "left_", 1))) for joint, index in place.items()
    )
    mirror = tuple((right, left) for right, left in sides if left not in (None, right))
    in_space = unit == "metres"
    return Layout(name, tuple(joints), pairs, mirror, 2 + in_space, unit, not in_space)


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
